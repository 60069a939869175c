"""A data set → the quantiles of its cells' measures, to compare explained cells with."""

from __future__ import annotations

from pathlib import Path

from leukoscope.catalogue import compute_fingerprint, read_catalogue, select_usable
from leukoscope.catalogue.store import Progress
from leukoscope.cells.measures import Provenance, Reference, compute_reference, write_reference
from leukoscope.datasets.reader import ReadOptions
from leukoscope.labels import LABELS

__all__ = ["measure_cells"]


def measure_cells(
    data: str | Path,
    out: Path,
    options: ReadOptions | None = None,
    *,
    on_decode: Progress | None = None,
    on_link: Progress | None = None,
    on_measure: Progress | None = None,
) -> Reference:
    """Measure all usable cells of a data set and write the quantiles of both classes.

    Args:
        data: a folder, a zip, or "kaggle".
        out: the JSON to write.
        options: how to read the data: labels, subjects, classes, frame.
        on_decode: called while new images are decoded.
        on_link: called while cells are compared.
        on_measure: called while cells are measured.

    Raises:
        DataError: as `read_catalogue` and `select_usable`.
    """
    catalogue = read_catalogue(data, options, on_decode=on_decode, on_link=on_link)
    table = select_usable(catalogue)
    by_label = {label: table[table["label"] == label] for label in LABELS}
    provenance = Provenance(
        fingerprint=compute_fingerprint(table),
        cells={label: len(own) for label, own in by_label.items()},
        persons={label: int(own["group"].nunique()) for label, own in by_label.items()},
    )
    crops = (catalogue.crops[row] for row in table.index)
    reference = compute_reference(crops, table["label"], provenance, progress=on_measure)
    write_reference(reference, out)
    return reference
