"""Metadata of models and runs: frozen values ↔ JSON, checked when they are read.

`ModelMetadata.from_json` and `RunRecord.from_json` refuse what is missing, of another type or out
of range; so later code need not check for keys. The type of each number has its range: `Share`,
`Positive`, … below; those of a recipe are in `settings`. Older records are brought to today's
form first (`upgrades`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, TypedDict

import msgspec

from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import ModelError, RunError, SettingsError, describe_install
from leukoscope.labels import LABELS, LEUKAEMIC, NORMAL
from leukoscope.settings import Recipe, check_recipe
from leukoscope.upgrades import update_model, update_run, upgrade_format_4

__all__ = [
    "LEAVE_OUT",
    "MODEL_FORMAT",
    "UNCERTAIN",
    "ClassMeasures",
    "DataRecord",
    "Decision",
    "Expected",
    "FoldRecord",
    "GroupOverrides",
    "Machine",
    "ModelMetadata",
    "NamesApart",
    "ReadRecord",
    "RunRecord",
    "ScoreRecord",
    "SplitRecord",
    "SubjectLine",
    "SubjectRecord",
    "TrainingMeasures",
]

LEAVE_OUT = "leave-one-group-out:"
MODEL_FORMAT = 5
"""Of a model file; increased when an older version could not predict with a newer file."""

UNCERTAIN = "uncertain"
"""Conformal call of a cell that may be of either class."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Signed = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Result = Annotated[float, msgspec.Meta(ge=-1 - 1e-9, le=1 + 1e-9)]  # means may round up
CropSide = Annotated[int, msgspec.Meta(ge=16, le=4096)]
Format = Annotated[int, msgspec.Meta(ge=MODEL_FORMAT, le=MODEL_FORMAT)]
Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Turns = Annotated[int, msgspec.Meta(ge=1, le=360)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]


@dataclass(frozen=True)
class Decision:
    """How raw outputs become probabilities, calls and abstention.

    Attributes:
        slope: of the line on the logit, above 0. In a model file, slope and intercept are in the
            last layer already, and the novelty limit in the second output.
        intercept: of the line on the logit.
        threshold: calibrated probability from which a cell is called leukaemic.
        sensitive_threshold: the same where 95% of the leukaemic cells are to be found.
        conformal_lower: calibrated probability from which the prediction set holds leukaemic.
        conformal_upper: calibrated probability up to which it holds normal.
        novelty_limit: distance from the training cells beyond which a cell is novel.
    """

    slope: Positive = 1.0
    intercept: Signed = 0.0
    threshold: Share = 0.5
    sensitive_threshold: Share = 0.5
    conformal_lower: Share = 0.0
    conformal_upper: Share = 1.0
    novelty_limit: Positive = 1.0

    def find_conformal_call(self, probability: float) -> str:
        """The one class in the prediction set; "uncertain" where it holds both, or neither."""
        leukaemic = probability >= self.conformal_lower
        normal = probability <= self.conformal_upper
        if leukaemic == normal:
            return UNCERTAIN
        return LEUKAEMIC if leukaemic else NORMAL

    def describe_conformal(self) -> str:
        """Which probabilities get a conformal call, in words."""
        low, high = sorted((self.conformal_lower, self.conformal_upper))
        calls = [
            *([f"{LEUKAEMIC} above {high:.3f}"] if high < 1 else []),
            *([f"{NORMAL} below {low:.3f}"] if low > 0 else []),
        ]
        return f"conformal call {', '.join(calls)}" if calls else "no cell gets a conformal call"


@dataclass(frozen=True)
class ScoreRecord:
    """One score with its 95% interval, -1 to 1 (MCC is from -1 on); None where not defined."""

    value: Result | None
    low: Result | None
    high: Result | None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"an interval from {self.low} to {self.high}")


@dataclass(frozen=True)
class Expected:
    """Expected performance of a model on new people.

    Attributes:
        split: name of the split that it was tested by.
        leaky: whether people were on both sides of it.
        scores: name of a score → the score, by cell.
        words: the same in words.
    """

    split: str
    leaky: bool
    scores: Mapping[str, ScoreRecord]
    words: str


@dataclass(frozen=True)
class SubjectLine:
    """Mean logit of a subject's cells → logit of the subject.

    Attributes:
        slope: of the line.
        intercept: of the line.
        names: subject names that it was fitted on.
        leukaemic: of them leukaemic.
    """

    slope: Signed
    intercept: Signed
    names: Count
    leukaemic: Count


@dataclass(frozen=True)
class SubjectRecord:
    """Subject-level calibration, and its scores on new people.

    Attributes:
        line: from the mean logit.
        tested: subjects that it was scored on.
        scores: name of a score → the score, by subject.
    """

    line: SubjectLine
    tested: Count
    scores: Mapping[str, ScoreRecord]


@dataclass(frozen=True)
class ClassMeasures:
    """How the measures of one class's training cells are distributed.

    Attributes:
        cells: how many were measured.
        people: whose cells they are.
        measurable: name of a measure → cells of them in which it could be measured.
        quantiles: name of a measure → its value at each of the percents, rising; empty where too
            few cells could be measured.
    """

    cells: Count
    people: Count
    measurable: Mapping[str, Count]
    quantiles: Mapping[str, tuple[Signed, ...]]


@dataclass(frozen=True)
class TrainingMeasures:
    """How the measures of a model's training cells are distributed (`cells.measures`).

    Attributes:
        percents: 0 to 100, rising: where the quantiles are kept.
        classes: label → its cells.
    """

    percents: tuple[Percent, ...]
    classes: Mapping[str, ClassMeasures]

    def __post_init__(self) -> None:
        if not self.percents or not _rises((0.0, *self.percents, 100.0)):
            raise ValueError("percents, expected to rise from 0 to 100")
        if set(self.classes) != set(LABELS):
            raise ValueError(f"classes of measures, expected {' and '.join(LABELS)}")
        for label, found in self.classes.items():
            for name, values in found.quantiles.items():
                if values and (len(values) != len(self.percents) or not _rises(values)):
                    raise ValueError(
                        f"quantiles of {name} of {label} cells, expected {len(self.percents)} "
                        "rising numbers"
                    )


def _rises(values: Sequence[float]) -> bool:
    """Whether no value is below the one before, and all are finite."""
    return all(map(isfinite, values)) and all(low <= high for low, high in pairwise(values))


@dataclass(frozen=True)
class ModelMetadata:
    """Metadata of a model file, under the key "leukoscope".

    Attributes:
        classes: in the order of their codes 0 and 1.
        crop_px: side of the uint8 RGB crops that it takes.
        decision: thresholds and limits.
        dataset: the training data set, and how its images are cropped and checked.
        recipe: name of the recipe.
        fingerprint: of the training cells.
        version: of the program that wrote it.
        expected: performance on new people; None where it was not tested.
        subjects: subject-level calibration; None where it is not known.
        measures: of the training cells; None in files of older versions and of single folds.
        format: `MODEL_FORMAT`.
    """

    classes: tuple[str, str]
    crop_px: CropSide
    decision: Decision
    dataset: DatasetSpec
    recipe: str
    fingerprint: str
    version: str
    expected: Expected | None = None
    subjects: SubjectRecord | None = None
    measures: TrainingMeasures | None = None
    format: Format = MODEL_FORMAT

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON text, one line."""
        return msgspec.json.encode(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str, name: str) -> ModelMetadata:
        """Read and check it.

        Args:
            text: the JSON.
            name: of the file, for errors.

        Raises:
            ModelError: not such a record, a value out of range, or of another format.
        """
        try:
            found = msgspec.json.decode(text)
            known = found["format"] if isinstance(found, dict) else None
            if type(known) is int and known == 4:
                found, known = upgrade_format_4(found), MODEL_FORMAT
            if type(known) is int and known != MODEL_FORMAT:
                hint = (
                    f"update Leukoscope. {describe_install()}"
                    if known > MODEL_FORMAT
                    else "train it again, or convert it to format 4 with the version that wrote it."
                )
                raise ModelError(
                    f"{name}: a model of format {known}. Expected format {MODEL_FORMAT} (or 4): "
                    f"{hint}"
                )
            metadata = msgspec.convert(update_model(found), cls)
            _check_complete(found["decision"], Decision)
        except (msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{name}: not a Leukoscope model, or its metadata are damaged "
                f"({_describe_fault(error)}). Expected a model.onnx that `leukoscope train` wrote."
            ) from error
        if metadata.classes != LABELS:
            raise ModelError(
                f"{name}: a model of the classes {', '.join(metadata.classes)}. Expected "
                f"{', '.join(LABELS)}."
            )
        return metadata


def _check_complete(written: Mapping[str, Any], kind: type) -> None:
    """Defaults are for building a record: what is written has all of its values."""
    missing = [part.name for part in fields(kind) if part.name not in written]
    if missing:
        raise ValueError(f"{missing[0]} is missing")


def _describe_fault(error: Exception) -> str:
    """A fault of a record in words."""
    return f"no {error.args[0]}" if isinstance(error, KeyError) else str(error)


@dataclass(frozen=True)
class FoldRecord:
    """Cells of one fold: trained on, evaluated, and removed as their person is evaluated."""

    name: str
    training: Count
    evaluated: Count
    removed: Count


@dataclass(frozen=True)
class SplitRecord:
    """The split of a run; `leaky` where people are on both sides on purpose."""

    name: str
    leaky: bool
    folds: tuple[FoldRecord, ...]

    def __post_init__(self) -> None:
        if not self.name or not self.folds:
            raise ValueError("a split without a name or a fold")


@dataclass(frozen=True)
class ReadRecord:
    """How the data of a run were read: the options that read them so again.

    Attributes:
        reader: that read them, whether it was named or recognised.
        subject_from, classes, frame_px: as `datasets.reader.ReadOptions`.
        turns: rotations at which cells were compared, to join subjects.
        labels_csv, groups_csv: paths of the files; "" without. Another path may hold the same, so
            these are not compared, but what was read from them is.
    """

    reader: str
    subject_from: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
    frame_px: CropSide | None = None
    turns: Turns = 1
    labels_csv: str = field(default="", compare=False)
    groups_csv: str = field(default="", compare=False)


@dataclass(frozen=True)
class DataRecord:
    """The training data of a run.

    Attributes:
        fingerprint: of the cells used.
        cells, subjects, groups: how many.
        groups_fingerprint: of a file of groups, so that a run is not continued with another; "".
        read: how they were read; None in runs of a time when this was not kept.
    """

    fingerprint: str
    cells: Count
    subjects: Count
    groups: Count
    groups_fingerprint: str = ""
    read: ReadRecord | None = None


class NamesApart(TypedDict):
    """Two names that cells link, in two groups of a file; `links` is how many."""

    subject: str
    other_subject: str
    links: Count


@dataclass(frozen=True)
class GroupOverrides:
    """A file of groups, and where it differs from the links between cells.

    Attributes:
        file: its path.
        equal_cells_apart: cells whose exact pixels are in another group too.
        similar_pairs_apart: pairs of one cell, processed twice, that are in two groups.
        names_apart: subject, other_subject, links.
        joined: groups that no link makes.
        overridden: all of it in sentences.
    """

    file: str
    equal_cells_apart: Count
    similar_pairs_apart: Count
    names_apart: tuple[NamesApart, ...]
    joined: tuple[str, ...]
    overridden: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """Where a run was made.

    Attributes:
        system: operating system and its version.
        processor: its kind.
        threads: among which TensorFlow shares an operation, and so the order in which it adds; 0
            in runs of a time when this was not kept.
    """

    system: str
    processor: str
    threads: Count = 0


@dataclass(frozen=True)
class RunRecord:
    """run.json: the resolved request, the data and the versions.

    Attributes:
        recipe: the settings.
        split: the folds.
        seed: of split, weights, order and augmentation.
        data: the cells used.
        dataset: facts of the data set.
        group_overrides: None where the groups are those of the links.
        simulated: whether our simulator drew the cells.
        root: folder or zip of the data.
        versions: package → version.
        machine: where it ran.
        started, finished: with the time zone; "" before the end.
    """

    recipe: Recipe
    split: SplitRecord
    seed: Seed
    data: DataRecord
    dataset: DatasetSpec
    group_overrides: GroupOverrides | None
    simulated: bool
    root: str
    versions: Mapping[str, str]
    machine: Machine
    started: str
    finished: str = ""

    def to_json(self) -> str:
        """JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(asdict(self)), indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str, name: str) -> RunRecord:
        """Read and check it.

        Raises:
            RunError: not such a record, or a value out of range.
        """
        try:
            found = msgspec.json.decode(text)
            record = msgspec.convert(update_run(found), cls)
            check_recipe(record.recipe)
        except (
            *(msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError),
            SettingsError,
        ) as error:
            raise RunError(
                f"{name}: not the record of a run ({_describe_fault(error)}). Expected a run.json "
                "that `leukoscope train` wrote; put it back from a copy, or train again."
            ) from error
        return record
