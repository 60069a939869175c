"""Images → rows: conformal calls, and the effect of a warning."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue
from leukoscope.cells.extract import Cell, extract_cells
from leukoscope.datasets.cnmc import CNMC
from leukoscope.inference import stream
from leukoscope.inference.stream import list_images, predict_sources, start_answers
from leukoscope.labels import LABELS
from leukoscope.records import Decision, ModelMetadata


@dataclass
class Oracle:
    """Returns fixed outputs."""

    told: list[tuple[float, float]]
    metadata: ModelMetadata = ModelMetadata(  # noqa: RUF009 (frozen)
        LABELS,
        225,
        Decision(threshold=0.5, conformal_lower=0.2, conformal_upper=0.7),
        CNMC,
        "oracle",
        "",
        "0",
    )
    name: str = "oracle-0"

    def predict_batch(self, crops: UInt8Array) -> npt.NDArray[np.float64]:
        assert len(crops) == len(self.told)
        return np.array(self.told)


@pytest.fixture
def images(catalogue: Catalogue) -> list[Path]:
    areas = catalogue.table["area"]
    near = (areas - areas.median()).abs().sort_values().index[:4]
    return [catalogue.root / catalogue.table.loc[row, "image"] for row in near]


def test_calls_and_conformal_calls(images: list[Path]) -> None:
    oracle = Oracle([(0.1, 0.5), (0.4, 0.9), (0.6, 1.0), (0.9, 0.2)])
    found = list(predict_sources(list_images(images), oracle))
    assert [answer.call for answer in found] == ["normal", "normal", "leukaemic", "leukaemic"]
    assert [answer.conformal_call for answer in found] == [
        *("normal", "uncertain", "uncertain", "leukaemic")
    ]
    assert [answer.warnings for answer in found] == [""] * 4


def test_a_warning_makes_the_conformal_call_uncertain(images: list[Path]) -> None:
    oracle = Oracle([(0.1, 1.01), (0.9, 12.0), (0.9, 1.0), (0.1, 0.0)])
    found = list(predict_sources(list_images(images), oracle))
    assert [answer.conformal_call for answer in found] == [
        *("uncertain", "error", "leukaemic", "normal")
    ]
    assert found[0].call == "normal" and "1.01 times the novelty limit" in found[0].warnings
    assert (found[1].call, found[1].probability) == ("error", None)
    assert "out of distribution" in found[1].warnings


def test_an_image_that_cannot_be_read_does_not_stop_the_rest(
    images: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.bmp"
    broken.write_bytes(b"BM")
    found = list(
        predict_sources(list_images([images[0], broken, images[1]]), Oracle([(0.9, 0)] * 2))
    )
    assert [answer.call for answer in found] == ["leukaemic", "error", "leukaemic"]
    assert (found[1].conformal_call, found[1].probability) == ("error", None)
    stream = io.StringIO()
    write = start_answers(stream)
    for answer in found:
        write(answer)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "image,cell,probability,call,conformal_call,warnings,threshold,subject,model"
    assert ",0.900000,leukaemic,leukaemic," in lines[1] and ",,error,error," in lines[2]


def test_whatever_one_image_raises_stays_in_its_own_row(
    images: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what nobody expects, in the reading of a file and behind it."""
    sources = list_images(images[:3])

    class Odd(Exception):
        pass

    def refuse(rgb: UInt8Array, spec: object) -> list[Cell]:
        if len(calls := [*seen]) == 1:
            raise MemoryError
        seen.append(len(calls))
        return extract_cells(rgb, spec)  # type: ignore[arg-type]

    class Broken:
        name = "broken.png"

        def read(self) -> bytes:
            raise Odd("of an archive's library")

    seen: list[int] = []
    monkeypatch.setattr(stream, "extract_cells", refuse)
    monkeypatch.setattr(stream, "count_workers", lambda: 1)
    found = list(predict_sources([Broken(), *sources[:2]], Oracle([(0.6, 0.5)])))
    assert [answer.call for answer in found] == ["error", "leukaemic", "error"]
    assert "could not be processed (Odd: of an archive" in found[0].warnings
    assert "memory is too small" in found[2].warnings
