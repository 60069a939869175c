"""Clients that send slowly, or hold much, do not keep the others waiting, nor the memory."""

from __future__ import annotations

import http.client
import platform
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from leukoscope.simulate import simulate_pairs
from test_serve import encode, serve

KIND = "multipart/form-data; boundary=edge"


@pytest.fixture(scope="module")
def cell() -> bytes:
    """The body of a request with one simulated cell."""
    return build_body(encode(simulate_pairs(1, 5)[0][0]))


def build_body(*images: bytes) -> bytes:
    parts = (
        b'--edge\r\nContent-Disposition: form-data; name="files"; filename="%d.png"\r\n\r\n%s\r\n'
        % (place, image)
        for place, image in enumerate(images)
    )
    return b"".join(parts) + b"--edge--\r\n"


def find_port(address: str) -> int:
    return int(address.split(":")[2].split("/", maxsplit=1)[0])


def ask(port: int, body: bytes, path: str = "/v1/predict") -> tuple[int, float]:
    """Status of a response, and the seconds that it took."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", path, body, {"Content-Type": KIND})
    status = connection.getresponse().status
    connection.close()
    return status, time.monotonic() - started


@contextmanager
def trickle(port: int, clients: int, head: bytes) -> Iterator[None]:
    """Clients that send a head, and from then on one byte each now and then."""
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(clients)
        ]
        for line in lines:
            line.sendall(head)
        ended = threading.Event()

        def go_on() -> None:
            while not ended.wait(0.2):
                for line in lines:
                    try:
                        line.send(b"-")
                    except OSError:  # the server had enough
                        continue

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def write_head(length: int, path: str = "/v1/predict", kind: str = KIND) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
        f"Content-Type: {kind}\r\n\r\n--edge\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("clients", "head"),
    [
        (128, write_head(9_999)),
        (300, write_head(9_999)),
        (128, write_head(200_000_000)),  # which promise more than there is memory
        (128, write_head(9_999, "/v1/explain")),
        (600, b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Long: "),  # a head without end
        (600, write_head(9_999, kind="text/plain")),  # refused, and they go on sending
    ],
)
def test_clients_that_trickle_keep_nobody_waiting(clients: int, head: bytes, cell: bytes) -> None:
    with serve() as (_, address):
        port = find_port(address)
        assert ask(port, cell)[0] == 200
        with trickle(port, clients, head):
            time.sleep(1)  # they are all there
            asked = [ask(port, cell) for _ in range(3)]
            assert [status for status, _ in asked] == [200] * 3
            assert min(seconds for _, seconds in asked) < 2
            if b"explain" in head:
                assert ask(port, cell, "/v1/explain")[0] == 200


def test_a_client_behind_a_proxy_loses_a_place_of_its_own(cell: bytes) -> None:
    code = (
        "from leukoscope.serve import Limits, Proxy, run_server\n"
        "from leukoscope.inference.model import Classifier, find_shipped_model\n"
        "run_server(Classifier(find_shipped_model()), '127.0.0.1', 0, token=None, proxy=Proxy(),\n"
        "  limits=Limits(receiving=4), on_start=lambda a: print(a, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = find_port(process.stdout.readline())
        with ExitStack() as stack:
            lines = []
            for client in ("192.0.2.1", "192.0.2.2", "192.0.2.2"):
                line = socket.create_connection(("127.0.0.1", port), timeout=5)
                lines.append(stack.enter_context(line))
                told = f"\r\nX-Forwarded-For: 198.51.100.9, {client}\r\n".encode()
                line.sendall(write_head(9_999).replace(b"\r\n", told, 1))
                time.sleep(0.1)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {"Content-Type": KIND, "X-Forwarded-For": "192.0.2.2"}
            connection.request("POST", "/v1/predict", cell, headers)
            assert connection.getresponse().status == 200
            connection.close()
            said = [read_now(line) for line in lines]
            assert said[0] == b""  # though it came first, and as slowly
            assert sorted(text[:12] for text in said[1:]) == [b"", b"HTTP/1.1 503"]
    finally:
        process.kill()
        process.communicate()


def read_now(line: socket.socket) -> bytes:
    line.setblocking(False)
    try:
        return line.recv(9_999)
    except BlockingIOError:
        return b""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="SKIPPED: the C library is not glibc")
def test_memory_comes_back_after_many_clients() -> None:
    rgb = np.random.default_rng(3).integers(0, 255, (450, 450, 3), np.uint8)
    body = build_body(*[encode(rgb, "BMP")] * 4)
    with serve() as (process, address):

        def read_memory() -> float:
            """Resident memory of the server in MB; not that of whoever waits for it."""
            status = Path(f"/proc/{process.pid}/status").read_text()
            return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1000

        port, before = find_port(address), read_memory()
        with ThreadPoolExecutor(64) as pool:
            assert {status for status, _ in pool.map(ask, [port] * 64, [body] * 64)} == {200}
        end = time.monotonic() + 20
        while read_memory() > before + 100 and time.monotonic() < end:
            time.sleep(0.2)
        assert read_memory() < before + 100
