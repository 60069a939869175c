"""The page's JavaScript gives the numbers of Python, compared on test vectors."""

from __future__ import annotations

import csv
import functools
import http.server
import io
import json
import math
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from browser import find_chromium, open_browser

pytest.importorskip("fastapi", reason="needs the extra serve")

from leukoscope.catalogue.groups import assign_groups, read_groups, sort_names
from leukoscope.datasets.cnmc import CNMC
from leukoscope.evaluation.aggregate import MIN_CELLS, aggregate_subjects, compute_wilson
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.inference.stream import Answer, predict_sources, start_answers
from leukoscope.io.formulas import defuse
from leukoscope.io.sources import Source
from leukoscope.labels import LABELS
from leukoscope.records import Decision, ModelMetadata, SubjectLine
from leukoscope.serve.facts import collect_facts
from leukoscope.simulate import simulate_pairs
from test_serve import encode

ROOT = Path(__file__).parents[1]
NAMES = ("deciding", "formatting", "joining", "table")
PATHS = {name: f"src/leukoscope/serve/page/{name}.js" for name in NAMES} | {
    "joining": "src/leukoscope/report/joining.js"
}
IMPORTS = "".join(f"const {name} = await import(BASE + '{PATHS[name]}');" for name in NAMES)
RUN = (
    IMPORTS + "const { compare } = await import(BASE + 'tests/golden.js');"
    f"const found = compare(VECTORS, {{ {', '.join(NAMES)} }});"
)


def list_wilson() -> list[list[float]]:
    shares = [(found, n) for n in (1, 7, 20, 333, 100_000) for found in {0, 1, n // 3, n}]
    return [[found, n, *compute_wilson(found, n)] for found, n in [(0, 0), *shares]]


class Constant:
    """Returns the probabilities it was given, one after the other."""

    metadata = ModelMetadata(LABELS, 225, Decision(), CNMC, "constant", "", "0")
    name = "constant-0"

    def __init__(self, probabilities: list[float]) -> None:
        self._left = list(probabilities)

    def predict_batch(self, crops: Any) -> Any:
        given = [self._left.pop(0) for _ in crops]
        return np.column_stack([given, np.zeros(len(given))])


def list_calls() -> list[list[Any]]:
    threshold = 0.3
    probabilities = [0.0, 0.2999999999999999, 0.3, 0.30000000000000004, 0.1 + 0.2, 1.0]
    data = encode(simulate_pairs(1, 5)[0][0])
    sources = [Source(f"{n}.png", len(data), "", data) for n in range(len(probabilities))]
    answers = predict_sources(sources, Constant(probabilities), threshold)
    return [[answer.probability, threshold, answer.call] for answer in answers]


def list_subjects() -> list[dict[str, Any]]:
    """Subjects of 19 to 200 cells, with and without warnings, certain and doubtful."""
    random = np.random.default_rng(4)
    counts = {"2": 19, "10": MIN_CELLS, "H1": 200, "H3": 40, "h3": 40, "7": 21}
    cells = [
        {
            "image": f"{subject}-{n}",
            "subject": subject,
            "probability": float(random.beta(*((5, 1) if subject.islower() else (1, 2)))),
            "warnings": "odd" if n % 20 < {"H3": 11, "h3": 10}.get(subject, 0) else "",
        }
        for subject, count in counts.items()
        for n in range(count)
    ]
    for cell, probability in zip(cells, (0.0, 1.0, 0.5, 1e-9), strict=False):
        cell["probability"] = probability  # what has no logit, and what lies beyond the floor
    return [
        _summarise(cells, line, threshold)
        for line, threshold in (
            (SubjectLine(1.7, -0.4, 9, 5), 0.5),
            (SubjectLine(0.0, 1.0, 9, 6), 1.0),  # knows the share of subjects only
            (None, 0.37),
        )
    ]


def _summarise(
    cells: list[dict[str, Any]], line: SubjectLine | None, threshold: float
) -> dict[str, Any]:
    table = pd.DataFrame(cells)
    table["called"] = table["probability"] >= threshold
    rows = aggregate_subjects(table, line=line).table.set_index("subject")
    subjects = [
        {
            "name": name,
            "cells": int(row["cells"]),
            "leukaemic": int(row["called_leukaemic"]),
            "share": row["share"],
            "interval": [row["share_low"], row["share_high"]],
            "probability": None if math.isnan(row["probability"]) else row["probability"],
            "call": row["call"],
            "certain": bool(row["certain"]),
        }
        for name in sort_names(rows.index)
        for row in (rows.loc[name],)
    ]
    known = line and {"slope": line.slope, "intercept": line.intercept}
    return {"cells": cells, "line": known, "threshold": threshold, "subjects": subjects}


def write_answers() -> dict[str, Any]:
    """The CSV of the command line, and the three columns that the page adds."""
    threshold = 0.3
    answers = [
        Answer("'-x.png", "", 0.123457, "normal", "normal", "", threshold, "-5", "m-1"),
        Answer("=1+1.png", "", 0.123457, "normal", "normal", "", threshold, "@7", "m-1"),
        Answer("a.png", "", 0.123457, "normal", "uncertain", "odd; far", threshold, "7", "m-1"),
        Answer("b.png", "2", 0.750001, "leukaemic", "leukaemic", "", threshold, "", "m-1"),
        Answer("c.png", "", None, "error", "error", "cannot be read", threshold, "H3", "m-1"),
    ]
    text = io.StringIO()
    write = start_answers(text)
    for answer in answers:
        write(answer)
    header, *rows = text.getvalue().splitlines()
    lines = [f"{header},reader,reader_mode,simulated", *(f"{row},,,no" for row in rows), ""]
    cells = [
        {
            **{"image": answer.image, "cell": answer.cell, "subject": answer.subject},
            "model": answer.model,
            **{"probability": answer.probability, "conformalCall": answer.conformal_call},
            **{"warnings": answer.warnings, "reading": None, "mode": "", "simulated": False},
        }
        for answer in answers
    ]
    return {"cells": cells, "threshold": threshold, "lines": "\n".join(lines)}


ROWS = [
    ["plain", 0.5, None, 'a "b", c.bmp'],
    ["two\nlines", -3, "-3", "=1+1"],
    ["+4", "@x", "-a,b", "a-b"],
    ["\tx", "'=quoted", 1e-05, 0.1 + 0.2],
]


def list_tables() -> list[dict[str, Any]]:
    columns = ["image", "b", "c", "d"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        [
            str(v)
            if v == 0.1 + 0.2
            else "0.00001"
            if v == 1e-05
            else defuse(v)
            if isinstance(v, str)
            else v
            for v in row
        ]
        for row in ROWS
    )
    return [{"columns": columns, "rows": ROWS, "text": text.getvalue()}]


def list_words() -> list[list[Any]]:
    random = np.random.default_rng(1).random(50).tolist()
    counts = [0, 1, 999, 1000, 1_234_567]
    return [
        *(["formatProbability", value, f"{value:.3f}"] for value in (0.0, 1.0, 0.9995, *random)),
        *(["formatShare", value, f"{value:.0%}"] for value in (0.0, 1.0, 0.9, 0.95, *random)),
        *(["formatCount", value, f"{value:,}"] for value in counts),
    ]


def list_groups() -> list[dict[str, Any]]:
    names = sort_names(["10", "2", "H1", "h3", "H10", "7", "84"])
    chains = [[], [(0, 1)], [(5, 1), (1, 6), (2, 3), (3, 2)], [(6, 5), (5, 4), (4, 0), (0, 6)]]
    return [
        {"names": names, "links": links, "groups": assign_groups(names, links)} for links in chains
    ]


@pytest.fixture(scope="module")
def vectors() -> str:
    metadata = Classifier(find_shipped_model()).metadata
    return json.dumps(
        {
            "facts": collect_facts(metadata).model_dump(),
            "wilson": list_wilson(),
            "calls": list_calls(),
            "subjects": list_subjects(),
            "answers": write_answers(),
            "tables": list_tables(),
            "words": list_words(),
            "groups": list_groups(),
        }
    )


def compare_in_node(node: str, vectors: str) -> dict[str, Any]:
    read = "const VECTORS = JSON.parse((await import('node:fs')).readFileSync(0, 'utf8'));"
    script = f"const BASE = '{ROOT.as_uri()}/'; {read} {RUN} console.log(JSON.stringify(found));"
    command = [node, "--input-type=module", "--eval", script]
    done = subprocess.run(command, input=vectors, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests say nothing."""


def compare_in_chromium(chromium: str, vectors: str, profile: Path) -> dict[str, Any]:
    handler = functools.partial(Quiet, directory=str(ROOT))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/"
        with open_browser(chromium, profile) as browser:
            browser.open(f"{base}package.json")  # modules are imported from its own server
            script = f"const BASE = '{base}', VECTORS = {vectors}; {RUN} return found;"
            found = browser.run(f"(async () => {{ {script} }})()")
        server.shutdown()
    return dict(found)


def test_javascript_gives_the_numbers_of_python(vectors: str, tmp_path: Path) -> None:
    if node := shutil.which("node"):
        found = compare_in_node(node, vectors)
    elif chromium := find_chromium():
        found = compare_in_chromium(chromium, vectors, tmp_path)
    else:
        pytest.skip("neither Node nor Chromium is here: JavaScript's numbers are not compared")
    assert found["wrong"] == []
    assert found["checked"] > 130


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed here")
def test_a_wrong_number_is_told(vectors: str, tmp_path: Path) -> None:
    """The browser's way of comparing, and that a difference of 1e-11 fails."""
    spoilt = json.loads(vectors)
    spoilt["wilson"][3][2] += 1e-11
    spoilt["calls"][0][2] = "leukaemic"
    chromium = find_chromium()
    assert chromium is not None
    found = compare_in_chromium(chromium, json.dumps(spoilt), tmp_path)
    assert [words.split(",")[0] for words in found["wrong"]] == ['["wilson"', '["call"']


def test_what_the_writer_defuses_is_text_alone() -> None:
    """A reader of CSV gets back what was written, but for the apostrophes."""
    (written,) = list_tables()
    read = list(csv.reader(io.StringIO(written["text"])))[1:]
    assert read[1][1:] == ["-3", "'-3", "'=1+1"]
    assert [row[0] for row in read] == ["plain", "two\nlines", "'+4", "'\tx"]


def test_groups_with_names_like_formulas_are_read_back(tmp_path: Path) -> None:
    """As the audit's page saves them."""
    names = ["-5", "=x", "7"]
    with (tmp_path / "groups.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [("subject", "group"), *((defuse(n), defuse(n)) for n in names)]
        )
    assert read_groups(tmp_path / "groups.csv", names) == {name: name for name in names}
