"""Files and images ↔ values."""
