"""A multipart body → image files, in memory only and never slower than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect

from leukoscope.serve.limits import Limits, RefusedError, UploadedFile, clean_name
from leukoscope.serve.queue import Gate, Place

__all__ = ["FIELDS", "check_length", "read_upload"]

FIELDS = ("files", "file")
"""Names of the form's field: ours, and the one that clients for a single file use."""


class _Form:
    """Takes a multipart body in parts; its files are held in memory, never on the disk.

    Attributes:
        files: those received completely.
        ended: whether the last boundary was seen.
    """

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self.files: list[UploadedFile] = []
        self.ended = False
        self._most, self._options = limits.images, dict[bytes, bytes]()
        self._field, self._value, self._data = bytearray(), bytearray(), bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; raises RefusedError or FormParserError."""
        self._parser.write(chunk)

    def close(self) -> None:
        """Let go of the parser, which holds this form: the files would stay in a reference cycle.

        Python looks for such cycles now and then only, however large they are.
        """
        del self._parser

    def _begin(self) -> None:
        if len(self.files) >= self._most:
            raise RefusedError(
                413, f"More than {self._most:,} files. Expected at most so many in one request."
            )
        self._options, self._data = {}, bytearray()

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, self._options = parse_options_header(bytes(self._value))
        self._field, self._value = bytearray(), bytearray()

    def _end_part(self) -> None:
        field = self._options.get(b"name", b"").decode("utf-8", "replace")
        if field not in FIELDS or b"filename" not in self._options:
            raise RefusedError(
                422, f"Expected files in the field `{FIELDS[0]}`; received {field[:80]!r}."
            )
        name = self._options[b"filename"].decode("utf-8", "replace")
        self.files.append(UploadedFile(clean_name(name), bytes(self._data)))
        self._data = bytearray()

    def _end(self) -> None:
        self.ended = True


def check_length(headers: Headers, limits: Limits) -> int:
    """Length of the body in bytes.

    Raises:
        RefusedError: no length, not a multipart form, or too long.
    """
    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RefusedError(415, "Expected a multipart/form-data body with the images as `files`.")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise RefusedError(411, "Expected a Content-Length header; chunked bodies are refused.")
    if int(length) > limits.request_bytes:
        raise RefusedError(
            413,
            f"A body of {int(length):,} bytes. Expected at most {limits.request_bytes:,}; "
            "send fewer images at once.",
        )
    return int(length)


async def read_upload(
    request: Request, limits: Limits, gate: Gate, place: Place
) -> list[UploadedFile]:
    """Receive the files of a request, which then is to be answered.

    Args:
        request: its body is read.
        limits: of the body.
        gate: gave the place, and counts what comes.
        place: of the request.

    Raises:
        RefusedError: too slow, not a form that can be read, or another field than `files`.
    """
    _, options = parse_options_header(request.headers["content-type"])
    form = None
    try:
        form = _Form(options.get(b"boundary", b""), limits)
        async for chunk in _receive(request, limits, place):
            gate.count(place, len(chunk))
            form.write(chunk)
    except FormParserError as error:
        raise RefusedError(400, f"The form cannot be read: {error}.") from error
    except ClientDisconnect as error:
        raise RefusedError(400, "The client went away before its body had arrived.") from error
    finally:
        if form is not None:
            form.close()
    if not form.ended:
        raise RefusedError(400, "The form ends too early: its last boundary is missing.")
    gate.answer(place)
    return form.files


async def _receive(request: Request, limits: Limits, place: Place) -> AsyncGenerator[bytes, None]:
    """The body's bytes; raises RefusedError when they arrive too slowly."""
    now = asyncio.get_running_loop().time
    stream, end = request.stream().__aiter__(), now() + limits.upload_seconds
    due, before = now() + limits.idle_seconds, place.bytes
    while True:
        if place.bytes - before >= limits.idle_bytes:
            due, before = now() + limits.idle_seconds, place.bytes
        try:
            async with asyncio.timeout_at(min(due, end)) as place.timer:
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise _describe_slow(place) from error
        if place.lost:
            raise _describe_slow(place)
        yield chunk


def _describe_slow(place: Place) -> RefusedError:
    words = "The body arrived too slowly"
    if place.lost:
        return RefusedError(503, f"{words}, and others waited. Try again in 10 s.", 10)
    return RefusedError(408, f"{words}.")
