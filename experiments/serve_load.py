"""Requests a second and waiting times of `leukoscope serve` on loopback, one cell a request.

    leukoscope serve --port 8123 &
    python experiments/serve_load.py 8123

Each client keeps its connection and sends the next request when it has its response. A 503 is
counted and tried again after the time it names.
"""

from __future__ import annotations

import http.client
import io
import json
import sys
import threading
import time

import numpy as np
from PIL import Image

from leukoscope.simulate import simulate_pairs


def build_body(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(simulate_pairs(1, 1)[0][0]).save(buffer, kind)
    head = (
        "--edge\r\nContent-Disposition: form-data; "
        f'name="files"; filename="cell.{kind.lower()}"\r\n\r\n'
    )
    return head.encode() + buffer.getvalue() + b"\r\n--edge--\r\n"


def run_client(port: int, body: bytes, end: float, seconds: list[float], busy: list[int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    while (started := time.monotonic()) < end:
        headers = {"Content-Type": "multipart/form-data; boundary=edge"}
        connection.request("POST", "/v1/predict", body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        if answer.status == 503:
            busy.append(1)
            time.sleep(float(answer.headers["Retry-After"]))
            continue
        assert answer.status == 200 and found["rows"][0]["probability"] is not None, found
        seconds.append(time.monotonic() - started)


def main(port: int, duration: float = 15) -> None:
    for kind in ("BMP", "PNG"):
        body = build_body(kind)
        for clients in (1, 8, 64):
            seconds: list[float] = []
            busy: list[int] = []
            end = time.monotonic() + duration
            threads = [
                threading.Thread(target=run_client, args=(port, body, end, seconds, busy))
                for _ in range(clients)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            median, last = np.percentile(seconds, [50, 99]) * 1000
            print(
                f"{kind} {clients:2} clients: {len(seconds) / duration:6.1f} requests/s, "
                f"p50 {median:.0f} ms, p99 {last:.0f} ms, {len(busy)} busy"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]))
