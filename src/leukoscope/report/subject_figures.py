"""Figure of an aggregation: each subject's share of cells called leukaemic."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from leukoscope.report.figures import CLASS_COLOURS, draw_svg

__all__ = ["draw_shares"]

_UNKNOWN = "#66707d"


def draw_shares(table: pd.DataFrame) -> str:
    """Share of each subject's cells called leukaemic, with its interval: SVG text.

    Args:
        table: of `evaluation.aggregate`: subject, label, cells, share, share_low, share_high;
            drawn in its order, coloured by label, grey where that is not known.
    """
    places = np.arange(len(table))
    colours = [CLASS_COLOURS.get(label, _UNKNOWN) for label in table["label"]]

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.hlines(places, table["share_low"], table["share_high"], colours, linewidth=1.8)
        axes.scatter(table["share"], places, s=24, color=colours, zorder=3)
        words = zip(table["subject"], table["cells"], strict=True)
        axes.set_yticks(places, [f"{subject}  ({cells})" for subject, cells in words])
        axes.set(xlim=(-0.02, 1.02), ylim=(len(table) - 0.4, -0.6))
        axes.set(xlabel="Share of cells called leukaemic", ylabel="Subject (cells)")
        axes.tick_params(axis="y", length=0, labelsize=7.5)
        axes.grid(axis="x", color="#eef0f3", linewidth=0.8)
        axes.set_axisbelow(True)

    return draw_svg(1.0 + 0.2 * len(table), paint)
