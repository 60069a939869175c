"""A multipart body → image files, in memory only and never slower than allowed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from leukoscope.serve.limits import Limits, RefusedError, UploadedFile, clean_name

__all__ = ["FIELD", "check_length", "read_upload"]

FIELD = "files"


class _Parser(MultiPartParser):
    """Starlette's, but it keeps all files in memory and knows whether the body was whole."""

    def __init__(
        self, headers: Headers, stream: AsyncGenerator[bytes, None], limits: Limits
    ) -> None:
        super().__init__(headers, stream, max_files=limits.images, max_fields=16)
        self.spool_max_size = limits.request_bytes + 1  # beyond it, a file would go to the disk
        self.ended = False

    def on_end(self) -> None:
        self.ended = True


def check_length(headers: Headers, limits: Limits) -> int:
    """Bytes that the body is to have.

    Raises:
        RefusedError: not said, not a multipart form, or too many.
    """
    if not headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise RefusedError(415, "Expected a multipart/form-data body with the images as `files`.")
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise RefusedError(411, "Expected a Content-Length header; bodies in chunks are not taken.")
    if int(length) > limits.request_bytes:
        raise RefusedError(
            413,
            f"A body of {int(length):,} bytes. Expected at most {limits.request_bytes:,}; "
            "send fewer images at once.",
        )
    return int(length)


async def read_upload(request: Request, limits: Limits) -> list[UploadedFile]:
    """Receive the files of a request.

    Raises:
        RefusedError: too slow, not a form that can be read, or another field than `files`.
    """
    parser = _Parser(request.headers, _receive(request, limits), limits)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        status = 413 if error.message.startswith("Too many files") else 400
        raise RefusedError(status, f"The form cannot be read: {error.message}") from error
    except ClientDisconnect as error:
        raise RefusedError(400, "The client went away before its body had come.") from error
    try:
        if not parser.ended:
            raise RefusedError(400, "The form ends too early: its last boundary is missing.")
        return [await _take(name, value) for name, value in form.multi_items()]
    finally:
        await form.close()


async def _take(field: str, value: UploadFile | str) -> UploadedFile:
    if field != FIELD or isinstance(value, str):
        raise RefusedError(422, f"Expected files in the field `{FIELD}`; received {field[:80]!r}.")
    return UploadedFile(clean_name(value.filename or ""), await value.read())


async def _receive(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    """The body's bytes; raises RefusedError when they come too slowly."""
    stream = request.stream().__aiter__()
    end = time.monotonic() + limits.upload_seconds
    while True:
        left = min(limits.idle_seconds, end - time.monotonic())
        try:
            yield await asyncio.wait_for(anext(stream), max(left, 0.001))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RefusedError(408, "The body came too slowly.") from error
