"""Data sets: how each is read, and the facts that travel with it."""
