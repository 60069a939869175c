"""One explained cell → pictures: the cell, the map over it, and the measures as bars."""

from __future__ import annotations

import textwrap

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure, SubFigure

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import compute_foreground
from leukoscope.cells.extract import name_cell
from leukoscope.cells.measures import MEASURES
from leukoscope.explanation import (
    Explanation,
    describe_check,
    describe_flat,
    describe_reference,
    find_limit,
    format_measure,
    scale_map,
)
from leukoscope.labels import CLASS_COLOURS, LEUKAEMIC, NORMAL
from leukoscope.notices import RESEARCH_ONLY
from leukoscope.report.figures import draw_png
from leukoscope.report.pictures import brighten, cut_cell

__all__ = ["draw_card", "draw_cell", "draw_overlay"]

_NEUTRAL = "#f2f0ec"
_COLOURS = LinearSegmentedColormap.from_list(
    "speaks_for", [CLASS_COLOURS[NORMAL], _NEUTRAL, CLASS_COLOURS[LEUKAEMIC]]
)
_PAPER = 255
_PICTURE_PX = 320
_LEAST_SIDE, _MARGIN = 120, 8  # px of the crop around the cell


def draw_cell(explanation: Explanation) -> UInt8Array:
    """The cell, brightened: uint8 (320, 320, 3), RGB."""
    return _show_cell(brighten(explanation.crop), explanation.crop)


def draw_overlay(explanation: Explanation) -> UInt8Array:
    """The map's colours over the cell in grey, on white: uint8 (320, 320, 3), RGB.

    The structure stays visible as light and dark; the colour is the map's alone.
    """
    crop = explanation.crop
    cell = compute_foreground(crop)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    low, high = np.percentile(grey[cell], [1, 99])
    light = 0.6 + 0.4 * np.clip((grey - low) / max(high - low, 1), 0, 1)
    limit = find_limit(explanation)
    place = 0.5 + 0.5 * np.clip(scale_map(explanation) / limit, -1, 1)
    colours = _COLOURS(place)[..., :3] * light[..., None]
    picture = np.where(cell[..., None], np.rint(255 * colours), _PAPER).astype(np.uint8)
    return _show_cell(picture, crop, _PAPER)


def _show_cell(picture: UInt8Array, crop: UInt8Array, around: int = 0) -> UInt8Array:
    picture = cut_cell(picture, crop, _LEAST_SIDE, margin=_MARGIN, around=around)
    return np.asarray(
        cv2.resize(picture, (_PICTURE_PX, _PICTURE_PX), interpolation=cv2.INTER_CUBIC), np.uint8
    )


def draw_card(explanation: Explanation, banner: str | None = None) -> bytes:
    """One PNG: the cell, its map with the scale, the measures, and whether the map is faithful."""

    def paint(figure: Figure) -> None:
        rows = figure.subfigures(3, 1, height_ratios=[0.25, 3.4, 0.75])
        head, top, bottom = np.ravel(np.asarray(rows))
        left, right = _split(top)
        _paint_pictures(left, explanation)
        _paint_measures(right, explanation)
        sentences = [describe_check(explanation.check), describe_flat(explanation)]
        notes = [explanation.warnings, " ".join(filter(None, [banner, RESEARCH_ONLY]))]
        bottom.text(
            0.01,
            0.97,
            "\n".join(textwrap.fill(text, 170) for text in [*sentences, *notes] if text),
            va="top",
            fontsize=8.5,
            linespacing=1.45,
            parse_math=False,
        )
        head.text(
            0.01,
            0.45,
            f"{_shorten(explanation)}: {explanation.call}, probability of leukaemic "
            f"{explanation.probability:.3f}",
            fontsize=11,
            va="center",
            parse_math=False,
        )

    return draw_png(5.0, paint, width=10.5)


def _split(figure: SubFigure) -> tuple[SubFigure, SubFigure]:
    left, right = np.ravel(np.asarray(figure.subfigures(1, 2, width_ratios=[1.5, 1])))
    return left, right


def _shorten(explanation: Explanation, limit: int = 60) -> str:
    name = explanation.image.replace("\\", "/").rsplit("/", 1)[-1]
    return name_cell(name if len(name) <= limit else f"{name[: limit - 1]}…", explanation.cell)


def _paint_pictures(figure: SubFigure, explanation: Explanation) -> None:
    cell, overlay = figure.subplots(1, 2)
    cell.imshow(draw_cell(explanation))
    cell.set_title("the cell, brightened", fontsize=9)
    limit = find_limit(explanation)
    overlay.imshow(draw_overlay(explanation))
    overlay.set_title("where its detail speaks for …", fontsize=9)
    for axes in (cell, overlay):
        axes.set_axis_off()
    scale = ScalarMappable(Normalize(-limit, limit), _COLOURS)
    bar = figure.colorbar(
        scale, ax=[cell, overlay], location="bottom", fraction=0.05, pad=0.03, aspect=45
    )
    bar.set_label(
        "speaks for normal ←     log odds that 1% of the cell there adds     → for leukaemic",
        fontsize=8.5,
    )
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)


def _paint_measures(figure: SubFigure, explanation: Explanation) -> None:
    axes = figure.add_subplot()
    labels = []
    for row, measure in enumerate(MEASURES):
        value = explanation.measures[measure.name]
        labels.append(f"{measure.title}: {format_measure(measure, value)}")
        for shift, label in ((-0.16, LEUKAEMIC), (0.12, NORMAL)):
            if label in explanation.percentiles:
                place = explanation.percentiles[label][measure.name]
                _paint_percentile(axes, row + shift, label, place)
    axes.set_yticks([])
    for row, text in enumerate(labels):
        axes.text(0, row - 0.32, text, fontsize=8, va="bottom", ha="left")
    axes.set(xlim=(0, 100), ylim=(len(MEASURES) - 0.3, -0.75))
    if explanation.percentiles:
        axes.set_xticks([0, 25, 50, 75, 100])
        words = "percentile among leukaemic (orange) and normal (blue) training cells"
    else:
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        words = textwrap.fill(describe_reference(None), 62)
    axes.set_xlabel(words, fontsize=8)
    axes.tick_params(labelsize=8, length=2)
    axes.spines["left"].set_visible(False)


def _paint_percentile(axes: Axes, at: float, label: str, value: float | None) -> None:
    axes.barh(at, 100, height=0.22, color="#eceef1")
    if value is not None:
        axes.barh(at, value, height=0.22, color=CLASS_COLOURS[label])
