"""Class folders: `…/all/…` and `…/hem/…` (or leukaemic, normal, or names that a user gives).

Subjects are a level of the folders or a part of the path, as a user says; the reader does
not guess, since a wrong guess would put one person on both sides of a split.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import PurePosixPath

import pandas as pd

from leukoscope.datasets.labels_csv import apply_labels, find_label_files, read_label_file
from leukoscope.datasets.reader import (
    ROW_COLUMNS,
    Images,
    Reader,
    Reading,
    ReadOptions,
    find_fold,
    find_label,
    list_folders,
    measure_crop,
)
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError

__all__ = ["READER", "find_subject_rule"]


def _recognises(images: Images, options: ReadOptions) -> bool:
    del images, options
    return True  # what no other reader knows


def _read(images: Images, options: ReadOptions) -> Reading:
    find_subject = find_subject_rule(options.subject_from)
    rows = []
    for source in images.sources:
        folders = list_folders(images, source)
        rows.append(
            {
                **dict.fromkeys(ROW_COLUMNS, ""),
                "image": source.name,
                "label": find_label(folders, options.classes),
                "subject": find_subject(source.name),
                "fold": find_fold(folders),
            }
        )
    table = pd.DataFrame(rows, columns=list(ROW_COLUMNS))
    root = images.root.resolve()
    spec = DatasetSpec(
        name=root.name if root.is_dir() else root.stem,
        reader="folders",
        crop=measure_crop(images.sources, options.frame_px),
    )
    given = options.labels_csv
    for labels in [read_label_file(given, images.root)] if given else find_label_files(images):
        apply_labels(table, labels, spec, options.classes)
    folds = sorted({fold for fold in table["fold"] if fold.startswith("fold")})
    return Reading(dataclasses.replace(spec, folds=tuple(folds)), table)


def find_subject_rule(subject_from: str) -> Callable[[str], str]:
    """What a user says of where subjects stand → image name → subject, or "".

    Raises:
        DataError: neither "folder:N" nor a regular expression with one group.
    """
    if not subject_from:
        return lambda _: ""
    if found := re.fullmatch(r"folder:(-?[1-9]\d*)", subject_from):
        place = int(found[1])
        return lambda image: _take_folder(image, place)
    try:
        pattern = re.compile(subject_from)
    except re.error as error:
        raise DataError(
            f"Subjects from {subject_from!r}: not a regular expression ({error}). Expected "
            'folder:N, or one with a group, such as "(patient[0-9]+)_".'
        ) from error
    if pattern.groups != 1:
        raise DataError(
            f"Subjects from {subject_from!r}: expected folder:N, or a regular expression with one "
            f'group, such as "(patient[0-9]+)_"; received {pattern.groups} groups.'
        )

    def search(image: str) -> str:
        matched = pattern.search(image)
        return (matched[1] or "") if matched else ""

    return search


def _take_folder(image: str, place: int) -> str:
    folders = PurePosixPath(image).parts[:-1]
    index = place - 1 if place > 0 else len(folders) + place
    return folders[index] if 0 <= index < len(folders) else ""


READER = Reader("folders named after the classes, images of any size", _recognises, _read)
