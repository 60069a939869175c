"""Zips: opened when they are read, in any process; other archives are named for what they are."""

from __future__ import annotations

import io
import lzma
import threading
import zipfile
import zlib
from pathlib import Path

from leukoscope.errors import DataError

__all__ = ["Archive", "check_member", "find_fault", "name_archive"]

_MAX_MEMBER_BYTES = 200_000_000
_MAX_RATIO = 2000  # a black 450×450 BMP deflates about 1000 times; a bomb far more
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)
_ENCRYPTED = 0x1  # bit of a member's flags
_METHODS = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
    *([zipfile.ZIP_ZSTANDARD] if hasattr(zipfile, "ZIP_ZSTANDARD") else []),
}
_METHOD_NAMES = {9: "Deflate64", 6: "Implode", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_SIGNATURES = {
    b"Rar!": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
}
_TAR_AT, _TAR = 257, b"ustar"


class Archive:
    """A zip that is opened when it is first read, and again in another process.

    Safe to read from several threads.
    """

    def __init__(self, place: Path | bytes, name: str) -> None:
        """Nothing is opened yet.

        Args:
            place: a path, or the bytes of a zip.
            name: of the zip in errors.
        """
        self.place, self.name = place, name
        self._lock = threading.Lock()
        self._opened: zipfile.ZipFile | None = None

    def __reduce__(self) -> tuple[type[Archive], tuple[Path | bytes, str]]:
        """Another process opens it for itself."""
        return Archive, (self.place, self.name)

    def list(self) -> list[zipfile.ZipInfo]:
        """Its members. Raises DataError where it is damaged."""
        try:
            with self._lock:
                return self._open().infolist()
        except (*_ZIP_ERRORS, ValueError) as error:
            raise DataError(f"{self.name}: damaged zip ({error}). Download it again.") from error

    def read(self, member: str) -> bytes:
        """Bytes of a member. Raises DataError where it cannot be read."""
        try:
            with self._lock:
                opened = self._open()
                if fault := find_fault(opened.getinfo(member)):
                    raise DataError(f"{member}: {fault}.")
                return opened.read(member)
        except (*_ZIP_ERRORS, KeyError) as error:
            raise DataError(f"{member}: damaged in {self.name} ({error}).") from error

    def _open(self) -> zipfile.ZipFile:
        if self._opened is None:
            place = io.BytesIO(self.place) if isinstance(self.place, bytes) else self.place
            self._opened = zipfile.ZipFile(place)
        return self._opened


def check_member(info: zipfile.ZipInfo, name: str) -> None:
    """Refuse what cannot be unpacked, or would unpack to far more than an image.

    Args:
        info: of the member.
        name: of the zip.

    Raises:
        DataError: with the fix.
    """
    bomb = info.file_size > 1_000_000 and info.file_size > _MAX_RATIO * info.compress_size
    if info.file_size > _MAX_MEMBER_BYTES or bomb:
        raise DataError(
            f"{name}: {info.filename} would unpack to {info.file_size:,} bytes from "
            f"{info.compress_size:,}. Expected images of under {_MAX_MEMBER_BYTES:,} bytes."
        )


def find_fault(info: zipfile.ZipInfo) -> str:
    """Why a member cannot be read here, and the fix; "" if it can."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted. Unpack it with its password, and give the folder"
    if info.compress_type not in _METHODS:
        method = _METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        return f"packed by {method}. Unpack it, or pack it again with Deflate, as most programs do"
    return ""


def name_archive(path: Path) -> str:
    """The format of an archive that is no zip, such as "RAR"; "" for other files."""
    with path.open("rb") as file:
        start = file.read(_TAR_AT + len(_TAR))
    if start[_TAR_AT:] == _TAR:
        return "tar"
    return next((kind for sign, kind in _SIGNATURES.items() if start.startswith(sign)), "")
