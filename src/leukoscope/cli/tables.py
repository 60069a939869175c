"""Findings and scores → text on the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from leukoscope.cells.extract import name_cell
from leukoscope.cli.options import name_options
from leukoscope.evaluation.scores import SCORES
from leukoscope.labels import LABELS
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.report.audit_page import describe_audit

if TYPE_CHECKING:
    from leukoscope.catalogue.audit import Audit
    from leukoscope.evaluation import Evaluation, Score
    from leukoscope.evaluation.aggregate import SubjectSummary
    from leukoscope.workflow.explanation import ExplanationResult

__all__ = ["print_audit", "print_evaluation", "print_explanations", "print_summary"]

_SHOWN = 12
_HEADLINE = (
    "accuracy",
    "precision_leukaemic",
    "recall_leukaemic",
    "f1_leukaemic",
    "weighted_f1",
    "roc_auc",
    "sensitivity",
    "specificity",
    "ece",
)
_BUILT_IN = {kind.name for kind in SCORES}


def print_audit(audit: Audit, written: Sequence[Path]) -> None:
    """The findings of `data audit`."""
    out = Console(highlight=False, markup=False)
    for sentence in describe_audit(audit):
        out.print(name_options(sentence))
    out.print(
        _build_table(
            ["Fold", "Class", "Cells", "Names", "Groups"],
            audit.counts[["fold", "label", "cells", "subjects", "groups"]].itertuples(index=False),
        )
    )
    if len(audit.groups):
        columns = ["group", "cells", "folds", "links"]
        rows = audit.groups[columns].itertuples(index=False)
        out.print(_build_table(["Group", "Cells", "Folds", "Links across names"], rows))
    if len(audit.problems):
        rows = audit.problems.head(_SHOWN).itertuples(index=False)
        out.print(_build_table(["File", "Problem"], rows))
        if len(audit.problems) > _SHOWN:
            out.print(f"… and {len(audit.problems) - _SHOWN} more (see --json or --html).")
    cue = audit.size_cue
    rows = cue.assign(fold=cue["fold"].replace("", "all")).itertuples(index=False)
    out.print(_build_table(["Size alone", "AUC by cell", "AUC by subject"], rows))
    pairs = audit.labelled_pairs
    if pairs:
        out.print(
            f"{audit.class_crossings} of {pairs:,} linked pairs join the two classes; by chance "
            f"about {audit.chance_crossings:,.0f} would."
        )
    for line in audit.missing:
        out.print(f"Missing compared with the published set: {line}.")
    for path in written:
        out.print(f"Written: {path}")
    out.print(RESEARCH_ONLY)


def print_evaluation(evaluation: Evaluation, page: Path) -> None:
    """The headline scores and a user's own, baselines beside them."""
    out = Console(highlight=False, markup=False)
    views = [evaluation.by_cell, evaluation.by_subject, *(b.by_cell for b in evaluation.baselines)]
    found = [{score.name: score for score in view} for view in views]
    rows = [
        (
            found[0][name].title,
            *(_format(view[name]) for view in found[:2]),
            *(_format(view.get(name), interval=False) for view in found[2:]),
        )
        for name in (*_HEADLINE, *(name for name in found[0] if name not in _BUILT_IN))
    ]
    titles = ["Score", "By cell", "By subject"]
    out.print(_build_table([*titles, *(b.title for b in evaluation.baselines)], rows))
    out.print("[95% intervals: bootstrap over people]")
    out.print(
        f"By subject, mean probability of its cells: ROC-AUC {_format(evaluation.subject_auc)}."
    )
    out.print(evaluation.leak.statement)
    for note in evaluation.notes:
        out.print(note)
    out.print(f"Page: {page}")
    out.print(RESEARCH_ONLY)


def print_explanations(result: ExplanationResult) -> None:
    """The predictions, the check of their maps, and what was written."""
    out = Console(highlight=False, markup=False)
    rows = [
        (
            name_cell(PurePosixPath(found.image).name, found.cell),
            found.call,
            f"{found.probability:.3f}",
            f"{found.check.flat_probability:.3f}",
            f"{found.check.score:+.2f}",
            "passes" if found.check.passes_check else "fails: do not trust it",
        )
        for found in result.explanations[:_SHOWN]
    ]
    titles = ["Image", "Call", "Probability", "Blurred", "Map score", "Check"]
    out.print(_build_table(titles, rows))
    if len(result.explanations) > _SHOWN:
        out.print(f"… and {len(result.explanations) - _SHOWN} more (see the page).")
    for name, reason in result.refused.items():
        out.print(f"Not explained: {name}: {reason}.")
    for sentence in result.notes:
        out.print(sentence)
    out.print(f"{result.seconds:.1f} s a cell. Page: {result.page}")
    out.print(RESEARCH_ONLY)


def print_summary(summary: SubjectSummary, written: Path | None) -> None:
    """One row a subject, then the scores of the calls."""
    out = Console(highlight=False, markup=False)
    rows = [
        (
            row["subject"],
            row["label"] or "unknown",
            row["cells"],
            f"{row['share']:.2f} [{row['share_low']:.2f}–{row['share_high']:.2f}]",
            row["mean_probability"],
            "–" if math.isnan(row["probability"]) else row["probability"],
            row["call"] + (", uncertain" if row["call"] in LABELS and not row["certain"] else ""),
        )
        for row in summary.table.to_dict("records")
    ]
    titles = ["Subject", "Label", "Cells", "Called leukaemic", "Mean", "Probability", "Call"]
    out.print(_build_table(titles, rows))
    out.print("[95% Wilson intervals: over other cells of the same subject, not other people]")
    out.print(summary.calibration)
    if summary.scores:
        out.print(f"Calls of the {summary.scored} subjects with label and enough cells:")
        for score in summary.scores:
            out.print(f"  {score.title}: {_format(score)}, {score.n_subjects} subjects")
    for note in summary.notes:
        out.print(note)
    if written:
        out.print(f"Written: {written}")
    out.print(RESEARCH_ONLY)


def _format(score: Score | None, *, interval: bool = True) -> str:
    if score is None:
        return "–"
    if score.value is None:
        return score.reason or "not defined"
    if score.low is None or score.high is None or not interval:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.3f}–{score.high:.3f}]"


def _build_table(titles: Sequence[str], rows: Iterable[Iterable[object]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for place, title in enumerate(titles):
        table.add_column(title, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(_to_text(value) for value in row))
    return table


def _to_text(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not defined"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value) or "–"
