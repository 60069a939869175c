"""Notices that must accompany everything that is shown."""

from __future__ import annotations

import zipfile
from pathlib import Path

__all__ = ["RESEARCH_ONLY", "SIMULATED_BANNER", "SIMULATED_FILE", "find_banner"]

RESEARCH_ONLY = "Research use only; not a medical device."

SIMULATED_FILE = "SIMULATED.txt"
"""Marker file beside cells drawn by the simulator, so that every output can say so."""

SIMULATED_BANNER = "Simulated cells: drawn by leukoscope, no person's."


def find_banner(root: Path) -> str | None:
    """The banner to show above all output of a data set, or None."""
    if root.is_file() and zipfile.is_zipfile(root):
        with zipfile.ZipFile(root) as archive:
            marked = any(name.endswith(SIMULATED_FILE) for name in archive.namelist())
    else:
        resolved = root.resolve()
        marked = any((folder / SIMULATED_FILE).exists() for folder in (resolved, *resolved.parents))
    return SIMULATED_BANNER if marked else None
