"""Explanations → one self-contained page."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from leukoscope.arrays import UInt8Array
from leukoscope.cells.measures import MEASURES
from leukoscope.explanation import (
    MAPS,
    CheckSummary,
    Explanation,
    describe_check,
    describe_checks,
    describe_flat,
    describe_reference,
    find_limit,
    format_measure,
    format_percentile,
)
from leukoscope.io.files import write_text
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.records import TrainingMeasures
from leukoscope.report.explanation_figures import draw_cell, draw_overlay
from leukoscope.report.page import build_environment

__all__ = ["write_explanation_page"]

_TITLES = {"map": "the map", "random": "random maps, mean", "blob": "centre blob", "rim": "rim"}


def write_explanation_page(
    explanations: Sequence[Explanation],
    summary: CheckSummary,
    path: Path,
    *,
    people: str,
    reference: TrainingMeasures | None,
    refused: Mapping[str, str],
    facts: Mapping[str, str],
    banner: str | None = None,
) -> None:
    """Write explanations.html.

    Args:
        explanations: one a cell, in the order to show.
        summary: of their checks.
        path: where to write; replaced whole.
        people: what the checks' intervals are over.
        reference: the training cells that the measures are compared with; None where the model
            file has no measures of them.
        refused: image and cell in words → why there is no explanation of it.
        facts: name → value, in the order to show.
        banner: a warning above everything.
    """
    page = (
        build_environment()
        .get_template("explanations.html.j2")
        .render(
            banner=banner,
            cells=[_build_cell(explanation) for explanation in explanations],
            facts=facts,
            people=people,
            provenance=describe_reference(reference),
            compared=reference is not None,
            refused=refused,
            sentences=describe_checks(summary, people),
            table=[_build_row(summary, name) for name in MAPS],
        )
    )
    write_text(path, page)


def _build_cell(explanation: Explanation) -> dict[str, Any]:
    limit = find_limit(explanation)
    return {
        "name": explanation.name,
        "call": explanation.call,
        "probability": f"{explanation.probability:.3f}",
        "warnings": explanation.warnings,
        "picture": _embed(np.hstack([draw_cell(explanation), draw_overlay(explanation)])),
        "limit": f"{limit:.2g}",
        "passes": explanation.check.passes_check,
        "check": describe_check(explanation.check),
        "flat": describe_flat(explanation),
        "measures": [
            {
                "title": measure.title,
                "value": format_measure(measure, explanation.measures[measure.name]),
                "places": [
                    {
                        "label": label,
                        "share": explanation.percentiles[label][measure.name],
                        "words": format_percentile(explanation.percentiles[label][measure.name]),
                    }
                    for label in (LEUKAEMIC, NORMAL)
                    if label in explanation.percentiles
                ],
            }
            for measure in MEASURES
        ],
    }


def _build_row(summary: CheckSummary, name: str) -> dict[str, Any]:
    parts = ("score", "deletion", "insertion")
    return {
        "title": _TITLES[name],
        "cells": [
            {
                "value": f"{summary.means[f'{name}_{part}']:.3f}".replace("-", "−"),
                "interval": " to ".join(
                    f"{end:.3f}" for end in summary.intervals.get(f"{name}_{part}", ())
                ).replace("-", "−"),
            }
            for part in parts
        ],
    }


def _embed(picture: UInt8Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", quality=85, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
