"""Scores of predictions, and one row a subject."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from leukoscope.arguments import check_arguments
from leukoscope.evaluation import (
    Evaluation,
    Score,
    compute_curves,
    compute_reliability,
    write_metrics,
)
from leukoscope.evaluation.aggregate import SubjectSummary
from leukoscope.report import figures, write_report
from leukoscope.report.subject_figures import draw_shares
from leukoscope.results.display import Figure, StrPath, join_html

__all__ = ["EvaluationResult", "SubjectResult"]


@dataclass(frozen=True)
class EvaluationResult:
    """Scores of a predictions table, with intervals over people.

    Attributes:
        evaluation: every number.
        predictions: the table, checked, in our columns.
        title: what was evaluated.
    """

    evaluation: Evaluation
    predictions: pd.DataFrame
    title: str = "Predictions"

    @property
    def scores(self) -> pd.DataFrame:
        """One row a score: value, low and high (95% interval over people), by cell and subject."""
        views = (("by_cell", self.evaluation.by_cell), ("by_subject", self.evaluation.by_subject))
        return pd.concat({name: _build_scores(view) for name, view in views}, axis=1)

    @property
    def baselines(self) -> pd.DataFrame:
        """The same scores, by cell, of calling all cells leukaemic, and of their size alone."""
        found = {
            baseline.title: _build_scores(baseline.by_cell)["value"]
            for baseline in self.evaluation.baselines
        }
        return pd.DataFrame(found)

    @property
    def subjects(self) -> pd.DataFrame:
        """One row a subject, highest mean probability first."""
        return pd.DataFrame(self.evaluation.subjects)

    @property
    def notes(self) -> list[str]:
        """Caveats for reading the numbers; first, whether the split leaks."""
        return [self.evaluation.leak.statement, *self.evaluation.notes]

    def plot_roc(self) -> Figure:
        """ROC curves: by cell, by subject, and of size alone where that is known.

        >>> import leukoscope as lk
        >>> table = lk.predict("cells/")
        >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
        >>> lk.evaluate(table, n_bootstrap=200).plot_roc()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(figures.draw_roc(compute_curves(self.predictions)))

    def plot_precision_recall(self) -> Figure:
        """Precision over recall.

        >>> import leukoscope as lk
        >>> table = lk.predict("cells/")
        >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
        >>> lk.evaluate(table, n_bootstrap=200).plot_precision_recall()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(figures.draw_precision_recall(compute_curves(self.predictions)))

    def plot_confusion(self) -> Figure:
        """Cells by true label and call.

        >>> import leukoscope as lk
        >>> table = lk.predict("cells/")
        >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
        >>> lk.evaluate(table, n_bootstrap=200).plot_confusion()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(figures.draw_confusion(self.evaluation))

    def plot_reliability(self) -> Figure:
        """Share of leukaemic cells over the predicted probability.

        >>> import leukoscope as lk
        >>> table = lk.predict("cells/")
        >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
        >>> lk.evaluate(table, n_bootstrap=200).plot_reliability()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(figures.draw_reliability(compute_reliability(self.predictions)))

    def plot_subjects(self) -> Figure:
        """Every cell, by subject.

        >>> import leukoscope as lk
        >>> table = lk.predict("cells/")
        >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
        >>> lk.evaluate(table, n_bootstrap=200).plot_subjects()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(figures.draw_subjects(self.predictions, self.evaluation))

    @check_arguments
    def write(self, folder: StrPath) -> Path:
        """Write metrics.json and report.html; returns the page's path.

        >>> import leukoscope as lk
        >>> table = lk.predict("cells/")
        >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
        >>> lk.evaluate(table, n_bootstrap=200).write("evaluation").name
        'report.html'
        """
        page = Path(folder) / "report.html"
        write_metrics(self.evaluation, page.with_name("metrics.json"))
        facts = {"Cells": f"{self.evaluation.counts.cells:,}"}
        write_report(self.evaluation, self.predictions, page, title=self.title, facts=facts)
        return page

    def __repr__(self) -> str:
        return "\n".join([self.title, str(self._format_scores()), *self.notes])

    def _repr_html_(self) -> str:
        return join_html(None, [self.title, *self.notes], self._format_scores())

    def _format_scores(self) -> pd.DataFrame:
        views = (("By cell", self.evaluation.by_cell), ("By subject", self.evaluation.by_subject))
        found = {name: {s.title: _format_score(s) for s in view} for name, view in views}
        return pd.DataFrame(found)


@dataclass(frozen=True)
class SubjectResult:
    """One row a subject, and the scores of the calls.

    Attributes:
        summary: all of it.
    """

    summary: SubjectSummary

    @property
    def table(self) -> pd.DataFrame:
        """One row a subject: cells, share (called leukaemic), probability, call and more."""
        return self.summary.table

    @property
    def scores(self) -> pd.DataFrame:
        """Sensitivity, specificity and ROC-AUC of labelled subjects; empty where none is known."""
        return _build_scores(self.summary.scores)

    @property
    def notes(self) -> list[str]:
        """How the probability was calibrated, and caveats."""
        return [self.summary.calibration, *self.summary.notes]

    def plot_shares(self) -> Figure:
        """Each subject's share of cells called leukaemic, with its interval.

        >>> import leukoscope as lk
        >>> lk.aggregate(lk.predict("cells/")).plot_shares()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(draw_shares(self.table))

    def __repr__(self) -> str:
        return "\n".join([str(self.table), *self.notes])

    def _repr_html_(self) -> str:
        tables = [self.table, *([self.scores] if self.summary.scores else [])]
        return join_html(None, self.notes, *tables)


def _build_scores(scores: Iterable[Score]) -> pd.DataFrame:
    rows = {score.name: (score.value, score.low, score.high) for score in scores}
    return pd.DataFrame.from_dict(rows, "index", columns=["value", "low", "high"], dtype=float)


def _format_score(score: Score) -> str:
    if score.value is None:
        return score.reason or "not defined"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.3f}–{score.high:.3f}]"
