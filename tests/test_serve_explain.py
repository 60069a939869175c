"""Explanations over HTTP: the command's own numbers, with lower priority than predictions."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

import uvicorn
from starlette.testclient import TestClient

from leukoscope.cells.crop import read_crop
from leukoscope.cells.measures import MEASURES
from leukoscope.datasets.cnmc import CNMC
from leukoscope.explanation import Explanation, draw_layer, explain_cell
from leukoscope.inference.model import Classifier
from leukoscope.labels import LABELS
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.serve import Limits, build_app
from leukoscope.serve.queue import Batcher
from leukoscope.simulate import simulate_pairs
from test_cli import run
from test_explain import CUE, write_cue_model
from test_serve import LOCAL, ask, encode, pack, post


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cue") / "cue.onnx"
    write_cue_model(path)
    return path


@pytest.fixture(scope="module")
def cue(model: Path) -> Classifier:
    return Classifier(model)


@pytest.fixture
def client(cue: Classifier) -> Iterator[TestClient]:
    with ask(cue) as client:
        yield client


@pytest.fixture(scope="module")
def cell() -> bytes:
    """A simulated cell, with a spot that the network sees."""
    rgb = simulate_pairs(1, 5)[0][0].copy()
    cv2.circle(rgb, (2 * CUE[1], 2 * CUE[0]), 20, (150, 150, 150), -1)
    return encode(rgb)


def explain(
    client: TestClient, *files: tuple[str, bytes], expect: int = 200, **options: Any
) -> Any:
    sent = [("files", file) for file in files]
    answer = client.post("/v1/explain", files=sent, **options)
    assert answer.status_code == expect, answer.text
    return answer.json()


def explain_here(cell: bytes, cue: Classifier) -> Explanation:
    crop = read_crop(cell, CNMC.crop)
    probability = float(cue.predict(crop[None])[0])
    return explain_cell(
        crop,
        cue.predict,
        cue.metadata.measures,
        image="a.png",
        probability=probability,
        call="leukaemic" if probability >= cue.threshold else "normal",
    )


class Watched:
    """A slow network that records its calls."""

    def __init__(self, cue: Classifier, seconds: float = 0) -> None:
        self.metadata, self.threshold, self.name = cue.metadata, cue.threshold, cue.name
        self.sensitive_threshold, self.decision = cue.sensitive_threshold, cue.decision
        self.asked: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self._cue, self._seconds = cue, seconds

    def wait_for(self, crops: int) -> None:
        end = time.monotonic() + 30
        while sum(self.asked) < crops:
            assert time.monotonic() < end
            time.sleep(0.01)

    def give_memory_back(self) -> None:
        self._cue.give_memory_back()

    def predict_batch(self, crops: Any) -> Any:
        self.asked.append(len(crops))
        time.sleep(self._seconds)
        assert self.go_on.wait(30)
        return self._cue.predict_batch(crops)


def test_command_api_and_function_give_the_same_numbers(
    client: TestClient, cue: Classifier, model: Path, cell: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(cell)
    run("explain", tmp_path / "a.png", "--model", model, "--out", tmp_path / "out")
    row = pd.read_csv(tmp_path / "out" / "explanations.csv").to_dict("records")[0]
    sent, ours = explain(client, ("a.png", cell)), explain_here(cell, cue)
    check = ours.check
    assert check.passes_check and check.score > 0.1  # there is something to be the same
    assert sent["row"]["probability"] == row["probability"] == ours.probability
    assert sent["row"]["call"] == row["call"] == ours.call
    assert sent["passes_check"] == row["passes_check"] == check.passes_check
    assert sent["passes"] == row["passes"] == ours.passes
    for name in sent["check"]:
        if name in row:  # the scores of rivals are not in the table
            assert row[name] == pytest.approx(sent["check"][name], rel=1e-12), name
        assert sent["check"][name] == getattr(check, name), name
    assert {"score", "deletion", "insertion", "random_best"} <= set(row) & set(sent["check"])
    for measure, found in zip(MEASURES, sent["measures"], strict=True):
        value = ours.measures[measure.name]
        assert (found["name"], found["value"]) == (measure.name, value)
        assert row[measure.name] == pytest.approx(np.nan if value is None else value, nan_ok=True)
        for label in LABELS:
            place = ours.percentiles[label][measure.name]
            assert found["percentiles"][label]["value"] == place
            told = row[f"{measure.name}_percentile_{label}"]
            assert told == pytest.approx(np.nan if place is None else place, nan_ok=True)
    layer = cv2.imdecode(
        np.frombuffer(base64.b64decode(sent["layer"]), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert np.array_equal(cv2.cvtColor(layer, cv2.COLOR_BGRA2RGBA), draw_layer(ours))
    assert layer.shape == (225, 225, 4) and (layer[..., 3] > 200).sum() > 20


def test_the_row_is_that_of_predict_and_the_words_are_all_there(
    client: TestClient, cell: bytes
) -> None:
    sent = explain(client, ("x/a.png", cell))
    assert sent["row"] == post(client, ("x/a.png", cell))["rows"][0]
    assert sent["notice"] == RESEARCH_ONLY
    assert sent["check_words"].startswith("The map passes its check")
    assert "leukaemic cells of" in sent["reference"] and "blurred away" in sent["flat"]


def test_the_call_that_is_explained_follows_the_threshold(client: TestClient, cell: bytes) -> None:
    sick = explain(client, ("a.png", cell), params={"threshold": 0})
    well = explain(client, ("a.png", cell), params={"threshold": 1})
    assert (sick["row"]["call"], well["row"]["call"]) == ("leukaemic", "normal")
    assert (sick["called_at"], well["called_at"]) == (0, 1)
    ours, theirs = sick["check"], well["check"]
    assert ours["deletion"] == pytest.approx(1 - theirs["insertion"], abs=1e-6)
    assert ours["blob_score"] == pytest.approx(theirs["rim_score"], abs=1e-6)
    assert abs(ours["deletion"] - theirs["deletion"]) > 0.01
    words = explain(client, ("a.png", cell), params={"threshold": 2}, expect=422)["detail"]
    assert words.startswith("query.threshold: ")


def test_anything_but_one_image_of_a_cell_is_one_sentence(client: TestClient, cell: bytes) -> None:
    black = encode(np.zeros((450, 450, 3), np.uint8))
    for files, words in (
        ([("a.png", cell), ("b.png", cell)], "received 2 files"),
        ([("a.zip", pack({"a.png": cell}))], "a.zip: a zip. Expected one image"),
        ([("a.png", b"no image")], "not an image"),
        ([("a.png", b"")], "empty"),
        ([("black.png", black)], "black.png: no cell found"),
    ):
        sent = explain(client, *files, expect=422)
        assert list(sent) == ["detail"] and words in sent["detail"], sent
        assert sent["detail"].endswith(".") and "a.png: a.png" not in sent["detail"]
    assert client.post("/v1/explain").status_code == 415


def test_limits_and_token_are_those_of_predict(cue: Classifier, cell: bytes) -> None:
    with ask(cue, Limits(image_bytes=100_000)) as client:
        words = explain(client, ("a.png", b"x" * 300_000), expect=413)["detail"]
        assert words.startswith("A body of 300,")
    with ask(cue, token="open-sesame", loopback=False) as client:
        explain(client, ("a.png", cell), expect=401)
        explain(client, ("a.png", cell), headers={"Authorization": "Bearer open-sesame"})
    with ask(cue) as client:
        explain(client, ("a.png", cell), headers={"Origin": "http://evil.example"}, expect=403)
        explain(client, ("secret.png", cell))
        text = client.get("/metrics").text
        assert 'requests_total{path="/v1/explain",status="200"} 1.0' in text
        assert "secret" not in text


def test_predictions_go_before_explanations(cue: Classifier) -> None:
    crops = np.zeros((40, 225, 225, 3), np.uint8)
    watched = Watched(cue)
    watched.go_on.clear()
    batcher = Batcher(watched)
    threads = []
    for number, waits in ((1, True), (2, True), (3, True), (10, False), (20, False)):
        threads.append(
            threading.Thread(
                target=batcher.predict_batch, args=(crops[:number],), kwargs={"waits": waits}
            )
        )
        threads[-1].start()
        time.sleep(0.1)  # the first is with the network, the others wait
    watched.go_on.set()
    for thread in threads:
        thread.join()
    batcher.close()
    assert watched.asked == [1, 30, 2, 3]  # predictions together, and first; the others one by one


def test_a_full_queue_says_when_to_retry_and_predict_continues(
    cue: Classifier, cell: bytes
) -> None:
    watched = Watched(cue, 0.02)
    with ask(watched, Limits(explanations=1)) as client:
        first = threading.Thread(target=explain, args=(client, ("a.png", cell)))
        first.start()
        watched.wait_for(20)
        answer = client.post("/v1/explain", files=[("files", ("b.png", cell))])
        post(client, ("b.png", cell))
        still = first.is_alive()
        first.join()
        assert answer.status_code == 503 and 1 <= int(answer.headers["Retry-After"]) <= 30
        assert still and max(watched.asked) <= 8  # the prediction waited for eight crops at most
        explain(client, ("b.png", cell))  # there is room again


def test_an_explanation_that_takes_too_long_is_aborted(cue: Classifier, cell: bytes) -> None:
    watched = Watched(cue, 0.05)
    with ask(watched, replace(Limits(), explanation_seconds=0.2)) as client:
        answer = client.post("/v1/explain", files=[("files", ("a.png", cell))])
        assert answer.status_code == 503 and answer.headers["Retry-After"]
        assert sum(watched.asked) < 80


def test_the_work_ends_when_the_client_has_gone(cue: Classifier, cell: bytes) -> None:
    watched = Watched(cue, 0.1)
    server = uvicorn.Server(uvicorn.Config(build_app(watched), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    body += cell + b"\r\n--x--\r\n"
    head = (
        f"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    )
    try:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body)
            watched.wait_for(10)
        time.sleep(0.8)
        asked = sum(watched.asked)
        time.sleep(0.5)
        assert sum(watched.asked) == asked < 100  # of about 130
    finally:
        server.should_exit = True
        thread.join()


def test_the_description_names_one_file(client: TestClient) -> None:
    described = json.loads(client.get("/openapi.json").text)["paths"]["/v1/explain"]["post"]
    schema = described["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["properties"]["files"]["format"] == "binary"
    assert {"400", "401", "413", "415", "422", "503"} <= set(described["responses"])
    assert LOCAL not in json.dumps(described)
