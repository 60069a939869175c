"""Read a data set, audit it, split it by person."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from leukoscope.arguments import check_arguments, is_path, refuse_argument
from leukoscope.progress import show_progress
from leukoscope.results import AuditResult, Dataset
from leukoscope.splits import Split

__all__ = ["Split", "audit", "make_split", "read_dataset"]

StrPath = str | PathLike[str]


@check_arguments
def read_dataset(
    path: StrPath,
    *,
    reader: str = "auto",
    labels_csv: StrPath | None = None,
    subject_from: str = "",
    classes: Mapping[str, str] | None = None,
    frame_px: int | None = None,
    groups_csv: StrPath | None = None,
    turns: int = 1,
    progress: bool | None = None,
) -> Dataset:
    """Read a data set, and find which subjects are the same person.

    Args:
        path: a folder, a zip, a CSV with image, label and subject, or "kaggle".
        reader: "cnmc", "folders", "table_csv" or your own as "package.module:name"; by default
            the first that recognises the data.
        labels_csv: CSV with the columns image, label and, where known, subject.
        subject_from: where subjects are in the images' paths: "folder:1" (the first folder;
            -1 is the one that holds the image) or a regular expression with one group.
        classes: words of the data for the two classes, such as {"Early": "leukaemic"}.
        frame_px: side of the central square of an image that holds a cell; by default measured.
        groups_csv: CSV with the columns subject and group: which subjects are the same person; it
            overrides the links between cells.
        turns: rotations at which cells are compared, 1 to 360.
        progress: show a counter on standard error; by default in terminals and notebooks.

    Raises:
        LeukoscopeError: no such data or reader, or it cannot be read.

    >>> import leukoscope as lk
    >>> ds = lk.read_dataset("cells/")
    >>> len(ds), int(ds.counts["subjects"].sum()), ds.crops.shape
    (60, 12, (60, 225, 225, 3))
    """
    from leukoscope.catalogue import read_catalogue
    from leukoscope.datasets.reader import ReadOptions, check_classes

    options: dict[str, Any] = {
        "options": ReadOptions(
            reader=reader,
            labels_csv=None if labels_csv is None else Path(labels_csv),
            subject_from=subject_from,
            classes=check_classes(classes or {}),
            frame_px=frame_px,
        ),
        "groups_csv": None if groups_csv is None else Path(groups_csv),
        "turns": turns,
    }
    data = path if isinstance(path, str) else Path(path)  # "kaggle" is a word
    with (
        show_progress("Reading images", progress) as on_decode,
        show_progress("Comparing cells", progress) as on_link,
    ):
        catalogue = read_catalogue(data, **options, on_decode=on_decode, on_link=on_link)
    return Dataset(catalogue, options | {"options": catalogue.options})


@check_arguments
def audit(dataset: Dataset | StrPath) -> AuditResult:
    """Find faults, duplicates, people under several names, and how well cell size alone predicts.

    Args:
        dataset: of `read_dataset`, or its path.

    Raises:
        DataError: as `read_dataset`.

    >>> import leukoscope as lk
    >>> found = lk.audit("cells/")
    >>> found.sentences[0]  # doctest: +ELLIPSIS
    '60 labelled cells under 12 subject names, of which 12 are different people as far as...'
    >>> found.write(html="audit.html", json="audit.json")
    """
    from leukoscope.workflow.checking import audit_catalogue

    dataset = get_dataset(dataset)
    return AuditResult(audit_catalogue(dataset.catalogue), dataset)


@check_arguments
def make_split(
    dataset: Dataset | StrPath, split: str = "group-kfold", *, folds: int = 5, seed: int = 0
) -> Split:
    """Make the split that `train` makes with the same arguments, to inspect before training.

    Args:
        dataset: of `read_dataset`, or its path.
        split: group-kfold, fold-cv, official or leave-one-group-out:COLUMN, none of which trains on
            a person whom it evaluates; random and subject-name-kfold leak, for comparison only.
        folds: number of folds, for splits that take one.
        seed: of the shuffling.

    Returns:
        Its `folds` have the rows of `dataset.table` that are trained on and evaluated.

    Raises:
        LeukoscopeError: no usable cell, an unknown split, or too few people for it.

    >>> import leukoscope as lk
    >>> split = lk.make_split("cells/", folds=2)
    >>> [len(fold.evaluated) for fold in split.folds], split.leaky
    ([27, 33], False)
    """
    from leukoscope.catalogue import select_usable
    from leukoscope.splits import make_split as split_table

    catalogue = get_dataset(dataset).catalogue
    table = select_usable(catalogue)
    return split_table(table, split, folds=folds, seed=seed, spec=catalogue.spec)


def get_dataset(dataset: Dataset | StrPath, progress: bool | None = None) -> Dataset:
    """A data set as it is, or read. Raises `LeukoscopeError` for what is none."""
    if isinstance(dataset, Dataset):
        return dataset
    if not is_path(dataset):
        raise refuse_argument("dataset", dataset, "a Dataset of read_dataset, or its path")
    return read_dataset(dataset, progress=progress)
