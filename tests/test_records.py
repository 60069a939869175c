"""Metadata of models and runs is checked when it is read, whoever wrote it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from leukoscope.datasets.cnmc import CNMC
from leukoscope.datasets.spec import CropSpec
from leukoscope.errors import ModelError, RunError
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.io.runs import create_run
from leukoscope.labels import LABELS
from leukoscope.records import (
    DataRecord,
    Decision,
    FoldRecord,
    Machine,
    ModelMetadata,
    RunRecord,
    ScoreRecord,
    SplitRecord,
    SubjectLine,
    SubjectRecord,
)
from leukoscope.settings import Recipe, TrainingSettings

METADATA = ModelMetadata(
    LABELS,
    225,
    Decision(slope=0.9, intercept=0.1, threshold=0.6, conformal_lower=0.3, conformal_upper=0.8),
    CNMC,
    "texture",
    "abc",
    "0.2",
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
    machine=Machine("Linux", "x86_64"),
    started="2026-01-01",
)


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
        ({"dataset": {"crop": {"frame_px": 3}}}, "frame_px"),
        ({"dataset": {"quality": {"area_px": [9, 3]}}}, "area_px"),
        ({"classes": ["blue", "red"]}, "of the classes blue, red"),
        ({"format": 99}, "format 99.*update leukoscope"),
        ({"format": 2}, "format 2"),
    ],
)
def test_invalid_metadata_is_refused(change: dict[str, Any], words: str) -> None:
    written = merge(json.loads(METADATA.to_json()), change)
    with pytest.raises(ModelError, match=words):
        ModelMetadata.from_json(json.dumps(written), "m.onnx")


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
        key: merge(whole[key], value) if isinstance(value, dict) else value
        for key, value in change.items()
    }


def test_a_model_of_format_4_is_read() -> None:
    old = {
        "format": 4,
        "classes": list(LABELS),
        "crop_px": 225,
        "threshold": 0.6,
        "sensitive_threshold": 0.5,
        "leukaemic_from": 0.3,
        "normal_to": 0.8,
        "calibration": {"slope": 0.9, "intercept": 0.1},
        "recipe": "texture",
        "fingerprint": "abc",
        "version": "0.2",
        "expected": None,
        "subjects": {
            **{"slope": 1.5, "intercept": -1, "names": 6, "leukaemic": 4, "tested": 5},
            "scores": {"roc_auc": {"value": 0.9, "low": None, "high": 1}},
        },
    }
    assert ModelMetadata.from_json(json.dumps(old), "m.onnx") == METADATA
    with pytest.raises(ModelError, match="threshold"):
        ModelMetadata.from_json(json.dumps(old | {"threshold": 2.0}), "m.onnx")


def test_a_run_of_version_0_1_is_read() -> None:
    old = json.loads(RUN.to_json())
    del old["dataset"], old["group_overrides"]
    training = old["recipe"]["training"]
    for now, before in (("batch_size", "batch"), ("ema_momentum", "ema")):
        training[before] = training.pop(now)
    training["frozen"] = training.pop("freeze_backbone")
    old["split"]["name"] = "subject-cv"
    assert RunRecord.from_json(json.dumps(old | {"groups": None}), "run.json") == RUN


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
