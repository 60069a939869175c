"""Figures of the audit: cells per subject, and their areas."""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.report.figures import CLASS_COLOURS, draw_svg

__all__ = ["draw_areas", "draw_cells_by_subject"]

_ORDER = (LEUKAEMIC, NORMAL)


def draw_cells_by_subject(table: pd.DataFrame) -> str:
    """Number of cells of each subject name, by class, largest first: SVG text.

    Args:
        table: labelled cells, columns subject, label.
    """
    counts = table.groupby(["label", "subject"]).size()

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        start = 0
        for label in _ORDER:
            if label not in counts.index.get_level_values("label"):
                continue
            cells = counts.xs(label, level="label").sort_values(ascending=False)
            places = range(start, start + len(cells))
            axes.bar(places, cells, width=0.85, color=CLASS_COLOURS[label], label=label)
            start += len(cells) + 2
        axes.set(xticks=[], xlabel="subject names", ylabel="cells")
        axes.legend()

    return draw_svg(3.0, paint)


def draw_areas(table: pd.DataFrame) -> str:
    """Area of the cells by fold and class, as box plots: SVG text.

    Args:
        table: labelled cells, columns label, fold, area (px of the crop).
    """
    data = table.assign(fold=table["fold"].replace("", "all"))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        sns.boxplot(
            data=data,
            x="fold",
            y="area",
            hue="label",
            order=sorted(data["fold"].unique()),
            hue_order=[label for label in _ORDER if label in set(data["label"])],
            palette=CLASS_COLOURS,
            fliersize=1,
            linewidth=0.8,
            gap=0.1,
            ax=axes,
        )
        axes.set(xlabel="", ylabel="area (pixels of the crop)", ylim=(0, None))
        axes.legend(title="")

    return draw_svg(3.0, paint)
