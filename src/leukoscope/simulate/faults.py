"""Planned files → files with faults, and the list of what was planted where."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import cycle

import numpy as np
import pandas as pd

from leukoscope.errors import SettingsError
from leukoscope.simulate.plan import CellFile, CohortSettings, Stream, Subject, plan_preparation
from leukoscope.simulate.prepare import Preparation

__all__ = ["plant_faults"]


def plant_faults(
    files: list[CellFile], settings: CohortSettings
) -> tuple[list[CellFile], pd.DataFrame]:
    """Damage some of the files and add others at the end; a cell carries one fault at most.

    Only one pair of subjects of each class shares cells, so that the cohort can still be split.

    Returns:
        The files, and a row a fault: kind, image, other (the second image, or empty).
    """
    planter = _Planter(files, settings)
    faults = settings.faults
    pairs = cycle(_pair_subjects([f.subject for f in files]))
    for _ in range(faults.shared_images):
        planter.share("shared_image", next(pairs), anew=False)
    for _ in range(faults.reprocessed_cells):
        planter.share("reprocessed_cell", next(pairs), anew=True)
    for _ in range(faults.repeated_cells):
        planter.repeat("repeated_cell")
    for _ in range(faults.mislabelled):
        planter.spoil("mislabelled", misplaced=True)
    for _ in range(faults.truncated):
        planter.spoil("truncated", truncated=True)
    rows = [
        (kind, planter.files[i].image, "" if j is None else planter.files[j].image)
        for kind, i, j in planter.planted
    ]
    return planter.files, pd.DataFrame(rows, columns=["kind", "image", "other"])


class _Planter:
    """Plants one fault at a time, in cells that carry none yet, under file numbers that are free.

    Attributes:
        files: as planned, changed and lengthened by each fault.
        planted: kind, index of the file, index of the second file.
    """

    def __init__(self, files: list[CellFile], settings: CohortSettings) -> None:
        self.files = list(files)
        self.planted: list[tuple[str, int, int | None]] = []
        self._settings = settings
        self._rng = np.random.default_rng((settings.seed, Stream.FAULTS))
        self._free: list[int] = self._rng.permutation(len(files)).tolist()
        self._cells = Counter((f.subject.name, f.smear) for f in files)

    def share(self, kind: str, pair: tuple[Subject, Subject], *, anew: bool) -> None:
        """Write a cell of one subject under the other's name too, the same or prepared anew."""
        i = self._take(kind, pair)
        other = pair[1] if self.files[i].subject == pair[0] else pair[0]
        self._add(kind, i, other, int(self._rng.integers(1, other.smears + 1)), anew=anew)

    def repeat(self, kind: str) -> None:
        """Write a cell into a second smear image of its subject, prepared anew."""
        i = self._take(kind)
        subject, smear = self.files[i].subject, self.files[i].smear
        others = [s for s in range(1, subject.smears + 1) if s != smear]
        self._add(kind, i, subject, int(self._rng.choice(others)), anew=True)

    def spoil(self, kind: str, *, misplaced: bool = False, truncated: bool = False) -> None:
        """Put a file into the wrong folder, or truncate it."""
        i = self._take(kind)
        self.files[i] = replace(self.files[i], misplaced=misplaced, truncated=truncated)
        self.planted.append((kind, i, None))

    def _take(self, kind: str, subjects: tuple[Subject, ...] = ()) -> int:
        """Index of a cell without a fault, of these subjects or (where none is named) of any."""
        for i in self._free:
            if not subjects or self.files[i].subject in subjects:
                self._free.remove(i)
                return i
        raise SettingsError(
            f"Expected fewer faults: no cell is left that could carry {kind}. "
            "Ask for more cells, or for fewer faults."
        )

    def _add(self, kind: str, i: int, subject: Subject, smear: int, *, anew: bool) -> None:
        self._cells[subject.name, smear] += 1
        first = self.files[i]
        self.planted.append((kind, i, len(self.files)))
        self.files.append(
            replace(
                first,
                subject=subject,
                smear=smear,
                cell=self._cells[subject.name, smear],
                preparation=self._prepare_anew(first, subject, smear)
                if anew
                else first.preparation,
            )
        )

    def _prepare_anew(self, first: CellFile, subject: Subject, smear: int) -> Preparation:
        """Stain and focus of the second smear image, another outline, another place."""
        seed = (self._settings.seed, Stream.FAULTS, len(self.files))
        plan = plan_preparation(self._settings, subject, smear, seed)
        other_pieces = self._rng.random() < 0.3
        return replace(
            plan,
            contrast=float(np.exp(self._rng.normal(0, 0.08))),
            outline=plan.outline + float(self._rng.uniform(-1.5, 1.5)),
            with_pieces=first.preparation.with_pieces != other_pieces,
            shift_px=tuple(self._rng.normal(0, 4, 2).tolist()),
        )


def _pair_subjects(subjects: list[Subject]) -> list[tuple[Subject, Subject]]:
    """Of each class the subject with most cells and the next largest of another fold."""
    pairs = []
    for leukaemic in (True, False):
        ranked = sorted(
            {s for s in subjects if s.leukaemic == leukaemic}, key=lambda s: (-s.cells, s.number)
        )
        pairs.append((ranked[0], next(s for s in ranked if s.fold != ranked[0].fold)))
    return pairs
