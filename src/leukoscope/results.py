"""Results of the Python API, with displays for notebooks and terminals.

Each wraps the value of its package, and adds tables, figures and text.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.arguments import check_arguments, refuse_argument
from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue
from leukoscope.catalogue.audit import Audit
from leukoscope.errors import DataError
from leukoscope.evaluation import (
    Evaluation,
    Score,
    compute_curves,
    compute_reliability,
    write_metrics,
)
from leukoscope.evaluation.aggregate import SubjectSummary
from leukoscope.io.files import write_text
from leukoscope.io.runs import Run, write_json
from leukoscope.notices import RESEARCH_ONLY, find_banner
from leukoscope.report import describe_audit, figures, write_audit_page, write_report
from leukoscope.report.audit_figures import draw_areas, draw_cells_by_subject
from leukoscope.report.subject_figures import draw_shares

__all__ = ["AuditResult", "Dataset", "EvaluationResult", "Figure", "SubjectResult", "TrainedRun"]

StrPath = str | PathLike[str]


@dataclass(frozen=True)
class Figure:
    """A figure as SVG text; a notebook draws it."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg[self.svg.index("<svg") :]

    def __repr__(self) -> str:
        return f"<Figure, {len(self.svg):,} bytes of SVG; .save(path) writes it>"

    @check_arguments
    def save(self, path: StrPath) -> Path:
        """Write the SVG file; returns its path.

        Args:
            path: a name that ends in .svg.

        Raises:
            SettingsError: another suffix.

        >>> import leukoscope as lk
        >>> lk.audit("cells/").plot_areas().save("areas.svg").name
        'areas.svg'
        """
        target = Path(path)
        if target.suffix.lower() != ".svg":
            raise refuse_argument("path", str(path), "a name that ends in .svg: figures are SVG")
        write_text(target, self.svg)
        return target


@dataclass(frozen=True)
class Dataset:
    """A data set that was read: its cells, and which subjects are one person.

    Attributes:
        catalogue: its cells, subjects and links.
        options: how it was read, as `read_catalogue` takes them; training reads it the same way.
    """

    catalogue: Catalogue
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The folder or zip."""
        return self.catalogue.root

    @property
    def table(self) -> pd.DataFrame:
        """One row a cell: image, label, subject, group, fold, area, problem and more."""
        return self.catalogue.table

    @property
    def crops(self) -> UInt8Array:
        """The cells' pixels: uint8 (n, 225, 225, 3), RGB, in the order of the table."""
        return self.catalogue.crops

    @property
    def counts(self) -> pd.DataFrame:
        """Cells, subject names and people (groups) of each class."""
        named = self.table.assign(label=self.table["label"].replace("", "unlabelled"))
        known = {"subjects": "subject", "groups": "group"}
        return named.groupby("label").agg(
            cells=("image", "size"),
            **{name: (column, _count_names) for name, column in known.items()},
        )

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"<Dataset {self.catalogue.spec.name} in {self.path}>\n{self.counts}"

    def _repr_html_(self) -> str:
        problems = int((self.table["problem"] != "").sum())
        words = [
            f"{self.catalogue.spec.name}: {self.path}",
            *([f"Files with a problem, excluded: {problems:,}."] if problems else []),
        ]
        return _join(find_banner(self.path), words, self.counts)


def _count_names(names: pd.Series) -> int:
    return int(names[names != ""].nunique())


@dataclass(frozen=True)
class AuditResult:
    """The findings of an audit.

    Attributes:
        audit: all findings, as tables.
        dataset: that was audited.
    """

    audit: Audit
    dataset: Dataset

    @property
    def sentences(self) -> list[str]:
        """The findings in words, most important first."""
        return describe_audit(self.audit)

    @property
    def problems(self) -> pd.DataFrame:
        """Files with a problem: image, problem."""
        return self.audit.problems

    @property
    def groups(self) -> pd.DataFrame:
        """People under more than one subject name: group, subjects, cells, folds, links."""
        return self.audit.groups

    @property
    def same_cells(self) -> pd.DataFrame:
        """Pairs of one cell, processed twice; see `Audit`."""
        return self.audit.same_cells

    def plot_cells_by_subject(self) -> Figure:
        """Cells of each subject name, by class.

        >>> import leukoscope as lk
        >>> lk.audit("cells/").plot_cells_by_subject()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(draw_cells_by_subject(self._find_labelled()))

    def plot_areas(self) -> Figure:
        """Area of the cells by fold and class.

        >>> import leukoscope as lk
        >>> lk.audit("cells/").plot_areas()  # doctest: +ELLIPSIS
        <Figure, ... bytes of SVG; .save(path) writes it>
        """
        return Figure(draw_areas(self._find_labelled()))

    def _find_labelled(self) -> pd.DataFrame:
        table = self.dataset.table
        found = table[(table["label"] != "") & (table["subject"] != "")]
        if found.empty:
            raise DataError(f"{self.dataset.path}: no cell with a label and a subject to draw.")
        return found

    @check_arguments
    def write(self, *, html: StrPath | None = None, json: StrPath | None = None) -> None:
        """Write the page with a picture of every linked pair, the findings as JSON, or both.

        >>> import leukoscope as lk
        >>> lk.audit("cells/").write(html="audit.html", json="audit.json")
        """
        if json is not None:
            write_json(Path(json), self.audit.to_json())
        if html is not None:
            catalogue = self.dataset.catalogue
            write_audit_page(
                self.audit,
                catalogue.table,
                catalogue.crops,
                Path(html),
                name=catalogue.root.resolve().name,
                banner=find_banner(catalogue.root),
            )

    def __repr__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> str:
        banner = find_banner(self.dataset.path)
        return _join(banner, self.sentences, self.audit.counts, self.problems.head(10))


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
        return _join(None, [self.title, *self.notes], self._format_scores())

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
        return _join(None, self.notes, *tables)


@dataclass(frozen=True)
class TrainedRun:
    """A run of training; `lk.load_model`, `lk.evaluate` and `lk.aggregate` take it.

    Attributes:
        run: paths of its files.
    """

    run: Run

    @property
    def folder(self) -> Path:
        """Its path."""
        return self.run.folder

    @property
    def predictions(self) -> pd.DataFrame:
        """Each cell, predicted by the network not trained on its person (but in leaky splits)."""
        from leukoscope.predictions import read_predictions

        return read_predictions(self.run.predictions)

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch of each network."""
        return self.run.read_history()

    def plot_history(self) -> Figure:
        """Loss and AUC over epochs; `run` is what `train` returned.

        >>> run.plot_history().save("history.svg").name
        'history.svg'
        """
        return Figure(figures.draw_history(self.history))

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return " ".join(self._describe())

    def _repr_html_(self) -> str:
        banner = find_banner(Path(self.run.read_record().root))
        last = self.history.groupby("fold", sort=False).tail(1)
        return _join(banner, self._describe(), last)

    def _describe(self) -> list[str]:
        record = self.run.read_record()
        leaky = " Leaky split: its scores do not hold on new people." if record.split.leaky else ""
        return [
            f"Run {self.folder}: recipe {record.recipe.name}, split {record.split.name}, "
            f"{record.data.cells:,} cells of {record.data.groups} people.{leaky}"
        ]


def _build_scores(scores: Iterable[Score]) -> pd.DataFrame:
    rows = {score.name: (score.value, score.low, score.high) for score in scores}
    return pd.DataFrame.from_dict(rows, "index", columns=["value", "low", "high"], dtype=float)


def _format_score(score: Score) -> str:
    if score.value is None:
        return score.reason or "not defined"
    if score.low is None or score.high is None:
        return f"{score.value:.3f}"
    return f"{score.value:.3f} [{score.low:.3f}–{score.high:.3f}]"


def _join(banner: str | None, words: Iterable[str], *tables: pd.DataFrame) -> str:
    """Sentences, then tables, as HTML."""
    found = [f"<p><strong>{html.escape(banner)}</strong></p>"] if banner else []
    found += [f"<p>{html.escape(sentence)}</p>" for sentence in words]
    found += [table.to_html(max_rows=20, float_format="{:.3f}".format) for table in tables]
    return "".join([*found, f"<p>{RESEARCH_ONLY}</p>"])
