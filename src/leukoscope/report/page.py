"""Numbers and figures → one page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from PIL import Image

from leukoscope.arrays import UInt8Array
from leukoscope.evaluation import (
    Evaluation,
    Score,
    compute_curves,
    compute_reliability,
    list_confident_errors,
)
from leukoscope.io.files import write_text
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.report import figures
from leukoscope.report.words import (
    describe_abstention,
    describe_evaluation,
    format_interval,
    format_thresholds,
    format_value,
    list_context,
)

__all__ = ["build_environment", "embed_svg", "write_report"]

_HEADLINE = (
    "weighted_f1",
    "roc_auc",
    "pr_auc",
    "sensitivity",
    "specificity",
    "balanced_accuracy",
    "mcc",
    "brier",
    "ece",
)


@dataclass(frozen=True)
class _Figure:
    title: str
    caption: str
    alt: str
    source: str
    tall: bool = False


@dataclass(frozen=True)
class _Error:
    image: str
    subject: str
    label: str
    call: str
    probability: float
    source: str


@dataclass(frozen=True)
class _Row:
    title: str
    direction: str
    n: str
    cells: tuple[Score | None, ...]


def write_report(
    evaluation: Evaluation,
    table: pd.DataFrame,
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    history: pd.DataFrame | None = None,
    pictures: Mapping[str, UInt8Array] | None = None,
    banner: str | None = None,
) -> None:
    """Write report.html.

    Args:
        evaluation: the numbers, from `compute_evaluation`.
        table: the predictions table they came from, for the curves and the errors.
        path: where to write; replaced whole.
        title: heading of the page.
        facts: name → value of the run (recipe, split, data, versions …), in the order to show.
        history: columns epoch, any ending in loss or auc (those starting with validation_ belong
            to the validation set, by which training stops), and fold where there are several
            networks.
        pictures: image name → crop, uint8 (size, size, 3), RGB, of the cells that may be shown.
        banner: a warning above everything, such as "Simulated cells".

    Raises:
        DataError: the table breaks the contract.
    """
    environment = build_environment()
    environment.filters.update(value=format_value, interval=format_interval)
    page = environment.get_template("report.html.j2").render(
        title=title,
        banner=banner,
        facts=facts,
        evaluation=evaluation,
        thresholds=format_thresholds(evaluation),
        paragraphs=describe_evaluation(evaluation),
        silence=describe_abstention(evaluation),
        context=list_context(evaluation),
        glance=_draw_glance(evaluation),
        headline=[*_build_rows(evaluation, _HEADLINE), _build_subject_row(evaluation)],
        all_scores=_build_rows(evaluation, [score.name for score in evaluation.by_cell]),
        figures=list(_draw_figures(evaluation, table, history)),
        errors=_build_errors(table, pictures or {}),
        colours=figures.CLASS_COLOURS,
    )
    write_text(path, page)


def build_environment() -> Environment:
    """Jinja2 with the templates of this folder, everything escaped."""
    environment = Environment(
        loader=PackageLoader("leukoscope.report", "."),
        autoescape=select_autoescape(["html", "j2"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["research_only"] = RESEARCH_ONLY
    return environment


def _build_rows(evaluation: Evaluation, names: Sequence[str]) -> list[_Row]:
    """One row a score: network by cell and by subject, then each baseline by cell."""
    views = [evaluation.by_cell, evaluation.by_subject, *(b.by_cell for b in evaluation.baselines)]
    found = [{score.name: score for score in view} for view in views]
    return [
        _Row(
            title=found[0][name].title,
            direction=found[0][name].direction,
            n=_format_n(found[0][name]),
            cells=tuple(view.get(name) for view in found),
        )
        for name in names
    ]


def _build_subject_row(evaluation: Evaluation) -> _Row:
    score = evaluation.subject_auc
    empty = (None for _ in evaluation.baselines)
    return _Row(score.title, score.direction, _format_n(score), (None, score, *empty))


def _format_n(score: Score) -> str:
    return f"{score.n_cells:,} cells, {score.n_subjects:,} subjects"


def _draw_glance(evaluation: Evaluation) -> _Figure | None:
    """ROC-AUC of the network in its views and of size alone; None where it is not defined."""
    size = evaluation.baselines[-1]
    network = _find_aucs(
        {
            "Network, by cell": evaluation.by_cell,
            "Network, by subject": evaluation.by_subject,
            "Network, subject means": (evaluation.subject_auc,),
        }
    )
    alone = _find_aucs({"Size, by cell": size.by_cell, "Size, by subject": size.by_subject})
    if not network:
        return None
    words = [
        f"{title} {format_value(score)} ({format_interval(score)})"
        for title, score in (*network.items(), *alone.items())
    ]
    return _Figure(
        "At a glance",
        "The network beside the size of the cell alone, with 95% intervals over people."
        if alone
        else "The network, with 95% intervals over people; the score of size alone is not known.",
        "ROC-AUC: " + "; ".join(words),
        embed_svg(figures.draw_glance(network, alone)),
    )


def _find_aucs(views: Mapping[str, Sequence[Score]]) -> dict[str, Score]:
    return {
        title: score
        for title, scores in views.items()
        for score in scores
        if score.name in ("roc_auc", "subject_roc_auc") and score.value is not None
    }


def _draw_figures(
    evaluation: Evaluation, table: pd.DataFrame, history: pd.DataFrame | None
) -> Iterable[_Figure]:
    """Every figure that the data allow, in reading order."""
    curves = compute_curves(table)
    if curves:
        yield _Figure(
            "ROC curve",
            "Leukaemic cells found against normal cells called leukaemic, as the threshold moves. "
            "The grey diagonal is chance.",
            "ROC curves of the network by cell and by subject, and of cell size alone if known",
            embed_svg(figures.draw_roc(curves)),
        )
        yield _Figure(
            "Precision and recall",
            "Share of leukaemic calls that are correct, against leukaemic cells found. "
            "The grey line is the share of leukaemic cells: chance.",
            "Precision-recall curves of the network by cell and by subject, and of cell size alone",
            embed_svg(figures.draw_precision_recall(curves)),
        )
    if len(table):
        yield _Figure(
            "Confusion matrix",
            f"Cells by true label and call, at the threshold {format_thresholds(evaluation)}.",
            "Confusion matrix; its four counts: "
            + "; ".join(
                f"{truth} called {call} {count}"
                for truth, calls in evaluation.confusion.items()
                for call, count in calls.items()
            ),
            embed_svg(figures.draw_confusion(evaluation)),
        )
        yield _Figure(
            "Calibration",
            "Share of leukaemic cells among those with a predicted probability; on the diagonal, "
            "probabilities are calibrated. Below: the number of cells.",
            "Reliability diagram with the number of cells in each of fifteen bins",
            embed_svg(figures.draw_reliability(compute_reliability(table))),
        )
    if evaluation.folds:
        yield _Figure(
            "Scores by fold",
            "Each dot is a fold's score by cell, each line its 95% interval over people; n counts "
            "subjects.",
            "Forest plot of four scores for each fold, with intervals",
            embed_svg(figures.draw_folds(evaluation.folds)),
        )
    if history is not None and len(history):
        yield _Figure(
            "Training",
            "Loss and ROC-AUC over epochs. The evaluated cells are not used here.",
            "Training curves: loss and ROC-AUC by epoch",
            embed_svg(figures.draw_history(history)),
        )
    if len(table):
        yield _Figure(
            "Every cell, by subject",
            "Each dot is a cell, each bar its subject's mean. Leukaemic subjects (above) belong "
            "right of the dashed thresholds, normal ones (below) left of them.",
            "Strip plot of each subject's probabilities; the table of subjects has the means",
            embed_svg(figures.draw_subjects(table, evaluation)),
            tall=True,
        )


def _build_errors(table: pd.DataFrame, pictures: Mapping[str, UInt8Array]) -> list[_Error]:
    errors = list_confident_errors(table)
    return [
        _Error(
            image=str(row["image"]),
            subject=str(row["subject"]),
            label=str(row["label"]),
            call=str(row["call"]),
            probability=float(row["probability"]),
            source=_embed_png(pictures[row["image"]]) if row["image"] in pictures else "",
        )
        for row in errors.to_dict("records")
    ]


def embed_svg(svg: str) -> str:
    """A data address that an `img` can show."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _embed_png(crop: UInt8Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
