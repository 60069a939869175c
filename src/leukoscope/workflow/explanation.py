"""Images → pictures of what their answers rest on, a table and a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from leukoscope.cells.measures import read_reference
from leukoscope.datasets.cnmc import parse_cell_name
from leukoscope.errors import DataError
from leukoscope.explanation import (
    Explanation,
    Verdict,
    compute_verdict,
    describe_verdict,
    explain_answer,
)
from leukoscope.inference.stream import list_images, predict_sources
from leukoscope.io.files import write_bytes
from leukoscope.io.runs import write_table
from leukoscope.io.sources import Source
from leukoscope.labels import LABELS
from leukoscope.notices import find_banner
from leukoscope.records import ModelMetadata
from leukoscope.report.explanation_figures import draw_card
from leukoscope.report.explanation_page import write_explanation_page
from leukoscope.workflow.prediction import open_classifier

__all__ = ["MAX_CELLS", "ExplanationResult", "explain_images"]

MAX_CELLS = 500
"""Cells explained at once: a second or two each, and all on one page."""


@dataclass(frozen=True)
class ExplanationResult:
    """What was found and written.

    Attributes:
        explanations: one a cell.
        refused: image → why there is none of it.
        verdict: the check over all cells.
        sentences: the verdict in words.
        seconds: mean of a cell.
        page: explanations.html.
    """

    explanations: list[Explanation]
    refused: dict[str, str]
    verdict: Verdict
    sentences: list[str]
    seconds: float
    page: Path


def explain_images(
    images: Sequence[Path],
    out: Path,
    model: Path | None = None,
    *,
    measures: Path | None = None,
    sensitive: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ExplanationResult:
    """Explain images, folders and zips.

    Args:
        images: files, folders and zips.
        out: folder for a PNG a cell, explanations.csv and explanations.html.
        model: a run folder or an ONNX file; the shipped model where left out.
        sensitive: call at the threshold that is to find 95% of the leukaemic cells.
        measures: a reference that `leukoscope data measures` wrote; the shipped one if left out.
        progress: called with (done, total).

    Raises:
        LeukoscopeError: a path that is not there, nothing to explain, too many images, or a model
            or reference that cannot be used.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: a file. Expected the name of a folder.")
    sources = list_images(images)
    if len(sources) > MAX_CELLS:
        raise DataError(
            f"{len(sources):,} images, and each takes a second or more. Expected at most "
            f"{MAX_CELLS}; choose those you want to look at."
        )
    classifier, reference = open_classifier(model), read_reference(measures)
    threshold = classifier.sensitive_threshold if sensitive else classifier.threshold
    crop = classifier.metadata.dataset.crop
    banner = next(filter(None, map(find_banner, images)), None)
    explanations: list[Explanation] = []
    refused: dict[str, str] = {}
    names = _name_pictures(sources)
    for done, (source, answer) in enumerate(
        zip(sources, predict_sources(sources, classifier, threshold), strict=True), start=1
    ):
        found = explain_answer(source, answer, classifier.predict, reference, crop)
        if isinstance(found, str):
            refused[answer.image] = found
        else:
            write_bytes(out / names[source.name], draw_card(found, banner))
            explanations.append(found)
        if progress:
            progress(done, len(sources))
    if not explanations:
        name, reason = next(iter(refused.items()))
        raise DataError(f"{name}: {reason}. Expected at least one image with a cell to explain.")
    subjects, people = _find_subjects([found.image for found in explanations])
    verdict = compute_verdict([found.check for found in explanations], subjects)
    rows = [found.to_row() | {"picture": names[found.image]} for found in explanations]
    write_table(out / "explanations.csv", pd.DataFrame(rows))
    seconds = sum(found.seconds for found in explanations) / len(explanations)
    page = out / "explanations.html"
    write_explanation_page(
        explanations,
        verdict,
        page,
        people=people,
        reference=reference,
        refused=refused,
        facts=_list_facts(classifier.metadata, model, threshold, explanations, seconds),
        banner=banner,
    )
    sentences = describe_verdict(verdict, people)
    return ExplanationResult(explanations, refused, verdict, sentences, seconds, page)


def _find_subjects(images: Sequence[str]) -> tuple[list[str] | None, str]:
    """Subjects where every image's name has one, and what the intervals are over."""
    names = [parse_cell_name(image) for image in images]
    if not all(names):
        return None, f"over {len(images)} cells, as their names don't say whose they are"
    subjects = [name.subject for name in names if name]
    return subjects, f"over {len(set(subjects))} subjects"


def _name_pictures(sources: Sequence[Source]) -> dict[str, str]:
    """Image → a file name of its own."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for source in sources:
        stem = re.sub(r"[^\w.-]", "_", PurePosixPath(source.name).stem)[:80].lstrip(".") or "cell"
        name, number = stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.lower())
        found[source.name] = f"{name}.png"
    return found


def _list_facts(
    metadata: ModelMetadata,
    model: Path | None,
    threshold: float,
    cells: Sequence[Explanation],
    seconds: float,
) -> dict[str, str]:
    passes = sum(cell.passes for cell in cells) / len(cells)
    return {
        "Model": f"{model or 'the one in the package'}: {metadata.recipe}, "
        f"trained on data {metadata.fingerprint}",
        "Threshold": f"{threshold:.3f}",
        "Expected": metadata.expected.words if metadata.expected else "not available",
        "Cells": f"{len(cells):,}, "
        + ", ".join(f"{sum(c.call == label for c in cells):,} called {label}" for label in LABELS),
        "Time": f"{passes:.0f} forward passes and {seconds:.1f} s a cell",
    }
