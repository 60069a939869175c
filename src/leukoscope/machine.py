"""Resources of the machine."""

from __future__ import annotations

import os

__all__ = ["count_workers"]


def count_workers() -> int:
    """Cores that this process is allowed on (a container's CPU quota is not seen)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
