"""Memory that a server used goes back to the system, rather than staying with its allocator."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

__all__ = ["give_memory_back", "limit_memory"]

# Of malloc.h. glibc raises its threshold with each large block that is freed, up to 32 MB, and
# keeps a heap for each of many threads: the pixels of images then stay with the process for good.
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
_LARGE = 256 * 1024
_HEAPS = 2


@cache
def _load_glibc() -> ctypes.CDLL | None:
    """The C library; None where it is another one, whose allocator has no such settings."""
    if platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)


def limit_memory() -> None:
    """Let large blocks go back when they are freed, and share heaps among threads.

    To be called before threads begin; for all of the process.
    """
    if libc := _load_glibc():
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        libc.mallopt(_M_ARENA_MAX, _HEAPS)


def give_memory_back() -> None:
    """Give back what is free within the heaps."""
    if libc := _load_glibc():
        libc.malloc_trim(0)
