"""Limits of one request, and of all together."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from PIL import Image

from leukoscope.errors import DataError
from leukoscope.io.images import IMAGE_SUFFIXES
from leukoscope.io.sources import Source, list_zip

__all__ = [
    "Limits",
    "RefusedError",
    "UploadedFile",
    "clean_name",
    "list_uploaded",
    "narrow",
    "take_single",
]

_FORM_BYTES = 10_000  # of a form around its one file


class RefusedError(Exception):
    """A request is refused.

    Attributes:
        status: of HTTP.
        retry_after: seconds after which it may be tried again; None where a retry will not help.
    """

    def __init__(self, status: int, words: str, retry_after: int | None = None) -> None:
        super().__init__(words)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True)
class Limits:
    """Limits beyond which requests are refused.

    Attributes:
        request_bytes: of one request's body.
        images: in one request, those in zips counted.
        unpacked_bytes: of all images in one request's zips.
        image_bytes: of one image file.
        pixels: of all images of one request, by their headers (one image: `pixels` has a limit).
        requests: being answered at once; more get a 503.
        receiving: requests whose bodies come at once, and half as many of one client; more take the
            place of the slowest, or get a 503.
        held_bytes: of all bodies held in memory at once.
        explanations: being received, waiting or made at once; one is made at a time.
        explanation_seconds: in which one must be made, else it is aborted for others' predictions.
        idle_seconds: in which `idle_bytes` of a body, or its rest, must arrive.
        idle_bytes: see `idle_seconds`.
        upload_seconds: in which its whole body must arrive.
    """

    request_bytes: int = 256_000_000
    images: int = 1000
    unpacked_bytes: int = 1_000_000_000
    image_bytes: int = 64_000_000
    pixels: int = 500_000_000
    requests: int = 128
    receiving: int = 256
    held_bytes: int = 1_000_000_000
    explanations: int = 4
    explanation_seconds: float = 60.0
    idle_seconds: float = 15.0
    idle_bytes: int = 64_000
    upload_seconds: float = 300.0


@dataclass(frozen=True)
class UploadedFile:
    """One file of an upload: the name that it was sent under, and its bytes."""

    name: str
    data: bytes


def clean_name(name: str) -> str:
    """A sent name without control characters, and without path components such as "..".

    No name is used as a path here; this protects users of the response.
    """
    shown = "".join(letter for letter in name if letter.isprintable())
    parts = [part for part in PurePosixPath(shown.replace("\\", "/")).parts if part != ".."]
    return "/".join(part for part in parts if part.strip("/")) or "image"


def narrow(limits: Limits) -> Limits:
    """The limits of a request that holds one image."""
    most = limits.image_bytes + _FORM_BYTES
    return replace(limits, request_bytes=min(limits.request_bytes, most))


def take_single(files: Sequence[UploadedFile]) -> UploadedFile:
    """The one image of an upload.

    Raises:
        RefusedError: none, several, or a zip.
    """
    if len(files) != 1:
        raise RefusedError(422, f"Expected one image to explain; received {len(files):,} files.")
    if _is_zip(files[0]):
        raise RefusedError(
            422, f"{files[0].name}: a zip. Expected one image to explain; send it alone."
        )
    return files[0]


def list_uploaded(files: Sequence[UploadedFile], limits: Limits) -> list[UploadedImage]:
    """The images of an upload in its order, zips opened in memory.

    Raises:
        RefusedError: no image, too many, or a zip that is damaged or would unpack to too much.
    """
    sources: list[Source] = []
    unpacked = 0
    for file in files:
        if not _is_zip(file):
            sources.append(_from_upload(file))
            continue
        try:
            inside = list_zip(file.data, file.name)
        except DataError as error:
            raise RefusedError(422, str(error)) from error
        unpacked += sum(source.size for source in inside)
        sources.extend(inside)
    if not sources:
        raise RefusedError(422, "No image received. Expected image files, or zips of them.")
    if len(sources) > limits.images:
        raise RefusedError(
            413, f"{len(sources):,} images. Expected at most {limits.images:,} in one request."
        )
    if unpacked > limits.unpacked_bytes:
        raise RefusedError(
            413,
            f"The zips would unpack to {unpacked:,} bytes. Expected at most "
            f"{limits.unpacked_bytes:,} in one request.",
        )
    count = _count_pixels(limits)
    return [UploadedImage(source, limits, count) for source in sources]


def _is_zip(file: UploadedFile) -> bool:
    suffix = PurePosixPath(file.name.lower()).suffix
    return suffix == ".zip" or (
        file.data.startswith(b"PK\x03\x04") and suffix not in IMAGE_SUFFIXES
    )


def _from_upload(file: UploadedFile) -> Source:
    return Source(file.name, len(file.data), "", file.data)


@dataclass(frozen=True)
class UploadedImage:
    """An image of an upload: what is too large is refused before it is decoded, in an error row."""

    source: Source
    limits: Limits
    count: Callable[[bytes], bool]

    @property
    def name(self) -> str:
        """Of the file."""
        return self.source.name

    def read(self) -> bytes:
        """Its bytes; raises DataError where it is too large."""
        if self.source.size > self.limits.image_bytes:
            raise DataError(
                f"{self.name}: {self.source.size:,} bytes. Expected an image of at most "
                f"{self.limits.image_bytes:,}."
            )
        data = self.source.read()
        if not self.count(data):
            raise DataError(
                f"{self.name}: beyond the {self.limits.pixels:,} pixels of one request. "
                "Send it in another."
            )
        return data


def _count_pixels(limits: Limits) -> Callable[[bytes], bool]:
    """Adds up the pixels that headers promise; tells whether they are still within the limit."""
    lock = threading.Lock()
    total = 0

    def count(data: bytes) -> bool:
        nonlocal total
        try:
            with Image.open(io.BytesIO(data)) as image:
                promised = image.width * image.height
        except Exception:  # the decoder will say what is wrong with it
            promised = 0
        with lock:
            fits = total + promised <= limits.pixels
            total += promised if fits else 0
        return fits

    return count
