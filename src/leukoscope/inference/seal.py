"""A model file carries the digest of itself, so that one flipped bit in it is found when it opens.

Two entries end the file, as ONNX's own `metadata_props` (field 14 of `ModelProto`, a repeated one):
`leukoscope_seal`, which says that a digest follows, and `leukoscope_sha256`, the SHA-256 of all the
bytes before its own entry. To other programs they are metadata like any other. Files of before have
neither, and are read as they were.
"""

from __future__ import annotations

import hashlib

__all__ = ["SEAL_KEY", "has_digest", "is_broken", "seal"]

SEAL_KEY = "leukoscope_seal"
_DIGEST_KEY = "leukoscope_sha256"
_WORDS = "the last entry is the SHA-256 of all bytes before it"


def seal(data: bytes) -> bytes:
    """A serialised ONNX model with its digest at the end."""
    told = data + _encode(SEAL_KEY, _WORDS)
    return told + _encode(_DIGEST_KEY, hashlib.sha256(told).hexdigest())


def has_digest(data: bytes) -> bool:
    """Whether a file ends with a digest; one that has `SEAL_KEY` was written with it."""
    size = len(_encode(_DIGEST_KEY, "0" * 64))
    return data[-size:-64] == _encode(_DIGEST_KEY, "0" * 64)[:-64]


def is_broken(data: bytes) -> bool:
    """Whether a file is no more what was written, by the digest at its end; False without one."""
    body = data[: -len(_encode(_DIGEST_KEY, "0" * 64))]
    return has_digest(data) and data[-64:] != hashlib.sha256(body).hexdigest().encode()


def _encode(key: str, value: str) -> bytes:
    """One entry as protocol buffers write it; each text is shorter than 128 bytes."""
    pair = b"".join(
        bytes([tag, len(text)]) + text.encode() for tag, text in ((0x0A, key), (0x12, value))
    )
    return bytes([14 << 3 | 2, len(pair)]) + pair
