"""Settings → the plan of a cohort: subjects, cells and files, each with its latents.

Each cell is drawn from five latents (`draw.LATENTS`). Over all subjects of a class a latent is
normal with variance 1 and a mean that depends on the class; part of the variance lies between
subjects. So, for a cell of a subject never seen the log-likelihood ratio is known, and with it the
best probability and AUC that any method can reach. Stain, focus, smear, outline and debris say
nothing about the class, unless a shortcut is asked for.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from leukoscope.datasets.cnmc import write_path
from leukoscope.datasets.spec import CellName
from leukoscope.errors import SettingsError
from leukoscope.labels import LEUKAEMIC, NORMAL
from leukoscope.simulate.draw import LATENTS
from leukoscope.simulate.prepare import Preparation

__all__ = [
    "CellFile",
    "CohortSettings",
    "Faults",
    "Stream",
    "Subject",
    "check_settings",
    "plan_files",
    "plan_preparation",
]

FloatArray = npt.NDArray[np.float64]

_FOLDS = 3
_MEAN_DIFFERENCE = np.array([-1.60, 1.00, 0.70, -1.10, 0.43])  # leukaemic minus normal, by latent
_BETWEEN_SUBJECTS = np.array([0.06, 0.06, 0.06, 0.06, 0.25])  # share of the variance, by latent
_SIZE_SHORTCUT, _STAIN_SHORTCUT = 1.6, 0.5  # mean difference at strength 1: latent, log brightness


class Stream(IntEnum):
    """Part of a seed that keeps what is drawn for one purpose apart from the others."""

    COHORT = 1
    SUBJECT = 2
    SMEAR = 3
    CELL = 4
    DRAWING = 5
    PREPARING = 6
    STAIN = 7
    FAULTS = 8


@dataclass(frozen=True)
class Faults:
    """Planted faults: numbers of cells, and strengths from 0 to 1.

    Attributes:
        shared_images: the identical pixels are under a second subject name, in another fold.
        reprocessed_cells: the same photographed cell is under a second subject name in another
            fold, stained and cut out again.
        repeated_cells: one subject's cell is in two of its smear images (overlapping fields).
        mislabelled: the file is in the folder of the other class; its name is correct.
        truncated: the second half of the file is missing.
        size_shortcut: leukaemic cells are larger in folds 0 and 1, as in C-NMC, not in fold 2.
        stain_shortcut: leukaemic cells are paler in folds 0 and 1, not in fold 2.
    """

    shared_images: int = 0
    reprocessed_cells: int = 0
    repeated_cells: int = 0
    mislabelled: int = 0
    truncated: int = 0
    size_shortcut: float = 0.0
    stain_shortcut: float = 0.0

    @classmethod
    def demo(cls) -> Faults:
        """A few of each, and half of each shortcut."""
        return cls(6, 12, 6, 3, 2, 0.5, 0.5)


@dataclass(frozen=True)
class CohortSettings:
    """How large a cohort, from which seed, with which faults.

    Attributes:
        subjects: subject names, at least 4; about 60% are leukaemic.
        cells: drawn cells, at least 3 a subject; faults that write a cell twice come on top.
        seed: 0 or more; the same settings give the same bytes.
        faults: none by default.
    """

    subjects: int = 24
    cells: int = 1200
    seed: int = 0
    faults: Faults = Faults()


@dataclass(frozen=True)
class Subject:
    """One subject name.

    Attributes:
        number: from 1, over both classes.
        name: as in the file names; H for the healthy.
        leukaemic: the class of all its cells.
        fold: 0, 1 or 2.
        cells: number of drawn cells.
        smears: number of smear images, at least 2.
    """

    number: int
    name: str
    leukaemic: bool
    fold: int
    cells: int
    smears: int

    @property
    def sign(self) -> float:
        """Which half of a difference between the classes this subject has."""
        return 0.5 if self.leukaemic else -0.5

    @property
    def takes_shortcuts(self) -> bool:
        """Shortcuts hold in folds 0 and 1: a network that learns them fails in fold 2."""
        return self.fold < 2


@dataclass(frozen=True)
class CellFile:
    """One file to write. Two files with equal `drawing` show the same photographed cell."""

    subject: Subject
    smear: int
    cell: int
    drawing: tuple[int, ...]
    latents: tuple[float, ...]
    best_probability: float
    preparation: Preparation
    misplaced: bool = False
    truncated: bool = False

    @property
    def image(self) -> str:
        """Path below the output folder."""
        label = LEUKAEMIC if self.subject.leukaemic else NORMAL
        name = CellName(self.subject.name, str(self.smear), str(self.cell), label)
        return write_path(name, self.subject.fold, misplaced=self.misplaced) + ".bmp"


def check_settings(settings: CohortSettings) -> None:
    """Raise SettingsError where no cohort can be made of these settings."""
    if settings.subjects < 4:
        raise SettingsError(f"Expected at least 4 subjects; received {settings.subjects}.")
    if settings.cells < 3 * settings.subjects:
        raise SettingsError(
            f"Expected at least 3 cells a subject, so {3 * settings.subjects} cells for "
            f"{settings.subjects} subjects; received {settings.cells}."
        )
    if settings.seed < 0:
        raise SettingsError(f"Expected a seed of 0 or more; received {settings.seed}.")
    for name, value in asdict(settings.faults).items():
        if value < 0:
            raise SettingsError(f"Expected {name} of 0 or more; received {value}.")
        if name.endswith("_shortcut") and value > 1:
            raise SettingsError(f"Expected {name} from 0 to 1; received {value}.")


def _plan_subjects(settings: CohortSettings) -> list[Subject]:
    """Names, classes, unequal numbers of cells, and a fold each."""
    rng = np.random.default_rng((settings.seed, Stream.COHORT))
    n, least = settings.subjects, min(3, settings.subjects // 2)
    leukaemic = min(max(round(0.6 * n), least), n - least)
    weights = rng.lognormal(0, 0.7, n)
    spare = (settings.cells - 3 * n) * np.cumsum(weights) / weights.sum()
    counts = 3 + np.diff(np.rint(spare).astype(int), prepend=0)
    folds, held = np.zeros(n, int), np.zeros((2, _FOLDS), int)
    for i in np.argsort(-counts, kind="stable"):  # the fold that holds fewest of the class so far
        label = int(i < leukaemic)
        folds[i] = np.lexsort((held.sum(axis=0), held[label]))[0]
        held[label, folds[i]] += counts[i]
    return [
        Subject(
            number=i + 1,
            name=str(i + 1) if i < leukaemic else f"H{i + 1 - leukaemic}",
            leukaemic=i < leukaemic,
            fold=int(folds[i]),
            cells=int(counts[i]),
            smears=2 + int(counts[i]) // 10,
        )
        for i in range(n)
    ]


def plan_files(settings: CohortSettings) -> list[CellFile]:
    """One file a drawn cell, before any fault."""
    subjects = _plan_subjects(settings)
    prior = sum(s.cells for s in subjects if s.leukaemic) / settings.cells
    shifts = _draw_shifts(subjects, settings.seed)
    files = []
    for subject in subjects:
        rng = np.random.default_rng((settings.seed, Stream.SMEAR, subject.number))
        smears = np.sort(rng.integers(1, subject.smears + 1, subject.cells)).tolist()
        for i, smear in enumerate(smears, start=1):
            latents, probability = _draw_latents(
                subject, i, shifts[subject.number], prior, settings
            )
            seed = (settings.seed, Stream.PREPARING, subject.number, i)
            files.append(
                CellFile(
                    subject=subject,
                    smear=smear,
                    cell=i - smears.index(smear),
                    drawing=(settings.seed, Stream.DRAWING, subject.number, i),
                    latents=latents,
                    best_probability=probability,
                    preparation=plan_preparation(settings, subject, smear, seed),
                )
            )
    return files


def _draw_latents(
    subject: Subject, i: int, shift: FloatArray, prior: float, settings: CohortSettings
) -> tuple[tuple[float, ...], float]:
    """Latents of a subject's i-th cell as drawn, and the probability before any shortcut."""
    rng = np.random.default_rng((settings.seed, Stream.CELL, subject.number, i))
    latents = (
        subject.sign * _MEAN_DIFFERENCE + shift + rng.normal(0, np.sqrt(1 - _BETWEEN_SUBJECTS))
    )
    probability = _compute_posterior(latents, prior)
    if subject.takes_shortcuts:
        strength = _SIZE_SHORTCUT * settings.faults.size_shortcut
        latents[LATENTS.index("size")] += subject.sign * strength
    return tuple(latents.tolist()), probability


def _draw_shifts(subjects: list[Subject], seed: int) -> dict[int, FloatArray]:
    """How far each subject's latents lie from its class, by number; no cohort is easier by luck."""
    drawn = {}
    for s in subjects:
        rng = np.random.default_rng((seed, Stream.SUBJECT, s.number))
        drawn[s.number] = rng.normal(0, np.sqrt(_BETWEEN_SUBJECTS))
    for leukaemic in (True, False):
        members = [s for s in subjects if s.leukaemic == leukaemic]
        mean = np.average(
            [drawn[s.number] for s in members], axis=0, weights=[s.cells for s in members]
        )
        for s in members:
            drawn[s.number] -= mean
    return drawn


def _compute_posterior(latents: FloatArray, prior: float) -> float:
    """Probability that a cell of a subject never seen is leukaemic, given all its latents."""
    log_odds = float(latents @ _MEAN_DIFFERENCE) + np.log(prior / (1 - prior))
    return float(1 / (1 + np.exp(-log_odds)))


def plan_preparation(
    settings: CohortSettings, subject: Subject, smear: int, seed: tuple[int, ...]
) -> Preparation:
    """Stain and focus of the subject, of its smear, and of this file."""
    stain, focus = np.zeros(4), 0.0
    for level, source in (
        (0.9, (settings.seed, Stream.STAIN, subject.number)),
        (0.8, (settings.seed, Stream.STAIN, subject.number, smear)),
        (1.0, seed),
    ):
        rng = np.random.default_rng(source)
        stain += level * rng.normal(0, (0.14, 0.02, 0.02, 0.02))
        focus += level * rng.normal(0, 0.18)
    if subject.takes_shortcuts:
        stain[0] += subject.sign * _STAIN_SHORTCUT * settings.faults.stain_shortcut
    return Preparation(
        seed=(*seed, 1),
        paleness=float(stain[0]),
        tint=tuple(stain[1:].tolist()),
        blur=float(0.85 * np.exp(focus)),
        outline=float(rng.uniform(-0.6, 1.6)),
        with_pieces=bool(rng.random() < 0.85),
        shift_px=tuple(rng.normal(0, 2.2, 2).tolist()),
    )
