"""A data set, and its audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from leukoscope.arguments import check_arguments
from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue
from leukoscope.catalogue.audit import Audit
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.io.runs import write_json
from leukoscope.notices import find_banner
from leukoscope.report import describe_audit, write_audit_page
from leukoscope.report.audit_figures import draw_areas, draw_cells_by_subject
from leukoscope.results.display import Figure, StrPath, join_html

__all__ = ["AuditResult", "Dataset"]


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
    def spec(self) -> DatasetSpec:
        """Its facts: crop, limits of the image-quality checks, how subjects are read, folds.

        >>> import leukoscope as lk
        >>> lk.read_dataset("cells/").spec.crop.frame_px
        450
        """
        return self.catalogue.spec

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
        return join_html(find_banner(self.path), words, self.counts)


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
        return join_html(banner, self.sentences, self.audit.counts, self.problems.head(10))
