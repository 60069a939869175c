"""Class folders: `…/leukaemic/…` and `…/normal/…`, or words of known data sets or of a user.

Subjects are a level of the folders or a part of the path, as a user says; the reader does
not guess, since a wrong guess would put one person on both sides of a split.
"""

from __future__ import annotations

import dataclasses

import pandas as pd

from leukoscope.datasets.labels_csv import apply_labels, find_label_files, read_label_file
from leukoscope.datasets.reader import (
    ROW_COLUMNS,
    Images,
    Reader,
    Reading,
    ReadOptions,
    find_fold,
    find_labels,
    list_folders,
    measure_crop,
    settle_subject_rule,
)
from leukoscope.datasets.registry import list_class_words
from leukoscope.datasets.spec import DatasetSpec

__all__ = ["READER"]


def _recognises(images: Images, options: ReadOptions) -> bool:
    del images, options
    return True  # what no other reader knows


def _read(images: Images, options: ReadOptions) -> Reading:
    root = images.root.resolve()
    known = DatasetSpec(
        name=root.name if root.is_dir() else root.stem,
        reader="folders",
        crop=measure_crop(images.sources, options.frame_px),
        subject_from=options.subject_from,
        class_words={**list_class_words(), **options.classes},
    )
    nested = [list_folders(images, source) for source in images.sources]
    table = pd.DataFrame("", index=range(len(nested)), columns=list(ROW_COLUMNS))
    table["image"] = [source.name for source in images.sources]
    table["label"] = find_labels(nested, known, options.classes)
    table["subject"] = table["image"].map(known.find_subject)
    table["fold"] = [find_fold(folders) for folders in nested]
    given = options.labels_csv
    files = [read_label_file(given, images.root)] if given else find_label_files(images)
    matches = apply_labels(table, files, known)
    folds = sorted({fold for fold in table["fold"] if fold.startswith("fold")})
    spec = settle_subject_rule(dataclasses.replace(known, folds=tuple(folds)), images.sources)
    return Reading(spec, table, matches)


READER = Reader("folders named after the classes, images of any size", _recognises, _read)
