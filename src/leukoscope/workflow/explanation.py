"""Images → explanations of their predictions: pictures, a table and a page."""

from __future__ import annotations

import base64
import dataclasses
import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath

import pandas as pd

from leukoscope.arguments import check_arguments
from leukoscope.cells.extract import name_cell
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.explanation import (
    CheckSummary,
    Explanation,
    describe_checks,
    describe_reference,
    explain_answer,
    summarise_checks,
)
from leukoscope.inference.model import Classifier
from leukoscope.inference.stream import Answered, list_images, predict_by_image
from leukoscope.io.files import write_bytes
from leukoscope.io.sources import Source
from leukoscope.io.tables import read_table, write_table
from leukoscope.labels import LABELS
from leukoscope.notices import RESEARCH_ONLY, find_banner
from leukoscope.records import ModelMetadata, TrainingMeasures
from leukoscope.report.explanation_figures import draw_card
from leukoscope.report.explanation_page import write_explanation_page
from leukoscope.workflow.prediction import choose_threshold, open_classifier

__all__ = [
    "MAX_CELLS",
    "ExplanationResult",
    "explain_images",
    "explain_sources",
    "write_explanations",
]

MAX_CELLS = 500
"""Cells explained at once: a second or two each, and all on one page."""

_PAGE = "explanations.html"
_SHIPPED = "the one in the package"
_SHOWN = 6  # cells shown in a notebook


@dataclass(frozen=True)
class ExplanationResult:
    """The explanations, and where they were written.

    Attributes:
        explanations: one a cell.
        refused: image and cell in words → why there is none of it.
        summary: of all checks.
        sentences: the same in words.
        people: what the checks' intervals are over, in words.
        reference: the training cells that the measures are compared with; None where the model
            file has no measures of them.
        facts: name → value of model and cells, in the order to show.
        banner: to show above all output, such as "Simulated cells"; or None.
        seconds: mean per cell.
        page: explanations.html; None where nothing is written.
    """

    explanations: list[Explanation]
    refused: dict[str, str]
    summary: CheckSummary
    sentences: list[str]
    people: str
    reference: TrainingMeasures | None
    facts: dict[str, str]
    banner: str | None
    seconds: float
    page: Path | None = None

    @property
    def table(self) -> pd.DataFrame:
        """One row a cell, as explanations.csv; no percentiles where the model has no measures."""
        return pd.DataFrame([found.to_row() for found in self.explanations])

    def __repr__(self) -> str:
        count = len(self.explanations)
        return " ".join([f"{count} cell{'s' * (count != 1)} explained.", *self.notes])

    @check_arguments
    def write(self, out: str | PathLike[str]) -> Path:
        """Write a PNG a cell, explanations.csv and explanations.html to a folder.

        Returns:
            The page.

        Raises:
            DataError: `out` is a file.

        >>> import leukoscope as lk
        >>> lk.explain(lk.list_images("cells/")[0]).write("reasons").name
        'explanations.html'
        """
        write_explanations(self, Path(out))
        return Path(out) / _PAGE

    @property
    def notes(self) -> list[str]:
        """The checks in words, and whether there are no percentiles."""
        return [*self.sentences, *([] if self.reference else [describe_reference(None)])]

    def _repr_html_(self) -> str:
        """Pictures of the first cells, then the checks, for notebooks."""
        shown = self.explanations[:_SHOWN]
        pictures = [base64.b64encode(draw_card(cell, self.banner)).decode() for cell in shown]
        more = len(self.explanations) - len(shown)
        words = [*([f"… and {more} more."] if more else []), *self.notes, RESEARCH_ONLY]
        return "".join(
            f'<img src="data:image/png;base64,{picture}" alt="" style="max-width:100%">'
            for picture in pictures
        ) + "".join(f"<p>{html.escape(sentence)}</p>" for sentence in words)


def explain_images(
    images: Sequence[Path],
    out: Path,
    model: Path | None = None,
    *,
    operating_point: str = "balanced",
    progress: Callable[[int, int], None] | None = None,
) -> ExplanationResult:
    """Explain images, folders and zips, and write the results.

    Args:
        images: files, folders and zips.
        out: folder for a PNG a cell, explanations.csv and explanations.html.
        model: a run folder or an ONNX file; by default the shipped model.
        operating_point: which threshold calls, as in `predict_images`.
        progress: called with (done, total) cells.

    Raises:
        LeukoscopeError: a path that is not there, nothing to explain, too many cells, or a model
            that cannot be used.
    """
    _check_folder(out)
    result = explain_sources(
        list_images(images),
        open_classifier(model),
        operating_point=operating_point,
        banner=next(filter(None, map(find_banner, images)), None),
        model=str(model or _SHIPPED),
        progress=progress,
    )
    return write_explanations(result, out)


def explain_sources(
    sources: Sequence[Source],
    classifier: Classifier,
    *,
    operating_point: str = "balanced",
    banner: str | None = None,
    model: str = _SHIPPED,
    progress: Callable[[int, int], None] | None = None,
) -> ExplanationResult:
    """Explain images that can be read; nothing is written.

    Args:
        sources: the images.
        classifier: the network.
        operating_point: which threshold calls.
        banner: to show above all output.
        model: name of the network.
        progress: called with (done, total) cells.

    Raises:
        LeukoscopeError: nothing to explain, or too many cells.
    """
    threshold = choose_threshold(classifier, operating_point)
    answered = _predict_few(sources, classifier, threshold)
    reference = classifier.metadata.measures
    explanations: list[Explanation] = []
    refused: dict[str, str] = {}
    for done, (answer, cell) in enumerate(answered, start=1):
        found = explain_answer(answer, cell, classifier.predict, reference)
        if isinstance(found, str):
            refused[name_cell(answer.image, answer.cell)] = found
        else:
            explanations.append(found)
        if progress:
            progress(done, len(answered))
    if not explanations:
        name, reason = next(iter(refused.items()))
        raise DataError(
            f"{name}: {reason.rstrip('.')}. Expected at least one image with a cell to explain."
        )
    subjects, people = _find_subjects(
        [found.image for found in explanations], classifier.metadata.dataset
    )
    summary = summarise_checks([found.check for found in explanations], subjects)
    seconds = sum(found.seconds for found in explanations) / len(explanations)
    return ExplanationResult(
        explanations=explanations,
        refused=refused,
        summary=summary,
        sentences=describe_checks(summary, people),
        people=people,
        reference=reference,
        facts=_list_facts(classifier.metadata, model, threshold, explanations, seconds),
        banner=banner,
        seconds=seconds,
    )


def _predict_few(
    sources: Sequence[Source], classifier: Classifier, threshold: float
) -> list[Answered]:
    """The predictions of all images with their cells, refused before the first is explained."""
    if len(sources) > MAX_CELLS:
        raise DataError(_refuse(f"{len(sources):,} images"))
    answered: list[Answered] = []
    for image in predict_by_image(sources, classifier, threshold):
        answered += image
        if len(answered) > MAX_CELLS:
            raise DataError(_refuse(f"Over {MAX_CELLS} cells in {len(sources):,} images"))
    return answered


def _refuse(received: str) -> str:
    return (
        f"{received}, and each takes a second or more. Expected at most {MAX_CELLS}; choose those "
        "you want to look at."
    )


def write_explanations(result: ExplanationResult, out: Path) -> ExplanationResult:
    """Write a PNG a cell, explanations.csv and explanations.html; returns it with its page.

    Raises:
        DataError: `out` is a file.
    """
    _check_folder(out)
    names, before = _name_pictures(result.explanations), _list_pictures(out)
    for found, name in zip(result.explanations, names, strict=True):
        write_bytes(out / name, draw_card(found, result.banner))
    table = result.table.assign(picture=names)
    write_table(out / "explanations.csv", table)
    page = out / _PAGE
    write_explanation_page(
        result.explanations,
        result.summary,
        page,
        people=result.people,
        reference=result.reference,
        refused=result.refused,
        facts=result.facts,
        banner=result.banner,
    )
    for name in before - set(names):  # of cells that were explained here before
        (out / name).unlink(missing_ok=True)
    return dataclasses.replace(result, page=page)


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file. Expected the name of a folder.")


def _list_pictures(out: Path) -> set[str]:
    """The pictures that an earlier table in this folder names."""
    try:
        table = read_table(out / "explanations.csv", "picture")
    except DataError:
        return set()
    named = table["picture"].tolist() if "picture" in table else []
    return {name for name in named if re.fullmatch(r"[\w.-]+\.png", name)}


def _find_subjects(images: Sequence[str], spec: DatasetSpec) -> tuple[list[str] | None, str]:
    """Subjects where every image's name has one, and what the intervals are over."""
    subjects = [spec.find_subject(image) for image in images]
    if not all(subjects):
        return None, f"over {len(images)} cells, as their names do not give the subject"
    return subjects, f"over {len(set(subjects))} subjects"


def _name_pictures(explanations: Sequence[Explanation]) -> list[str]:
    """A file name of its own for each cell."""
    found: list[str] = []
    taken: set[str] = set()
    for cell in explanations:
        stem = "-".join(filter(None, (PurePosixPath(cell.image).stem[:80], cell.cell[:20])))
        stem = re.sub(r"[^\w.-]", "_", stem).lstrip(".") or "cell"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        found.append(f"{name}.png")
    return found


def _list_facts(
    metadata: ModelMetadata,
    model: str,
    threshold: float,
    cells: Sequence[Explanation],
    seconds: float,
) -> dict[str, str]:
    passes = sum(cell.passes for cell in cells) / len(cells)
    return {
        "Model": f"{model}: {metadata.recipe}, trained on data {metadata.fingerprint}",
        "Threshold": f"{threshold:.3f}",
        "Expected": metadata.expected.words if metadata.expected else "not available",
        "Cells": f"{len(cells):,}, "
        + ", ".join(f"{sum(c.call == label for c in cells):,} called {label}" for label in LABELS),
        "Time": f"{passes:.0f} forward passes and {seconds:.1f} s a cell",
    }
