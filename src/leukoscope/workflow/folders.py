"""Default names of folders."""

from __future__ import annotations

import time
from pathlib import Path

__all__ = ["name_folder"]


def name_folder(parent: str | Path, name: str) -> Path:
    """A new folder's path, by the time: `runs/texture-group-kfold-20250131-235959`.

    >>> name_folder("runs", "texture-leave-one-group-out:smear").name[:33]
    'texture-leave-one-group-out-smear'
    """
    plain = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name).strip("-.")
    first = Path(parent) / f"{plain}-{time.strftime('%Y%m%d-%H%M%S')}"
    found, number = first, 1
    while found.exists():
        number += 1
        found = first.with_name(f"{first.name}-{number}")
    return found
