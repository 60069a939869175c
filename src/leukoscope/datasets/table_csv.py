"""A CSV with the columns image and label, and where known subject, smear and fold; any images."""

from __future__ import annotations

import dataclasses

from leukoscope.datasets.folders import READER as FOLDERS
from leukoscope.datasets.reader import Images, Reader, Reading, ReadOptions
from leukoscope.errors import DataError

__all__ = ["READER"]


def _recognises(images: Images, options: ReadOptions) -> bool:
    del images
    return options.labels_csv is not None


def _read(images: Images, options: ReadOptions) -> Reading:
    """The folders' reading, overridden by the CSV; images not in the CSV are unlabelled."""
    if options.labels_csv is None:
        raise DataError(
            f"{images.root}: the reader table_csv needs a CSV. Name it as `labels_csv`."
        )
    reading = FOLDERS.read(images, options)
    spec = dataclasses.replace(reading.spec, reader="table_csv")
    return dataclasses.replace(reading, spec=spec)


READER = Reader("a CSV with image, label and subject, images of any size", _recognises, _read)
