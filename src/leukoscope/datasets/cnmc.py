"""C-NMC 2019 (Kaggle "Leukemia Classification"): its facts, in one place."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from leukoscope.datasets.labels_csv import apply_labels, find_label_files, read_label_file
from leukoscope.datasets.reader import (
    ROW_COLUMNS,
    Images,
    Reader,
    Reading,
    ReadOptions,
    find_label,
    list_folders,
)
from leukoscope.datasets.spec import CellName, CropSpec, DatasetSpec, FoldCounts, QualityLimits
from leukoscope.errors import DataError
from leukoscope.io.sources import Source
from leukoscope.labels import LEUKAEMIC, NORMAL

__all__ = ["CNMC", "READER", "write_path"]

CNMC = DatasetSpec(
    name="C-NMC 2019",
    reader="cnmc",
    # One pixel of an image is one pixel of a cell, in frames of 450 and of 600 px alike. The crop
    # is the central 450 px at half resolution: it holds every cell, and the images are so smooth
    # that nothing is lost.
    crop=CropSpec(frame_px=450, known_frames=(450, 600)),
    # Just outside of what its cells show (docs/trust.md): area 2,013 to 12,711, hue 272 to 316,
    # saturation 0.455 to 0.702, brightness 0.228 to 0.443, sharpness 0.055 to 0.189.
    quality=QualityLimits(
        black_background=True,
        whole=True,
        single=True,
        area_px=(1600, 16_000),
        hue_deg=(255, 335),
        saturation=(0.38, 0.78),
        brightness=(0.18, 0.55),
        sharpness=(0.04, 0.25),
    ),
    name_pattern=r"UID_(?P<subject>[A-Za-z0-9-]+)_(?P<smear>\d+)_(?P<cell>\d+)_(?P<label>all|hem)",
    naming="UID_<subject>_<smear>_<cell>_<all|hem>",
    class_words={"all": LEUKAEMIC, "hem": NORMAL},
    folds=("fold_0", "fold_1", "fold_2"),
    test_fold="preliminary",
    published=(
        FoldCounts("fold_0", 2397, 19, 1130, 9),
        FoldCounts("fold_1", 2418, 11, 1163, 3),
        FoldCounts("fold_2", 2457, 17, 1096, 14),
        FoldCounts("preliminary", 1219, 13, 648, 15),
        FoldCounts("final", unlabelled_cells=2586),
    ),
    citation="Gupta & Gupta, ALL Challenge dataset of ISBI 2019 (C-NMC 2019), The Cancer Imaging "
    "Archive, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0",
)
"""As published, with limits of the image-quality checks as the first shipped model had them."""


_FOLDER = re.compile(r"c-nmc(_|$)", re.IGNORECASE)  # how a folder of the data set begins
_FOLDS = (("prelim", "preliminary"), ("final", "final"))


def _recognises(images: Images, options: ReadOptions) -> bool:
    """By the names of its images, or, in the tests whose images are numbered, of its folders."""
    if options.subject_from or options.classes or options.frame_px:
        return False  # it knows all of these itself
    named = sum(CNMC.parse_name(source.name) is not None for source in images.sources)
    if named >= len(images.sources) / 2:
        return True
    return any(_FOLDER.match(part) for part in list_folders(images, images.sources[0]))


def _read(images: Images, options: ReadOptions) -> Reading:
    """Label, subject, smear and cell by the file name, the label else by a folder `all` or `hem`.

    The fold is the folder called `fold_N`. A CSV overrides both: the one that a user names, or one
    in the data whose name ends in `labels.csv`, as of the preliminary test.
    """
    if options.subject_from or options.classes or options.frame_px:
        raise DataError(
            f"{images.root}: the reader cnmc knows subjects, classes and frame of C-NMC itself. "
            "Give none of these options, or read the data as folders."
        )
    rows = pd.DataFrame(
        [_describe(images, source) for source in images.sources], columns=list(ROW_COLUMNS)
    )
    given = options.labels_csv
    files = [read_label_file(given, images.root)] if given else find_label_files(images)
    return Reading(CNMC, rows, apply_labels(rows, files, CNMC))


def _describe(images: Images, source: Source) -> dict[str, str]:
    folders = list_folders(images, source)
    name = CNMC.parse_name(source.name) or CellName("")
    return {
        "image": source.name,
        "label": find_label(folders, CNMC) or name.label,
        "claim": name.label,
        "subject": name.subject,
        "smear": name.smear,
        "cell": name.cell,
        "fold": _find_part(folders),
    }


def _find_part(folders: Sequence[str]) -> str:
    for folder in reversed(folders):
        if re.fullmatch(r"fold_?\d+", folder, re.IGNORECASE):
            return folder.lower()
        for word, part in _FOLDS:
            if word in folder.lower():
                return part
    return ""


def write_path(name: CellName, fold: int, *, misplaced: bool = False) -> str:
    """Where the training data have a cell, without the suffix, in the other class's if misplaced.

    >>> write_path(CellName("H3", "2", "1", "normal"), 0)
    'C-NMC_Leukemia/training_data/fold_0/hem/UID_H3_2_1_hem'
    """
    words = {label: word for word, label in CNMC.class_words.items()}
    word = words.pop(name.label)
    folder = words.popitem()[1] if misplaced else word
    image = f"UID_{name.subject}_{name.smear}_{name.cell}_{word}"
    return f"C-NMC_Leukemia/training_data/fold_{fold}/{folder}/{image}"


READER = Reader('C-NMC 2019, Kaggle\'s "Leukemia Classification"', _recognises, _read, CNMC)
