"""Metadata of models and runs is checked when it is read, whoever wrote it."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pandas as pd
import pytest

from leukoscope.cells.quality import CellQuality, measure_limits
from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.spec import NAME_LENGTH, CropSpec, DatasetSpec
from leukoscope.errors import ModelError, RunError
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.io.runs import create_run
from leukoscope.labels import LABELS
from leukoscope.records import (
    ClassMeasures,
    DataRecord,
    Decision,
    Expected,
    FoldRecord,
    GroupOverrides,
    Machine,
    ModelMetadata,
    ReadRecord,
    RunRecord,
    ScoreRecord,
    SplitRecord,
    SubjectLine,
    SubjectRecord,
    TrainingMeasures,
)
from leukoscope.settings import Recipe, TrainingSettings
from leukoscope.splits import SPLITS

METADATA = ModelMetadata(
    LABELS,
    225,
    Decision(slope=0.9, intercept=0.1, threshold=0.6, conformal_lower=0.3, conformal_upper=0.8),
    CNMC,
    "texture",
    "abc",
    "0.2",
    measures=TrainingMeasures(
        (0.0, 50.0, 100.0),
        {
            label: ClassMeasures(
                30, 3, {"area": 30, "hue": 2}, {"area": (1.0, 2.0, 2.5), "hue": ()}
            )
            for label in LABELS
        },
    ),
    subjects=SubjectRecord(SubjectLine(1.5, -1, 6, 4), 5, {"roc_auc": ScoreRecord(0.9, None, 1)}),
)
RUN = RunRecord(
    recipe=Recipe("mine", training=TrainingSettings(epochs=3)),
    split=SplitRecord("group-kfold", False, (FoldRecord("kfold_1", 5, 3, 0),)),
    seed=1,
    data=DataRecord("abc", 8, 4, 3),
    dataset=CNMC,
    group_overrides=None,
    simulated=True,
    root="/data",
    versions={"python": "3.11"},
    machine=Machine("Linux", "x86_64", threads=2),
    started="2026-01-01",
)


KNOWN: dict[str, Any] = {"cells": 3, "people": 1, "measurable": {}, "quantiles": {}}


def test_records_come_back_as_they_were() -> None:
    assert ModelMetadata.from_json(METADATA.to_json(), "m.onnx") == METADATA
    assert RunRecord.from_json(RUN.to_json(), "run.json") == RUN
    written = json.loads(METADATA.to_json())
    assert set(written["decision"]) == {field.name for field in dataclasses.fields(Decision)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"decision": {"threshold": 2.0}}, "threshold"),
        ({"decision": {"slope": 0}}, "slope"),
        ({"decision": {"conformal_upper": "0.5"}}, "conformal_upper"),
        ({"crop_px": "225"}, "crop_px"),
        ({"dataset": {"name_pattern": "("}}, "name_pattern"),
        ({"dataset": {"name_pattern": "abc"}}, "no group"),
        ({"dataset": {"subject_from": "(a)(b)"}}, "Subjects from"),
        ({"dataset": {"depth": -1}}, "depth"),
        ({"dataset": {"class_words": {"early": "blue"}}}, "blue"),
        ({"dataset": {"crop": {"frame_px": 3}}}, "frame_px"),
        ({"dataset": {"quality": {"area_px": [9, 3]}}}, "area_px"),
        ({"measures": {"percents": [0, 60, 50]}}, "percents"),
        ({"measures": {"percents": [0, 50, 101]}}, "percents"),
        ({"measures": {"percents": []}}, "percents"),
        ({"measures": {"percents": [0, 100]}}, "quantiles of area of normal"),
        ({"measures": {"classes": {"normal": None}}}, "Expected `object`, got `null`"),
        ({"measures": {"classes": {"normal": {**KNOWN, "cells": -1}}}}, "cells"),
        (
            {"measures": {"classes": {"normal": {**KNOWN, "measurable": {"area": -1}}}}},
            "measurable",
        ),
        (
            {"measures": {"classes": {"normal": {**KNOWN, "quantiles": {"area": [1, 3, 2]}}}}},
            "area",
        ),
        ({"measures": {"classes": {"blue": KNOWN}}}, "classes of measures"),
        ({"classes": ["blue", "red"]}, "of the classes blue, red"),
        ({"format": 99}, "format 99.*update Leukoscope"),
        ({"format": True}, "format"),
        ({"format": 5.5}, "format"),
        ({"subjects": {"scores": {"roc_auc": {"low": 0.9, "high": 0.2}}}}, "an interval from"),
        ({"dataset": {"quality": {"hue_deg": [10, 9999]}}}, "hue_deg"),
        ({"decision": {"conformal_lower": 1.5}}, "conformal_lower"),
        ({"decision": {"conformal_upper": -0.5}}, "conformal_upper"),
        ({"format": 2}, "format 2"),
    ],
)
def test_invalid_metadata_is_refused(change: dict[str, Any], words: str) -> None:
    written = merge(json.loads(METADATA.to_json()), change)
    with pytest.raises(ModelError, match=words):
        ModelMetadata.from_json(json.dumps(written), "m.onnx")


MODEL_FULL = dataclasses.replace(
    METADATA,
    dataset=dataclasses.replace(METADATA.dataset, subject_from="folder:-1", depth=1),
    expected=Expected("group-kfold", False, {"roc_auc": ScoreRecord(0.9, 0.8, 1.0)}, "good"),
    subjects=SubjectRecord(SubjectLine(1.5, -1, 6, 4), 5, {"roc_auc": ScoreRecord(0.9, 0.8, 1)}),
)
RUN_FULL = dataclasses.replace(
    RUN,
    dataset=MODEL_FULL.dataset,
    data=dataclasses.replace(RUN.data, read=ReadRecord("folders", frame_px=300, turns=4)),
    group_overrides=GroupOverrides(
        "groups.csv", 1, 2, ({"subject": "a", "other_subject": "b", "links": 3},), (), ()
    ),
)


def list_numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the numbers of a JSON value are."""
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    found = [place for key, item in inner for place in list_numbers(item, (*path, key))]
    return [*found, path] if type(value) in (int, float) else found


def list_kinds(kind: Any) -> set[type]:
    """A dataclass, and all that its fields are made of."""
    found = {kind} if dataclasses.is_dataclass(kind) else set()
    hints = get_type_hints(kind).values() if found else get_args(kind)
    return found.union(*(list_kinds(hint) for hint in hints))


FULL = [
    (cls, path)
    for cls, full in ((ModelMetadata, MODEL_FULL), (RunRecord, RUN_FULL))
    for path in list_numbers(json.loads(full.to_json()))
]


def test_the_full_records_have_a_number_of_every_kind() -> None:
    """So that a new field cannot be forgotten below."""
    for cls, full in ((ModelMetadata, MODEL_FULL), (RunRecord, RUN_FULL)):
        assert cls.from_json(full.to_json(), "x") == full
        walked = {part for owner, path in FULL if owner is cls for part in path}
        for kind in list_kinds(cls):
            for name, hint in get_type_hints(kind).items():
                if {int, float} & {hint, *get_args(hint), *get_args(next(iter(get_args(hint)), 0))}:
                    assert name in walked, (kind, name)


@pytest.mark.parametrize(("cls", "path"), FULL, ids=str)
def test_every_number_of_a_record_has_a_range(cls: Any, path: tuple[Any, ...]) -> None:
    full = MODEL_FULL if cls is ModelMetadata else RUN_FULL
    for wrong in (-1e12, 1e12, -(10**12), 10**12, True, "1", [1]):
        written = json.loads(full.to_json())
        place = written
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = wrong
        with pytest.raises((ModelError, RunError)):
            cls.from_json(json.dumps(written), "m.onnx")


def test_what_training_may_measure_is_read() -> None:
    """Limits are stretched beyond the crop, and a mean of ones may round to more than one."""
    full = CellQuality(225 * 225, 9, True, 1.0, 359.9, 1.0, 1.0, 50.0)
    quality = measure_limits(pd.DataFrame([dataclasses.asdict(full)] * 3))
    assert quality is not None and quality.area_px[1] > 225 * 225
    wide = dataclasses.replace(CNMC, quality=quality)
    scores = {"weighted_f1": ScoreRecord(1.0000000000000002, 1.0, 1.0000000000000002)}
    expected = Expected("random", True, scores, "")
    metadata = dataclasses.replace(METADATA, dataset=wide, expected=expected)
    assert ModelMetadata.from_json(metadata.to_json(), "m.onnx") == metadata


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(?P<subject>(a+)+)b", r"(?P<subject>(?:a|a)*)b", r"(?P<subject>(a+){20})b"),
        *(r"(?P<subject>a*a*a*a*a*a*)b", "(?P<subject>" + "a?" * 30 + "a" * 30 + ")"),
        *("(?P<subject>" + "(a|a)" * 30 + ")b", "(?x)(?P<subject>x) # [\n(a+)+ # ]"),
        r"(?P<subject>(?P<cell>[a+)]+)+)b",
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern: str) -> None:
    written = merge(json.loads(METADATA.to_json()), {"dataset": {"name_pattern": pattern}})
    with pytest.raises(ModelError, match="repeats or branches too much"):
        ModelMetadata.from_json(json.dumps(written), "m.onnx")


def test_the_worst_allowed_pattern_ends_soon() -> None:
    spec = DatasetSpec("of strangers", "x", name_pattern=r"(?P<subject>.*.*.*.*)[b](e|d)")
    started = time.perf_counter()
    assert spec.parse_name("b" * NAME_LENGTH) is None
    assert time.perf_counter() - started < 5
    assert spec.parse_name("b" * 50 + "e") is not None
    assert CNMC.parse_name(f"UID_{'1' * NAME_LENGTH}_1_1_all") is None


def test_the_shipped_model_was_tested_by_a_split_that_there_is() -> None:
    expected = Classifier(find_shipped_model()).metadata.expected
    assert expected is not None and expected.split in SPLITS
    old = json.loads(MODEL_FULL.to_json())
    old["expected"]["split"] = "column:smear"
    read = ModelMetadata.from_json(json.dumps(old), "m.onnx").expected
    assert read is not None and read.split == "leave-one-group-out:smear"


@pytest.mark.parametrize("key", ["classes", "decision", "dataset", "fingerprint"])
def test_a_model_without_a_key_is_refused(key: str) -> None:
    written = json.loads(METADATA.to_json())
    del written[key]
    with pytest.raises(ModelError, match=key):
        ModelMetadata.from_json(json.dumps(written), "m.onnx")


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7", '"x"', "{", '{"format": 4}', "{}", '{"recipe": {"training": []}}'],
)
def test_invalid_records_are_refused(text: str) -> None:
    with pytest.raises(ModelError, match=r"m\.onnx"):
        ModelMetadata.from_json(text, "m.onnx")
    with pytest.raises(RunError, match=r"run\.json"):
        RunRecord.from_json(text, "run.json")


def merge(whole: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return whole | {
        key: merge(whole.get(key, {}), value) if isinstance(value, dict) else value
        for key, value in change.items()
    }


def test_a_run_of_a_time_before_its_options_were_kept_is_continued(tmp_path: Path) -> None:
    old = json.loads(RUN.to_json())
    del old["data"]["read"]
    run = create_run(tmp_path / "run", RUN, resume=False)
    run.record.write_text(json.dumps(old))
    assert run.read_record().data.read is None
    create_run(tmp_path / "run", with_options(reader="folders"), resume=True)
    with pytest.raises(RunError, match="begun with another data"):
        other = dataclasses.replace(RUN.data, fingerprint="other")
        create_run(tmp_path / "run", dataclasses.replace(RUN, data=other), resume=True)


@pytest.mark.parametrize(
    "change",
    [
        {"reader": "cnmc"},
        {"subject_from": "folder:1"},
        {"classes": {"early": "normal"}},
        {"frame_px": 300},
        {"turns": 2},
    ],
)
def test_a_run_is_continued_only_with_its_options(tmp_path: Path, change: dict[str, Any]) -> None:
    begun = {"reader": "folders", "labels_csv": "/here/labels.csv"}
    create_run(tmp_path / "run", with_options(**begun), resume=False)
    create_run(tmp_path / "run", with_options(**begun), resume=True)
    moved = {"labels_csv": "/there/labels.csv"}  # what is read from it is compared
    create_run(tmp_path / "run", with_options(**begun | moved), resume=True)
    with pytest.raises(RunError, match=rf"begun with another {next(iter(change))} \(.*, not "):
        create_run(tmp_path / "run", with_options(**begun | change), resume=True)


def with_options(**options: Any) -> RunRecord:
    return dataclasses.replace(RUN, data=dataclasses.replace(RUN.data, read=ReadRecord(**options)))


def test_the_shipped_model_names_its_training_data() -> None:
    metadata = Classifier(find_shipped_model()).metadata
    assert metadata.dataset.name == "C-NMC 2019" and metadata.dataset.quality is not None
    assert metadata.expected is not None and metadata.subjects is not None


def test_a_run_is_continued_only_with_crops_as_they_were(tmp_path: Path) -> None:
    create_run(tmp_path / "run", RUN, resume=False)
    assert CNMC.quality is not None
    measured = dataclasses.replace(CNMC.quality, area_px=(1.0, 2.0))
    for spec in (CNMC, dataclasses.replace(CNMC, quality=measured)):
        create_run(tmp_path / "run", dataclasses.replace(RUN, dataset=spec), resume=True)
    other = dataclasses.replace(CNMC, crop=CropSpec(300))
    with pytest.raises(RunError, match="begun with another crop"):
        create_run(tmp_path / "run", dataclasses.replace(RUN, dataset=other), resume=True)


def test_a_decision_has_all_of_its_values_and_old_runs_may_lack_groups() -> None:
    written = json.loads(METADATA.to_json())
    del written["decision"]["novelty_limit"]
    with pytest.raises(ModelError, match="novelty_limit is missing"):
        ModelMetadata.from_json(json.dumps(written), "m.onnx")
    with pytest.raises(RunError, match=r"run\.json: not the record of a run \(no recipe\)"):
        RunRecord.from_json("{}", "run.json")
    old = json.loads(RUN.to_json())
    for key in ("dataset", "group_overrides"):
        del old[key]
    assert RunRecord.from_json(json.dumps(old), "run.json").group_overrides is None
