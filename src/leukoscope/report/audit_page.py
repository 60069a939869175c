"""An audit → one self-contained page, with every linked pair as a picture."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from markupsafe import Markup

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue.audit import Audit, Population
from leukoscope.catalogue.groups import sort_names
from leukoscope.catalogue.same_cell import MIN_EVIDENCE
from leukoscope.datasets.reader import LabelMatch
from leukoscope.io.files import write_text
from leukoscope.report.audit_figures import draw_areas, draw_cells_by_subject
from leukoscope.report.page import build_environment, embed_svg
from leukoscope.report.pictures import brighten, cut_cell

__all__ = ["describe_audit", "write_audit_page"]

_SCRIPTS = (
    *(f"serve/page/{name}.js" for name in ("lists", "formatting", "table", "dom")),
    *(f"report/{name}.js" for name in ("joining", "review")),
)
_LINKS = re.compile(r"^import [^;]*;\n|^export (?=function|const|class)", re.MULTILINE)

_NAMED = 3  # images of a sentence
_PICTURE_PX = 120
_REVIEWED_PX = 160  # of a pair that is reviewed, and shown large
_SHOWN_PX = 160  # side of the crop's part that a picture shows


def write_audit_page(
    audit: Audit,
    table: pd.DataFrame,
    crops: UInt8Array,
    path: Path,
    *,
    name: str,
    banner: str | None = None,
) -> None:
    """Write the page of `leukoscope data audit --html`.

    Args:
        audit: the numbers.
        table: the catalogue's table, for the figures.
        crops: uint8 (n, 225, 225, 3), the catalogue's, for the pictures.
        path: where to write; replaced whole.
        name: of the data.
        banner: a warning above everything.
    """
    environment = build_environment()
    environment.filters["cell"] = _format_cell
    galleries = _build_galleries(audit, crops)
    page = environment.get_template("audit.html.j2").render(
        audit=audit,
        banner=banner,
        checks=_describe_checks(audit),
        exposure=audit.exposure.assign(share=audit.exposure["share"].map("{:.0%}".format)),
        figures=_draw_figures(table),
        galleries=galleries,
        review=_build_review(audit, table, [row for _, rows, _ in galleries for row in rows]),
        min_evidence=f"{MIN_EVIDENCE:.0f}",
        name=name,
        script=Markup(_join_scripts()),
        sentences=describe_audit(audit),
        size_cue=audit.size_cue.assign(fold=audit.size_cue["fold"].replace("", "all")),
    )
    write_text(path, page)


def _join_scripts() -> str:
    """review.js and all that it imports as one module, each after what it needs itself.

    The page has no server to import from. So no two of these modules may share a name.
    """
    package = resources.files("leukoscope")
    return "\n".join(_LINKS.sub("", (package / name).read_text("utf-8")) for name in _SCRIPTS)


def describe_audit(audit: Audit) -> list[str]:
    """The findings in words, most important first."""
    sentences = [
        *(
            sentence
            for kind, cells in (("labelled", audit.labelled), ("unlabelled", audit.unlabelled))
            if cells.cells
            for sentence in _describe_cells(kind, cells, audit.groups_csv)
        ),
        *([f"{audit.unread:,} images could not be read."] if audit.unread else []),
        *(sentence for match in audit.matches for sentence in _describe_match(match)),
        *(f"{audit.groups_csv}: {sentence}" for sentence in audit.overridden),
    ]
    for kind, pairs in (
        ("pairs of images are equal, pixel for pixel", audit.duplicates),
        ("pairs show the same cell, processed twice", audit.same_cells),
    ):
        across = int(pairs["across"].sum())
        sentences.append(f"{len(pairs):,} {kind}; {across:,} of them under two subject names.")
    if not audit.compared:
        sentences.append(
            "The cells are not cut out on black, so one cell in two different images cannot be "
            "found here: make sure that a person has one name, or say who is one in a CSV of "
            "groups."
        )
    if len(audit.groups):
        exposed = audit.exposure[audit.exposure["exposed"] > 0]
        parts = "; ".join(
            f"{row.share:.0%} of {row.fold}" for row in exposed.itertuples(index=False)
        )
        sentences.append(
            f"{audit.groups['subjects'].sum()} names are joined to {len(audit.groups)} groups. "
            + (f"Cells of people who are in another fold too: {parts}." if parts else "")
        )
    if len(audit.problems):
        sentences.append(f"Files with a problem, excluded: {len(audit.problems):,}.")
    return [*sentences, *_describe_training(audit)]


def _describe_training(audit: Audit) -> Iterator[str]:
    """Whether `train` would run, and what `predict` would then say of the cells trained on."""
    if audit.obstacle:
        yield f"Training is not possible: {audit.obstacle}"
        return
    yield f"Training is possible, on {audit.usable:,} cells."
    if audit.warned:
        yield (
            f"{audit.warned:,} of them lie outside the limits of the image-quality checks, which "
            "are measured from all of them; the trained network would warn of these."
        )


def _describe_cells(kind: str, cells: Population, groups_csv: str) -> list[str]:
    if not cells.named:
        return [f"{cells.cells:,} {kind} cells of unknown subjects."]
    basis = f"according to {groups_csv}" if groups_csv else "as far as the pixels show"
    sentences = [
        f"{cells.named:,} {kind} cells under {cells.subjects} subject names, "
        f"of which {cells.groups} are different people {basis}."
    ]
    if cells.cells > cells.named:
        sentences.append(f"{cells.cells - cells.named:,} more {kind} cells of unknown subjects.")
    return sentences


def _describe_match(match: LabelMatch) -> list[str]:
    sentences = []
    if match.absent:
        sentences.append(
            f"{match.file}: {match.absent:,} of its {match.rows:,} rows name no image of the data: "
            f"{_list_some(match.absent_names, match.absent)}."
        )
    if match.unlisted:
        sentences.append(
            f"{match.file}: {match.unlisted:,} of the {match.images:,} images are not in it, "
            f"{match.unlabelled:,} of these without a label: "
            f"{_list_some(match.unlisted_names, match.unlisted)}."
        )
    return sentences


def _list_some(names: Sequence[str], total: int) -> str:
    shown = list(names[:_NAMED])
    return ", ".join(shown) + (f" and {total - len(shown):,} more" if total > len(shown) else "")


def _describe_checks(audit: Audit) -> str:
    pairs = audit.labelled_pairs
    if not pairs:
        found = len(audit.duplicates) + len(audit.same_cells)
        return "No pair has labels, to check them." if found else "No pair was found."
    return (
        f"Sanity check: {audit.class_crossings} of the {pairs:,} pairs join a "
        f"leukaemic with a normal cell; if the links were chance, about "
        f"{audit.chance_crossings:,.0f} would."
    )


def _draw_figures(table: pd.DataFrame) -> list[dict[str, str]]:
    labelled = table[(table["label"] != "") & (table["subject"] != "")]
    if labelled.empty:
        return []
    return [
        {
            "source": embed_svg(draw_cells_by_subject(labelled)),
            "alt": "Bar chart of the number of cells of each subject name.",
            "caption": "Cells of each subject name, largest first: few people dominate a "
            "cell-weighted score.",
        },
        {
            "source": embed_svg(draw_areas(labelled)),
            "alt": "Distribution of the cells' area by class and fold.",
            "caption": "Area of the cells by fold. Where the classes differ in size, a network "
            "learns size first; where they do not, it fails there.",
        },
    ]


def _build_galleries(
    audit: Audit, crops: UInt8Array
) -> list[tuple[str, list[dict[str, Any]], bool]]:
    galleries = []
    for kind, pairs in (
        ("The same cell, processed twice", audit.same_cells),
        ("Equal pixels", audit.duplicates),
    ):
        across = pairs["across"]
        for where, chosen, opened in (
            ("under two subject names", pairs[across], True),
            ("within one subject", pairs[~across], False),
        ):
            if len(chosen):
                rows: Any = _sort_pairs(chosen).to_dict("records")
                shown = [row | {"source": _draw_pair(crops, row)} for row in rows]
                galleries.append((f"{kind}, {where}", shown, opened))
    return galleries


def _build_review(audit: Audit, table: pd.DataFrame, shown: list[dict[str, Any]]) -> dict[str, Any]:
    """Input of review.js: names, and links across them in the order of the galleries."""
    named = table[table["subject"] != ""]
    groups = dict(zip(named["subject"], named["group"], strict=True))
    names = sort_names(groups)
    places = {name: place for place, name in enumerate(names)}
    links = [
        {
            "a": places[row["subject"]],
            "b": places[row["other_subject"]],
            "image": row["image"],
            "other": row["other"],
            "evidence": round(row["evidence"], 2) if "evidence" in row else None,
            "correlation": round(row["correlation"], 4) if "correlation" in row else None,
            "equal": "evidence" not in row,
            "accepted": groups[row["subject"]] == groups[row["other_subject"]],
        }
        for row in shown
        if row["across"]
    ]
    pairs = zip(audit.joined["subject"], audit.joined["other_subject"], strict=True)
    fixed = [[places[a], places[b]] for a, b in pairs]
    return {"names": names, "fixed": fixed, "links": links, "file": audit.groups_csv}


def _sort_pairs(pairs: pd.DataFrame) -> pd.DataFrame:
    """By names, the weakest evidence of each first: what most needs review."""
    keys: Sequence[str] = ["subject", "other_subject"]
    return pairs.sort_values([*keys, *(["evidence"] if "evidence" in pairs else [])])


def _draw_pair(crops: UInt8Array, row: dict[str, Any]) -> str:
    side = _REVIEWED_PX if row["across"] else _PICTURE_PX
    ends = [np.asarray(crops[row[end]]) for end in ("first", "second")]
    pair = np.hstack([_draw_end(end, side) for end in ends])
    done, data = cv2.imencode(
        ".webp", cv2.cvtColor(pair, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, 80]
    )
    assert done
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def _draw_end(crop: UInt8Array, picture_px: int) -> UInt8Array:
    centred = cut_cell(crop, crop, _SHOWN_PX)
    small = cv2.resize(centred, (picture_px, picture_px), interpolation=cv2.INTER_AREA)
    return brighten(np.asarray(small, np.uint8))


def _format_cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "not defined"
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value) or "–"
