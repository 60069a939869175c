"""Inspect a data set: the audit, and the augmentation of its cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leukoscope.catalogue import Catalogue, read_catalogue, select_usable
from leukoscope.catalogue.audit import Audit, compute_audit
from leukoscope.catalogue.store import Progress
from leukoscope.catalogue.table import read_table
from leukoscope.datasets.reader import ReadOptions
from leukoscope.errors import DataError, SplitError
from leukoscope.io.runs import write_json
from leukoscope.notices import find_banner
from leukoscope.report import write_audit_page, write_contact_sheet
from leukoscope.settings import Recipe, read_recipe
from leukoscope.splits import choose_stopping, make_split
from leukoscope.training.augment import augment_crop, find_effects, make_generator

__all__ = ["audit_catalogue", "check_data", "draw_augmentations"]

_ROWS, _COLUMNS = 5, 8


def check_data(
    data: str | Path,
    options: ReadOptions | None = None,
    *,
    groups_csv: Path | None = None,
    turns: int = 1,
    json: Path | None = None,
    html: Path | None = None,
    on_decode: Progress | None = None,
    on_link: Progress | None = None,
) -> Audit:
    """Audit a data set and write what was found.

    Args:
        data: a folder, a zip, or "kaggle".
        options: how to read the data: labels, subjects, classes, frame.
        groups_csv: which subjects are one person; overrides the links between cells.
        turns: rotations at which cells are compared.
        json: where to write all findings.
        html: where to write the page with pictures.
        on_decode: called while new images are decoded.
        on_link: called while cells are compared.

    Raises:
        DataError: as `read_catalogue`.
    """
    catalogue = read_catalogue(
        data,
        options,
        groups_csv=groups_csv,
        turns=turns,
        on_decode=on_decode,
        on_link=on_link,
    )
    audit = audit_catalogue(catalogue)
    if json:
        write_json(json, audit.to_json())
    if html:
        write_audit_page(
            audit,
            catalogue.table,
            catalogue.crops,
            html,
            name=catalogue.root.resolve().name,
            banner=find_banner(catalogue.root),
        )
    return audit


def audit_catalogue(catalogue: Catalogue) -> Audit:
    """Audit a catalogue, and try whether it can be trained on with the defaults of `train`."""
    return compute_audit(catalogue, _find_obstacle(catalogue))


def _find_obstacle(catalogue: Catalogue) -> str:
    """What `train` would say; "" where nothing stands against it."""
    try:
        table = select_usable(catalogue)
        split = make_split(table, "group-kfold", spec=catalogue.spec)
        for cells in (*(fold.training for fold in split.folds), table.index):
            choose_stopping(table.loc[cells], 0)
    except (DataError, SplitError) as error:
        return str(error)
    return ""


def draw_augmentations(
    data: str | Path,
    out: Path,
    recipe: str | Path | Recipe = "compact",
    options: ReadOptions | None = None,
    *,
    seed: int = 0,
    on_decode: Progress | None = None,
) -> None:
    """Write a contact sheet: a row for each of five cells, itself first, then seven changes.

    The first row for each effect alone stands above them.

    Args:
        data: a folder, a zip, or "kaggle".
        out: the PNG to write.
        recipe: whose augmentation to draw.
        options: how to read the data.
        seed: of cells and changes.
        on_decode: called while new images are decoded.

    Raises:
        LeukoscopeError: wrong data or recipe.
    """
    settings = read_recipe(recipe).augment
    found = read_table(data, options, progress=on_decode)
    table, store = found.table, found.store
    effects = find_effects(settings)
    whole = table.index[(table["problem"] == "") & (table["area"] > 0)]
    if not len(whole):
        raise DataError(f"{data}: no readable cell to draw.")
    random = np.random.default_rng(seed)
    chosen = random.choice(whole, min(_ROWS, len(whole)), replace=False)
    first = np.asarray(store.crops[chosen[0]])
    rows = []
    for effect in effects.values():
        changed = [
            effect(first, settings, make_generator(seed, 0, place)) for place in range(_COLUMNS - 1)
        ]
        rows.append([first, *changed])
    for row in chosen:
        crop = np.asarray(store.crops[row])
        changed = [
            augment_crop(
                crop, settings, make_generator(seed, 1, int(row) * _COLUMNS + place), effects
            )
            for place in range(_COLUMNS - 1)
        ]
        rows.append([crop, *changed])
    titles = [name.replace("_", " ") for name in effects]
    write_contact_sheet(rows, [*titles, *["all together"] * len(chosen)], out)
