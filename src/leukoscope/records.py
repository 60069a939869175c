"""Metadata of models and runs: frozen values ↔ JSON, checked when they are read.

`ModelMetadata.from_json` and `RunRecord.from_json` refuse what is missing, of another type or out
of range; so later code need not check for keys. Records of version 0.1 are upgraded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import msgspec

from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import ModelError, RunError
from leukoscope.labels import LABELS, LEUKAEMIC, NORMAL
from leukoscope.settings import Recipe

__all__ = [
    "MODEL_FORMAT",
    "UNCERTAIN",
    "DataRecord",
    "Decision",
    "Expected",
    "FoldRecord",
    "GroupOverrides",
    "Machine",
    "ModelMetadata",
    "RunRecord",
    "ScoreRecord",
    "SplitRecord",
    "SubjectLine",
    "SubjectRecord",
]

MODEL_FORMAT = 5
"""Of a model file; increased when an older version could not predict with a newer file."""

UNCERTAIN = "uncertain"
"""Conformal call of a cell that may be of either class."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


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
    intercept: float = 0.0
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


@dataclass(frozen=True)
class ScoreRecord:
    """One score with its 95% interval; None where not defined."""

    value: float | None
    low: float | None
    high: float | None


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

    slope: float
    intercept: float
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
        format: `MODEL_FORMAT`.
    """

    classes: tuple[str, str]
    crop_px: int
    decision: Decision
    dataset: DatasetSpec
    recipe: str
    fingerprint: str
    version: str
    expected: Expected | None = None
    subjects: SubjectRecord | None = None
    format: int = MODEL_FORMAT

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
            if isinstance(found, dict) and found.get("format") == 4:
                found = _upgrade_model(found)
            known = found["format"] if isinstance(found, dict) else None
            if isinstance(known, int) and known != MODEL_FORMAT:
                hint = (
                    "update leukoscope with: pip install -U leukoscope"
                    if known > MODEL_FORMAT
                    else "train it again, or convert it to format 4 with the version that wrote it"
                )
                raise ModelError(
                    f"{name}: a model of format {known}. Expected format {MODEL_FORMAT} (or 4): "
                    f"{hint}."
                )
            metadata = msgspec.convert(found, cls)
        except (msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ModelError(
                f"{name}: an ONNX file, but not a Leukoscope model ({error}). Expected a "
                "model.onnx that `leukoscope train` wrote."
            ) from error
        if metadata.classes != LABELS:
            raise ModelError(
                f"{name}: a model of the classes {', '.join(metadata.classes)}. Expected "
                f"{', '.join(LABELS)}."
            )
        return metadata


def _upgrade_model(old: dict[str, Any]) -> dict[str, Any]:
    """Format 4, of version 0.1, whose models knew one data set."""
    from leukoscope.datasets.cnmc import CNMC

    subjects = old.get("subjects")
    return {
        **{key: old[key] for key in ("classes", "crop_px", "recipe", "fingerprint", "version")},
        "format": MODEL_FORMAT,
        "dataset": asdict(CNMC),
        "decision": {
            **old["calibration"],
            "threshold": old["threshold"],
            "sensitive_threshold": old["sensitive_threshold"],
            "conformal_lower": old["leukaemic_from"],
            "conformal_upper": old["normal_to"],
        },
        "expected": old["expected"],
        "subjects": subjects and {"line": subjects, **subjects},
    }


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


@dataclass(frozen=True)
class DataRecord:
    """The training data of a run.

    Attributes:
        fingerprint: of the cells used.
        cells, subjects, groups: how many.
        groups_fingerprint: of a file of groups, so that a run is not continued with another; "".
    """

    fingerprint: str
    cells: Count
    subjects: Count
    groups: Count
    groups_fingerprint: str = ""


@dataclass(frozen=True)
class GroupOverrides:
    """A file of groups, and where it differs from the links between cells.

    Attributes:
        file: its path.
        equal_cells_apart: cells whose exact pixels are in another group too.
        similar_pairs_apart: pairs of one cell, processed twice, that are in two groups.
        names_apart: subject, other_subject, links.
        joined: groups that no link makes.
        overruled: all of it in sentences.
    """

    file: str
    equal_cells_apart: Count
    similar_pairs_apart: Count
    names_apart: tuple[Mapping[str, Any], ...]
    joined: tuple[str, ...]
    overruled: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """Where a run was made."""

    system: str
    processor: str


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
    seed: int
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
            if isinstance(found, dict) and "dataset" not in found:
                found = _upgrade_run(found)
            record = msgspec.convert(found, cls)
        except (msgspec.MsgspecError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise RunError(
                f"{name}: not the record of a run ({error}). Expected a run.json that "
                "`leukoscope train` wrote; put it back from a copy, or train again."
            ) from error
        return replace(record, split=_rename_folds(record.split))


def _rename_folds(split: SplitRecord) -> SplitRecord:
    """Of runs from before 0.2, which called them part_0, part_1, …"""

    def rename(name: str) -> str:
        old = re.fullmatch(r"part_(\d+)", name)
        return f"kfold_{int(old[1]) + 1}" if old else name

    folds = (replace(fold, name=rename(fold.name)) for fold in split.folds)
    return replace(split, folds=tuple(folds))


def _upgrade_run(old: dict[str, Any]) -> dict[str, Any]:
    """Of version 0.1."""
    from leukoscope.datasets.cnmc import CNMC
    from leukoscope.settings import rename_old_settings
    from leukoscope.splits import rename_old_split

    training = rename_old_settings(old["recipe"]["training"])
    split = old["split"] | {"name": rename_old_split(old["split"]["name"])}
    return old | {
        "recipe": old["recipe"] | {"training": training},
        "split": split,
        "dataset": asdict(CNMC),
        "group_overrides": old["groups"],
    }
