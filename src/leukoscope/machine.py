"""What the machine gives us: cores, and a folder for what may be deleted at any time."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["count_workers", "get_cache_folder", "keep_library_files"]

_LIBRARY_FOLDERS = {
    "KERAS_HOME": (".keras",),
    "MPLCONFIGDIR": (".config/matplotlib", ".cache/matplotlib", ".matplotlib"),
}
"""Variable that names a library's folder → where users have theirs."""


def count_workers() -> int:
    """Cores that this process is allowed on (a container's CPU quota is not seen)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def get_cache_folder() -> Path:
    """`$LEUKOSCOPE_CACHE`, else `$XDG_CACHE_HOME/leukoscope`, else `~/.cache/leukoscope`."""
    if named := os.environ.get("LEUKOSCOPE_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leukoscope"


def keep_library_files() -> None:
    """Let Keras and Matplotlib keep their files in our cache folder, before they are imported.

    Each writes a folder into the home of whoever imports it. Who has such a folder keeps it.
    """
    for variable, places in _LIBRARY_FOLDERS.items():
        if not any((Path.home() / place).exists() for place in places):
            folder = get_cache_folder() / variable.split("_")[0].lower()
            os.environ.setdefault(variable, str(folder))
