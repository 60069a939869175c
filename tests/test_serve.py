"""The server: predict's own numbers, and every limit and refusal."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

pytest.importorskip("fastapi", reason="needs the extra serve")

from starlette.testclient import TestClient

from leukoscope.errors import DataError
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.io.images import read_image
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.serve import Limits, build_app, choose_token
from leukoscope.serve.limits import RefusedError, UploadedFile, clean_name, list_uploaded
from leukoscope.serve.queue import Batcher, Gate, Place
from leukoscope.simulate import Cohort, simulate_pairs

LOCAL = "http://127.0.0.1"
SMALL = Limits(request_bytes=3_000_000, images=4, unpacked_bytes=4_000_000, pixels=900_000)


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier(find_shipped_model())


@contextmanager
def ask(classifier: Any, limits: Limits = SMALL, **options: Any) -> Iterator[TestClient]:
    with TestClient(build_app(classifier, limits, **options), base_url=LOCAL) as client:
        yield client


@pytest.fixture
def client(classifier: Classifier) -> Iterator[TestClient]:
    with ask(classifier) as client:
        yield client


@pytest.fixture(scope="session")
def cells() -> list[bytes]:
    """Simulated cells as PNG files."""
    return [encode(rgb) for rgb in simulate_pairs(6, 5)[0]]


def encode(rgb: Any, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind)
    return buffer.getvalue()


def pack(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def post(client: TestClient, *files: tuple[str, bytes], expect: int = 200, **options: Any) -> Any:
    """Send files; the answer's JSON."""
    sent = [("files", (name, data)) for name, data in files]
    answer = client.post("/v1/predict", files=sent, **options)
    assert answer.status_code == expect, answer.text
    return answer.json()


# --- one pipeline


def drop_boxes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name not in ("box", "crop_hash")} for row in rows]


def test_api_and_command_line_give_the_same_number(
    client: TestClient, cohort: Cohort, cells: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "cells").mkdir()
    names = [f"{number}.png" for number in range(4)]
    for name, data in zip(names, cells, strict=False):
        (tmp_path / "cells" / name).write_bytes(data)
    (tmp_path / "cells" / "3.png").write_bytes(b"no image")
    done = subprocess.run(
        [sys.executable, "-m", "leukoscope", "predict", str(tmp_path / "cells"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [json.loads(line) for line in done.stdout.splitlines()]
    files = [(name, (tmp_path / "cells" / name).read_bytes()) for name in names]
    rows = post(client, *files)["rows"]
    boxes = [row["box"] for row in rows]  # where the page finds the cell
    assert [bool(row["crop_hash"]) for row in rows] == [True, True, True, False]
    assert drop_boxes(rows) == expected  # to the last digit
    assert boxes == [[0, 0, 450, 450]] * 3 + [None]
    assert drop_boxes(post(client, ("all.zip", pack(dict(files))))["rows"]) == expected
    alone = [post(client, file)["rows"][0] for file in files]
    assert drop_boxes(alone) == expected


def test_a_response_states_threshold_and_expected_performance(
    client: TestClient, classifier: Classifier, cells: list[bytes]
) -> None:
    answer = post(client, ("a.png", cells[0]))
    assert answer["notice"] == RESEARCH_ONLY
    assert answer["threshold"] == answer["called_at"] == classifier.threshold
    assert answer["expected"].startswith("Expected on new people")
    for asked in ({"operating_point": "sensitive"}, {"sensitive": True}):  # the old name
        sensitive = post(client, ("a.png", cells[0]), params=asked)
        assert sensitive["called_at"] == classifier.sensitive_threshold < classifier.threshold
    balanced = post(client, ("a.png", cells[0]), params={"operating_point": "balanced"})
    assert balanced["called_at"] == classifier.threshold
    model = client.get("/v1/model").json()
    assert model["metadata"] == json.loads(classifier.metadata.to_json())
    assert model["limits"]["images"] == SMALL.images


@pytest.mark.parametrize(
    ("path", "query", "words"),
    [
        ("predict", "operating_point=high", "'balanced' or 'sensitive'"),
        ("predict", "operatingpoint=sensitive", "unknown. .* Did you mean operating_point?"),
        ("predict", "sensitive=true&operating_point=balanced", "the old name"),
        ("predict", "operating_point=sensitive&operating_point=balanced", "given twice"),
        ("predict", "threshold=0.2", "query.threshold: unknown"),
        ("explain", "sensitive=true", "query.sensitive: unknown. Expected threshold"),
        ("explain", "treshold=0.3", "query.treshold: unknown. .* Did you mean threshold?"),
    ],
)
def test_a_query_is_never_passed_over(
    client: TestClient, cells: list[bytes], path: str, query: str, words: str
) -> None:
    answer = client.post(f"/v1/{path}?{query}", files=[("files", ("a.png", cells[0]))])
    assert answer.status_code == 422
    assert re.search(words, answer.json()["detail"])


def test_routes_without_parameters_take_none(client: TestClient) -> None:
    for path in ("/v1/model", "/v1/samples.zip", "/healthz", "/metrics"):
        answer = client.get(f"{path}?treshold=0.3")
        assert answer.status_code == 422, path
        assert answer.json()["detail"] == "query.treshold: unknown. Expected no parameter."
    assert client.get("/?from=a-link").status_code == 200  # the page is for people


def test_head_gives_the_headers_of_get(client: TestClient) -> None:
    for path in (
        *("/", "/docs", "/openapi.json", "/page/app.js", "/v1/model", "/v1/samples.zip"),
        *("/healthz", "/metrics", "/nothing", "/v1/model?x=1", "/v1/predict"),
    ):
        got, head = client.get(path), client.head(path)
        assert head.status_code == got.status_code and head.content == b"", path
        kept = {"content-length", "etag", "x-request-id"} if path == "/metrics" else set()
        assert {k: v for k, v in head.headers.items() if k not in kept} == {
            k: v for k, v in got.headers.items() if k not in kept
        }, path
    assert client.post("/healthz").headers["Allow"] == "GET, HEAD"
    assert client.head("/v1/predict").headers["Allow"] == "POST"


def test_the_field_may_be_called_file(client: TestClient, cells: list[bytes]) -> None:
    for path in ("/v1/predict", "/v1/predict", "/v1/explain"):
        sent = [("file", ("a.png", cells[0]))]
        assert client.post(path, files=sent).status_code == 200
    both = [("file", ("a.png", cells[0])), ("files", ("b.png", cells[1]))]
    rows = client.post("/v1/predict", files=both).json()["rows"]
    assert [row["image"] for row in rows] == ["a.png", "b.png"]


def test_an_image_that_cannot_be_read_is_a_row(client: TestClient, cells: list[bytes]) -> None:
    grey = encode(np.full((9, 9), 7, np.uint8))
    rows = post(client, ("a.png", b""), ("b.png", grey), ("c.bmp", cells[0][:900]))["rows"]
    assert [row["call"] for row in rows] == ["error"] * 3
    assert [row["probability"] for row in rows] == [None] * 3
    assert "empty" in rows[0]["warnings"] and "greyscale" in rows[1]["warnings"]


def test_many_at_once_get_their_own_predictions(classifier: Classifier, cells: list[bytes]) -> None:
    with ask(classifier, replace(SMALL, images=50)) as client:
        alone = [post(client, (f"{n}.png", data))["rows"] for n, data in enumerate(cells)]
        found: dict[int, Any] = {}

        def work(number: int) -> None:
            place = number % len(cells)
            found[number] = post(client, (f"{place}.png", cells[place]))["rows"]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found[number] == alone[number % len(cells)] for number in range(24))


def test_samples_are_simulated_and_say_so(client: TestClient) -> None:
    data = client.get("/v1/samples.zip").content
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
    assert "SIMULATED.txt" in names and len(names) == 151
    assert all(name.startswith("simulated/UID_") for name in names if name.endswith(".png"))


# --- limits


def test_too_many_files_or_bytes(client: TestClient, cells: list[bytes]) -> None:
    many = [(f"{n}.png", cells[0]) for n in range(5)]
    assert "More than 4 files" in post(client, *many, expect=413)["detail"]
    inside = pack({f"{n}.png": cells[0] for n in range(5)})
    assert "at most 4" in post(client, ("a.zip", inside), expect=413)["detail"]
    large = ("a.png", b"\0" * SMALL.request_bytes)
    assert "fewer images" in post(client, large, expect=413)["detail"]


def test_bombs(client: TestClient, cells: list[bytes]) -> None:
    bomb = pack({"a.bmp": b"\0" * 250_000_000})
    assert "would unpack" in post(client, ("a.zip", bomb), expect=422)["detail"]
    large = pack({f"{n}.bmp": os.urandom(1000) + b"\0" * 1_300_000 for n in range(4)})
    assert "would unpack" in post(client, ("a.zip", large), expect=413)["detail"]
    wide = encode(np.zeros((7200, 7200, 3), np.uint8))  # 52 megapixels in 150 kB
    rows = post(client, ("wide.png", wide), ("cell.png", cells[0]))["rows"]
    assert rows[0]["call"] == "error" and "900,000 pixels" in rows[0]["warnings"]
    assert rows[1]["call"] != "error"


def test_the_pixels_of_a_request_are_counted_together(
    client: TestClient, cells: list[bytes]
) -> None:
    five = [UploadedFile(f"{n}.png", cells[0]) for n in range(4)]
    reads = [source.read for source in list_uploaded(five, replace(SMALL, pixels=500_000))]
    assert len(reads[0]()) and len(reads[1]())
    with pytest.raises(DataError, match="Send it in another"):
        reads[2]()


def test_zips_within_zips_are_not_opened(client: TestClient, cells: list[bytes]) -> None:
    inner = pack({"a.png": cells[0]})
    found = post(client, ("a.zip", pack({"b.zip": inner})), expect=422)
    assert "holds 1 zips and no image" in found["detail"]
    rows = post(client, ("a.zip", pack({"b.zip": inner, "c.png": cells[1]})))["rows"]
    assert [row["image"] for row in rows] == ["c.png"]


def test_names_lead_nowhere(client: TestClient, cells: list[bytes]) -> None:
    for name in ("../a.png", "/a.png", "x/../../a.png", "..\\a.png"):
        words = post(client, ("a.zip", pack({name: cells[0]})), expect=422)["detail"]
        assert "unsafe path" in words, name
    rows = post(client, ("../../etc/a.png", cells[0]), ("C:\\x\\b.png", cells[1]))["rows"]
    assert [row["image"] for row in rows] == ["etc/a.png", "b.png"]
    assert clean_name("/..//") == "image" and clean_name("a\0\n\x1b.png") == "a.png"


def test_damaged_zips(client: TestClient, cells: list[bytes]) -> None:
    whole = pack({"a.png": cells[0]}, zipfile.ZIP_STORED)
    for data in (b"", b"PK\x03\x04", whole[: len(whole) // 2]):
        assert "damaged" in post(client, ("a.zip", data), expect=422)["detail"]
    spoilt = whole.replace(cells[0][100:110], b"0123456789")
    (row,) = post(client, ("a.zip", spoilt))["rows"]
    assert row["call"] == "error" and "damaged" in row["warnings"]
    (row,) = post(client, ("a.bmp", whole))["rows"]  # the name says: one image
    assert row["call"] == "error"


def test_forms_that_cannot_be_read(client: TestClient) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc'
    for headers, body, status in (
        ({"Content-Type": "application/json"}, b"{}", 415),
        ({"Content-Type": "multipart/form-data"}, b"", 400),
        (kind, b"", 400),
        (kind, b"rubbish", 400),
        (kind, part, 400),  # cut off: nothing of it is predicted
        (kind, part.replace(b"files", b"other") + b"\r\n--x--\r\n", 422),
        (kind, part.replace(b'; name="files"', b"") + b"\r\n--x--\r\n", 422),
        (kind, b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\na\r\n--x--\r\n', 422),
        (kind, b"--x--\r\n", 422),
    ):
        answer = client.post("/v1/predict", headers=headers, content=body)
        assert (answer.status_code, list(answer.json())) == (status, ["detail"]), (body, answer)
    answer = client.post("/v1/predict", headers=kind, content=iter([part]))
    assert answer.status_code == 411


def test_a_full_queue_says_when_to_come_back(classifier: Classifier, cells: list[bytes]) -> None:
    held, go_on = threading.Event(), threading.Event()

    class Slow:
        metadata, threshold, name = classifier.metadata, classifier.threshold, classifier.name
        sensitive_threshold, decision = classifier.sensitive_threshold, classifier.decision
        give_memory_back = classifier.give_memory_back

        def predict_batch(self, crops: Any) -> Any:
            held.set()
            assert go_on.wait(30)
            return classifier.predict_batch(crops)

    with ask(Slow(), replace(SMALL, requests=1)) as client:
        first = threading.Thread(target=post, args=(client, ("a.png", cells[0])))
        first.start()
        assert held.wait(30)
        answer = client.post("/v1/predict", files=[("files", ("b.png", cells[1]))])
        assert answer.status_code == 503 and 1 <= int(answer.headers["Retry-After"]) <= 30
        assert client.get("/healthz").json() == {"status": "ok"}
        go_on.set()
        first.join()
        post(client, ("b.png", cells[1]))  # there is room again


def test_memory_for_bodies_is_bounded() -> None:
    async def fill() -> None:
        gate = Gate(replace(SMALL, held_bytes=100))
        async with gate.enter("a", 60) as place:
            gate.count(place, 60)
            gate.answer(place)
            with pytest.raises(RefusedError, match="Busy"):
                async with gate.enter("b", 60):
                    pass
            async with gate.enter("b", 40) as other:
                with pytest.raises(RefusedError, match="Busy"):
                    gate.count(other, 41)  # more than it had promised
        assert gate.inside == 0

    asyncio.run(fill())


def test_a_slow_body_loses_its_place_to_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukoscope.serve.queue._SPEED_SECONDS", 0.01)

    async def fill() -> None:
        gate = Gate(replace(SMALL, receiving=4, held_bytes=1000))
        async with AsyncExitStack() as stack:

            async def enter(client: str, length: int = 1) -> Place:
                return await stack.enter_async_context(gate.enter(client, length))

            slow = [await enter("a"), await enter("a")]
            slow[1].count(1)
            await asyncio.sleep(0.02)
            fast = [await enter("a")]  # a client has half of the places at most
            assert [place.lost for place in slow] == [True, False]
            fast += [await enter("b"), await enter("c"), await enter("d")]
            assert [place.lost for place in slow] == [True, True]
            assert not any(place.lost for place in fast)

    asyncio.run(fill())


def test_the_promise_of_a_slow_body_holds_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukoscope.serve.queue._SPEED_SECONDS", 0.01)

    async def fill() -> None:
        gate = Gate(replace(SMALL, held_bytes=1000))
        async with gate.enter("a", 900) as slow:
            gate.count(slow, 300)
            await asyncio.sleep(0.02)
            async with gate.enter("b", 700):
                assert not slow.lost
                with pytest.raises(RefusedError, match="Busy"):
                    gate.count(slow, 701)
        async with gate.enter("a", 900) as slow:
            gate.count(slow, 300)
            await asyncio.sleep(0.02)
            async with gate.enter("b", 800):
                assert slow.lost

    asyncio.run(fill())


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_nothing_of_a_request_waits_for_the_collector(
    client: TestClient, cells: list[bytes]
) -> None:
    """Images in a reference cycle would stay for as long as Python finds no cause to look."""
    good, bad = ("files", ("a.png", cells[0])), ("files", ("a.zip", b"PK"))
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    cut = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nab'
    with without_collector():
        for path in ("/v1/predict", "/v1/explain"):
            for files in ([good], [good, bad], [good, ("other", ("a", b""))]):
                client.post(path, files=files)
            client.post(path, headers=kind, content=cut)
            client.post(path, headers=kind, content=cut + b"\r\n--x\r\nrubbish")
        found = {type(thing).__name__ for thing in gc.get_objects()}
    assert not found & {"UploadedFile", "UploadedImage", "Source", "Cell", "Place", "_Form"}


def test_the_batcher_gathers_and_hands_errors_back(classifier: Classifier) -> None:
    crops = np.zeros((3, 225, 225, 3), np.uint8)
    sizes: list[int] = []
    batcher = Batcher(classifier, sizes.append)
    assert batcher.predict_batch(crops).tolist() == classifier.predict_batch(crops).tolist()
    with pytest.raises(Exception, match="dimension"):
        batcher.predict_batch(crops[:, :9])
    assert batcher.predict_batch(crops[:1]).shape == (1, 2)  # the worker is still there
    batcher.close()
    assert sizes == [3, 3, 1]


def test_nothing_of_an_upload_stays_on_disk(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[str] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(
        tempfile, "TemporaryFile", lambda *a, **k: made.append("file") or io.BytesIO()
    )
    monkeypatch.setattr(
        tempfile.SpooledTemporaryFile, "rollover", lambda self: made.append("rolled over")
    )
    post(client, ("a.png", b"\0" * 2_500_000), ("b.zip", pack({"a.png": b"x" * 200_000})))
    assert made == [] and list(tmp_path.iterdir()) == []


# --- access control


def test_only_this_machines_names_are_taken_on_loopback(client: TestClient) -> None:
    for host in ("localhost", "127.0.0.1:8000", "[::1]:9"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.7"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 421, host


def test_other_sites_are_refused(client: TestClient, cells: list[bytes]) -> None:
    post(client, ("a.png", cells[0]), headers={"Origin": LOCAL})
    for origin in ("http://evil.example", "null", "http://127.0.0.1:81"):
        post(client, ("a.png", cells[0]), headers={"Origin": origin}, expect=403)
    answer = client.options("/v1/predict", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_token_is_required(classifier: Classifier, cells: list[bytes]) -> None:
    with ask(classifier, token="open-sesame", loopback=False) as client:
        for path in ("/v1/model", "/metrics", "/v1/samples.zip"):
            for sent in ("", "Bearer", "Bearer open", "Basic open-sesame", "Bearer öpen"):
                answer = client.get(path, headers={"Authorization": sent.encode("latin-1")})
                assert answer.status_code == 401, (path, sent)
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        post(client, ("a.png", cells[0]), expect=401)
        right = {"Authorization": "Bearer open-sesame"}
        post(client, ("a.png", cells[0]), headers=right)
        assert client.get("/metrics", headers=right).status_code == 200
        assert client.get("/healthz").status_code == client.get("/").status_code == 200


def test_a_token_is_made_where_others_can_connect() -> None:
    assert choose_token("127.0.0.1", None) is choose_token("::1", None) is None
    assert choose_token("localhost", " mine ") == "mine"
    made = {choose_token("0.0.0.0", None), choose_token("0.0.0.0", None)}
    assert len(made) == 2 and all(len(token or "") >= 32 for token in made)
    with pytest.raises(Exception, match="Expected a token"):
        choose_token("0.0.0.0", "  ")


def test_every_response_has_the_headers(client: TestClient) -> None:
    for path in ("/", "/page/app.js", "/v1/model", "/nothing", "/metrics", "/v1/predict"):
        headers = client.get(path).headers
        assert "script-src 'self';" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "server" not in headers
    assert client.get("/page/app.js").headers["Content-Type"].startswith("text/javascript")
    assert client.get("/page/../app.py").status_code == 404


def test_the_page_asks_for_nothing_from_elsewhere(client: TestClient) -> None:
    page = Path(str(sys.modules["leukoscope.serve"].__file__)).parent / "page"
    for path in page.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|<script>|\son\w+=|style=|innerHTML|eval\(", text), path
    assert RESEARCH_ONLY in client.get("/").text


def test_metrics_count_without_names(client: TestClient, cells: list[bytes]) -> None:
    post(client, ("UID_77_1_1_all.png", cells[0]), ("b.png", b""))
    client.get("/secret-name")
    text = client.get("/metrics").text
    assert 'leukoscope_requests_total{path="/v1/predict",status="200"} 1.0' in text
    assert 'leukoscope_images_total{call="error"} 1.0' in text
    assert "UID_77" not in text and "secret-name" not in text


def test_the_description_is_whole_and_needs_no_network(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/v1/predict",
        "/v1/explain",
        "/v1/model",
        "/v1/samples.zip",
        "/healthz",
        "/metrics",
    }
    assert {"400", "413", "415", "422", "503"} <= set(
        described["paths"]["/v1/predict"]["post"]["responses"]
    )
    assert client.get("/docs").status_code == 200


# --- hostile images

WHOLE = {
    kind: encode((np.arange(900) % 256).astype(np.uint8).reshape(15, 20, 3), kind)
    for kind in ("PNG", "BMP", "JPEG", "TIFF", "WEBP", "GIF")
}


FUZZ = settings(
    max_examples=int(os.environ.get("LEUKOSCOPE_FUZZ", "60")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@FUZZ
@given(st.data())
def test_no_bytes_break_the_decoder(data: st.DataObject) -> None:
    """Damaged files of every format either decode or are refused in one sentence."""
    kind = data.draw(st.sampled_from([*WHOLE, None]))
    if kind is None:
        spoilt = bytearray(data.draw(st.binary(max_size=400)))
    else:
        spoilt = bytearray(WHOLE[kind])
        for _ in range(data.draw(st.integers(1, 8))):
            at = data.draw(st.integers(0, len(spoilt) - 1))
            spoilt[at] = data.draw(st.integers(0, 255))
        del spoilt[data.draw(st.integers(1, len(spoilt))) :]
    try:
        rgb = read_image(bytes(spoilt), "x")
    except DataError as error:
        assert str(error).startswith("x: ")
    else:
        assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3


def test_no_program_is_run_for_an_image(client: TestClient) -> None:
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 450 450\n%%EndComments\nshowpage\n"
    (row,) = post(client, ("a.bmp", script))["rows"]
    assert row["call"] == "error" and "not an image" in row["warnings"]


# --- the command


@contextmanager
def serve(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of our own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "leukoscope", "serve", "--port", "0", *words],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stderr.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def read_reply(address: str, sent: bytes, seconds: float = 30) -> bytes:
    port = int(address.split(":")[2].split("/", maxsplit=1)[0])
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(sent)
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


def test_the_command_serves_and_ends_cleanly() -> None:
    with serve() as (process, address):
        head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert b'{"status":"ok"}' in read_reply(address, head)
        # a request that is refused before its body came is answered, and the line closed
        head = (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\nabc"
        )
        reply = read_reply(address, head)
        assert reply.startswith(b"HTTP/1.1 413") and b"connection: close" in reply.lower()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        assert process.returncode == 0 and "Ended." in said and "Traceback" not in said


def test_slow_clients_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from leukoscope.serve import running, Limits, Proxy, run_server\n"
        "from leukoscope.inference.model import Classifier, find_shipped_model\n"
        "running._SILENT_SECONDS = 0.5\n"
        "run_server(Classifier(find_shipped_model()), '127.0.0.1', 0, token=None,\n"
        "  limits=Limits(idle_seconds=0.5), proxy=Proxy(), on_start=lambda a: print(a, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        started = time.monotonic()
        assert read_reply(address, b"GET /healthz HT") == b""  # a head that never ends
        head = (
            b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        assert read_reply(address, head).startswith(b"HTTP/1.1 408")  # a body that never comes
        assert time.monotonic() - started < 20
    finally:
        process.kill()
        process.communicate()


def test_a_token_is_printed_for_other_addresses() -> None:
    with serve("--host", "0.0.0.0") as (_, address):
        assert re.search(r"/#token=[\w-]{32}$", address)


@pytest.mark.slow
def test_what_cannot_be_served() -> None:
    def fail(*words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "leukoscope", "serve", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )
        assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "another --port" in fail("--port", taken.getsockname()[1])
    assert "not an address" in fail("--host", "no such host")
    assert "cannot be read" in fail("--model", "/nowhere/model.onnx")


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['fastapi'] = None; sys.argv = ['leukoscope', 'serve']\n"
        "from leukoscope.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and 'pip install ".[serve]"' in done.stderr
