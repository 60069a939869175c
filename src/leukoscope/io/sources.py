"""A folder or a zip → the image files in it, readable one by one without unpacking."""

from __future__ import annotations

import hashlib
import io
import lzma
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from leukoscope.errors import DataError
from leukoscope.io.images import IMAGE_SUFFIXES

__all__ = ["Archive", "Source", "compute_stamp", "list_sources", "list_zip", "read_text"]

_MAX_MEMBER_BYTES = 200_000_000
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)
_MAX_RATIO = 2000  # a black 450×450 BMP deflates about 1000 times; a bomb far more


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
        """Bytes of a member. Raises DataError where it is damaged."""
        try:
            with self._lock:
                return self._open().read(member)
        except (*_ZIP_ERRORS, KeyError) as error:
            raise DataError(f"{member}: damaged in {self.name} ({error}).") from error

    def _open(self) -> zipfile.ZipFile:
        if self._opened is None:
            place = io.BytesIO(self.place) if isinstance(self.place, bytes) else self.place
            self._opened = zipfile.ZipFile(place)
        return self._opened


@dataclass(frozen=True)
class Source:
    """One image file, as a value that can be pickled.

    Attributes:
        name: path within the folder or zip, "/" between parts: the `image` of every table.
        size: bytes.
        stamp: changes when the file does.
        root: the file itself, the zip that holds it, or its bytes.
        member: its name within the zip.
    """

    name: str
    size: int
    stamp: str
    root: Path | Archive | bytes
    member: str = ""

    def read(self) -> bytes:
        """The file's bytes; safe to call from several threads.

        Raises:
            DataError: damaged in its zip.
            OSError: it cannot be read.
        """
        if isinstance(self.root, bytes):
            return self.root
        if isinstance(self.root, Archive):
            return self.root.read(self.member)
        return self.root.read_bytes()


def list_sources(root: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Source]:
    """List the image files under a folder, in a zip, or one image file, sorted by name.

    Raises:
        DataError: nothing there, no image in it, or a zip that is damaged or unsafe.
    """
    if not root.exists():
        raise DataError(f"{root}: no such file or folder. Check the path.")
    if root.is_dir():
        sources = _list_folder(root, suffixes)
    elif zipfile.is_zipfile(root):
        sources = list_zip(root, suffixes=suffixes)
    elif root.suffix.lower() == ".zip":
        raise DataError(f"{root}: not a readable zip file. Download it again.")
    else:
        sources = [_from_file(root, root.name)]
    if not sources:
        raise DataError(
            f"{root}: no image found. Expected {', '.join(sorted(suffixes))} files in it."
        )
    return sources


def _from_file(path: Path, name: str) -> Source:
    stat = path.stat()
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return Source(name, stat.st_size, str(stat.st_mtime_ns), path)


def _list_folder(root: Path, suffixes: frozenset[str]) -> list[Source]:
    paths = (
        path
        for path in root.rglob("*")
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    )
    return sorted(
        (_from_file(path, path.relative_to(root).as_posix()) for path in paths),
        key=lambda source: source.name,
    )


def list_zip(
    archived: Path | bytes, name: str | None = None, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[Source]:
    """List the image files in a zip, sorted by name; zips within it are not opened.

    Args:
        archived: a path, or the bytes of a zip.
        name: of the zip in errors; by default the path.
        suffixes: of the files to list, in lower case.

    Raises:
        DataError: damaged, a path that leads out of it, a name twice, or a member that would
            unpack to far more than an image.
    """
    name = name or (str(archived) if isinstance(archived, Path) else "zip")
    archive = Archive(archived, name)
    stamp = str(archived.stat().st_mtime_ns) if isinstance(archived, Path) else ""
    sources = []
    for info in archive.list():
        member = PurePosixPath(info.filename.replace("\\", "/"))
        if member.is_absolute() or ".." in member.parts:
            raise DataError(
                f"{name}: unsafe path {info.filename!r} in the zip. Expected names below its top."
            )
        hidden = member.name.startswith(".") or "__MACOSX" in member.parts
        if info.is_dir() or hidden or member.suffix.lower() not in suffixes:
            continue
        bomb = info.file_size > 1_000_000 and info.file_size > _MAX_RATIO * info.compress_size
        if info.file_size > _MAX_MEMBER_BYTES or bomb:
            raise DataError(
                f"{name}: {info.filename} would unpack to {info.file_size:,} bytes from "
                f"{info.compress_size:,}. Expected images of under {_MAX_MEMBER_BYTES:,} bytes."
            )
        sources.append(
            Source(
                member.as_posix(),
                info.file_size,
                f"{info.CRC}-{stamp}",
                archive,
                info.filename,
            )
        )
    twice = [found for found, times in Counter(s.name for s in sources).items() if times > 1]
    if twice:
        raise DataError(f"{name}: {twice[0]} is in the zip twice. Expected each name once.")
    return sorted(sources, key=lambda source: source.name)


def read_text(source: Source) -> str:
    """Text of a file (UTF-8, with or without a byte order mark).

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        return source.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source.name}: not UTF-8 text ({error.reason}). Save it again as UTF-8."
        ) from error


def compute_stamp(sources: Sequence[Source]) -> str:
    """Hash of names, sizes and stamps: equal when no file changed. 16 hex digits."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.name}\0{source.size}\0{source.stamp}\n".encode())
    return digest.hexdigest()[:16]
