"""A run's numbers → its model card, in Markdown (after Mitchell et al., 2019, arXiv 1810.03993)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leukoscope.datasets.spec import DatasetSpec
from leukoscope.evaluation import Evaluation, Score, find_score
from leukoscope.io.files import write_text
from leukoscope.report.page import build_environment
from leukoscope.report.words import (
    LEAST_CELLS,
    describe_abstention,
    describe_evaluation,
    format_interval,
    format_thresholds,
    format_value,
    list_context,
)

__all__ = ["write_model_card"]

_SCORES = ("weighted_f1", "roc_auc", "pr_auc", "sensitivity", "specificity", "balanced_accuracy")
_SHOWN = 8
_LEAKS = {
    "clean": "No person is on both sides.",
    "leaky": "**Leaky: people, or images, are on both sides, so these numbers do not hold on new "
    "people.**",
    "unknown": "Whether people are on both sides is not recorded.",
}


@dataclass(frozen=True)
class _Row:
    title: str
    by_cell: Score
    by_subject: Score
    size: Score | None


def write_model_card(
    evaluation: Evaluation,
    path: Path,
    *,
    name: str,
    split: str,
    expected: str,
    dataset: DatasetSpec,
    facts: Mapping[str, str],
    banner: str | None = None,
) -> None:
    """Write model-card.md.

    Args:
        evaluation: of the run's out-of-fold cells.
        path: where to write; replaced whole.
        name: of the model.
        split: name of the run's split.
        expected: expected performance on new people, in words.
        dataset: the training data set.
        facts: name → value, in the order to show.
        banner: a warning above everything, such as "Simulated cells".
    """
    environment = build_environment()
    environment.autoescape = False
    environment.filters.update(
        value=format_value, interval=format_interval, thousands=lambda n: f"{n:,}"
    )
    served = [row for row in evaluation.subjects if row.cells >= LEAST_CELLS]
    text = environment.get_template("card.md.j2").render(
        name=name,
        split=split,
        expected=expected,
        dataset=dataset,
        facts=facts,
        banner=banner,
        evaluation=evaluation,
        leak=_LEAKS[evaluation.leak.status],
        rows=[_build_row(evaluation, score) for score in _SCORES],
        paragraphs=describe_evaluation(evaluation),
        silence=describe_abstention(evaluation),
        context=list_context(evaluation),
        ece=find_score(evaluation.by_cell, "ece"),
        thresholds=format_thresholds(evaluation),
        worst=sorted(served, key=lambda row: row.accuracy)[:_SHOWN],
        least_cells=LEAST_CELLS,
    )
    write_text(path, text)


def _build_row(evaluation: Evaluation, name: str) -> _Row:
    by_cell = find_score(evaluation.by_cell, name)
    by_subject = find_score(evaluation.by_subject, name)
    size = {score.name: score for score in evaluation.baselines[-1].by_cell}
    return _Row(by_cell.title, by_cell, by_subject, size.get(name))
