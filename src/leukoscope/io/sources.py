"""A folder or a zip → the image files in it, readable one by one without unpacking."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from leukoscope.errors import DataError
from leukoscope.io.archives import Archive, check_member, find_fault, name_archive
from leukoscope.io.images import IMAGE_SUFFIXES

__all__ = ["Archive", "Source", "compute_stamp", "list_sources", "list_zip", "tidy_name"]

_PRIVATE = frozenset(
    {"__macosx", "__pycache__", "$recycle.bin", "system volume information", "@eadir", "lost+found"}
)
"""Folders that systems and programs keep for themselves, in lower case."""


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

    Symbolic links are followed, and zips in a folder are opened. Hidden files and folders are
    left out: names that begin with a dot, and what systems keep for themselves.

    Raises:
        DataError: nothing there, no image in it, an archive of another kind, or a zip that is
            damaged or unsafe.
    """
    if not root.exists():
        raise DataError(f"{root}: no such file or folder. Check the path.")
    if root.is_dir():
        sources = sorted(_walk(root, suffixes), key=lambda source: source.name)
    elif not root.is_file():
        raise DataError(f"{root}: a device or a pipe. Expected an image, a folder or a zip.")
    elif zipfile.is_zipfile(root):
        sources = list_zip(root, suffixes=suffixes)
    elif root.suffix.lower() == ".zip":
        raise DataError(f"{root}: not a readable zip file. Download it again.")
    elif kind := name_archive(root):
        raise DataError(f"{root}: a {kind} archive. Unpack it, and give the folder.")
    else:
        sources = [_from_file(root, root.name)]
    if not sources:
        raise DataError(
            f"{root}: no image found. Expected {', '.join(sorted(suffixes))} files in it."
        )
    return sources


def _from_file(path: Path, name: str) -> Source:
    try:
        stat = path.stat()
    except OSError:  # a link to nothing: reading it tells
        return Source(_name(name), 0, "", path)
    return Source(_name(name), stat.st_size, str(stat.st_mtime_ns), path)


def _name(name: str) -> str:
    """A file name as text; its bytes that are no UTF-8 each as "\ufffd" and two digits."""
    return re.sub("[\udc80-\udcff]", lambda byte: f"\ufffd{ord(byte[0]) - 0xDC00:02X}", name)


def _walk(
    folder: Path, suffixes: frozenset[str], above: str = "", within: tuple[str, ...] = ()
) -> Iterator[Source]:
    """Files of a folder; `within` are the folders that it lies in, as a link may lead back."""
    place = os.path.realpath(folder)
    if place in within:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}).") from error
    for entry in entries:
        path, name = Path(entry.path), above + entry.name
        if _is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(path, suffixes, f"{name}/", (*within, place))
        elif not (entry.is_file() or path.is_symlink()):  # a pipe would never end
            continue
        elif path.suffix.lower() == ".zip":
            yield from _walk_zip(path, _name(name), suffixes)
        elif path.suffix.lower() in suffixes:
            yield _from_file(path, name)


def _walk_zip(path: Path, name: str, suffixes: frozenset[str]) -> list[Source]:
    """Files of a zip that lies in a folder; a damaged one is a file that cannot be read."""
    try:
        inside = list_zip(path, name, suffixes)
    except DataError:
        return [Source(name, 0, "", Archive(path, name))]
    return [replace(source, name=f"{name}/{source.name}") for source in inside]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _PRIVATE


def list_zip(
    archived: Path | bytes, name: str | None = None, suffixes: frozenset[str] = IMAGE_SUFFIXES
) -> list[Source]:
    """List the image files in a zip, sorted by name; zips within it are not opened.

    Args:
        archived: a path, or the bytes of a zip.
        name: of the zip in errors; by default the path.
        suffixes: of the files to list, in lower case.

    Raises:
        DataError: damaged, encrypted, packed by a method that cannot be read, a path that leads
            out of it, a name twice, or a member that would unpack to far more than an image.
    """
    name = name or (str(archived) if isinstance(archived, Path) else "zip")
    archive = Archive(archived, name)
    stamp = str(archived.stat().st_mtime_ns) if isinstance(archived, Path) else ""
    sources, faults, others = [], [], 0
    for info in archive.list():
        member = PurePosixPath(info.filename.replace("\\", "/"))
        if member.is_absolute() or ".." in member.parts:
            raise DataError(
                f"{name}: unsafe path {info.filename!r} in the zip. Expected names below its top."
            )
        if info.is_dir() or any(map(_is_hidden, member.parts)):
            continue
        others += member.suffix.lower() == ".zip"
        if member.suffix.lower() not in suffixes:
            continue
        check_member(info, name)
        faults += [fault] if (fault := find_fault(info)) else []
        mark = f"{info.CRC}-{stamp}"
        sources.append(Source(member.as_posix(), info.file_size, mark, archive, info.filename))
    if sources and len(faults) == len(sources):
        raise DataError(f"{name}: {faults[0]}.")
    if others and not sources:
        raise DataError(f"{name}: it holds {others} zips and no image. Unpack it first.")
    twice = [found for found, times in Counter(s.name for s in sources).items() if times > 1]
    if twice:
        raise DataError(f"{name}: {twice[0]} is in the zip twice. Expected each name once.")
    return sorted(sources, key=lambda source: source.name)


def tidy_name(name: str) -> str:
    """An image's name as it may be written elsewhere, in one form.

    With "/" between folders, without "./" before them, and letters with accents as one character.

    >>> tidy_name("./a\\\\b.png")
    'a/b.png'
    """
    return unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).as_posix())


def compute_stamp(sources: Sequence[Source]) -> str:
    """Hash of names, sizes and stamps: equal when no file changed. 16 hex digits."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(f"{source.name}\0{source.size}\0{source.stamp}\n".encode())
    return digest.hexdigest()[:16]
