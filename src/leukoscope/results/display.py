"""Figures, and text for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from leukoscope.arguments import check_arguments, refuse_argument
from leukoscope.io.files import write_text
from leukoscope.notices import RESEARCH_ONLY

__all__ = ["Figure", "StrPath", "join_html"]

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


def join_html(banner: str | None, words: Iterable[str], *tables: pd.DataFrame) -> str:
    """Sentences, then tables, as HTML."""
    found = [f"<p><strong>{html.escape(banner)}</strong></p>"] if banner else []
    found += [f"<p>{html.escape(sentence)}</p>" for sentence in words]
    found += [table.to_html(max_rows=20, float_format="{:.3f}".format) for table in tables]
    return "".join([*found, f"<p>{RESEARCH_ONLY}</p>"])
