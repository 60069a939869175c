"""Keep the output of native libraries on file descriptor 2 off the terminal.

TensorFlow, absl and the image decoders write there from C, past `sys.stderr` and past their own
settings for verbosity: which lines come depends on the machine's processor. Only redirecting the
descriptor itself helps.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["hold_back", "open_store", "read_store"]

_MOST_SHOWN = 20_000


def open_store() -> int:
    """Descriptor of an anonymous file to keep lines in; the null device where that fails."""
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError:
        return os.open(os.devnull, os.O_RDWR)


def read_store(store: int) -> bytes:
    """The last of what was written there."""
    try:
        size = os.lseek(store, 0, os.SEEK_END)
        os.lseek(store, max(0, size - _MOST_SHOWN), os.SEEK_SET)
        return os.read(store, _MOST_SHOWN)  # which leaves it at the end, for whoever writes next
    except OSError:
        return b""


@contextlib.contextmanager
def hold_back() -> Iterator[None]:
    """Hold back the block's output on descriptor 2; show it where the block fails."""
    try:
        before = os.dup(2)
    except OSError:  # it is closed: nobody reads it
        yield
        return
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
    store = open_store()
    os.dup2(store, 2)
    failed = True
    try:
        yield
        failed = False
    finally:
        os.dup2(before, 2)
        os.close(before)
        if failed:
            with contextlib.suppress(OSError):
                os.write(2, read_store(store))
        os.close(store)
