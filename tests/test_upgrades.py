"""Records of older versions are read as today's."""

from __future__ import annotations

import dataclasses
import json

import pytest

from leukoscope.datasets.cnmc import CNMC
from leukoscope.errors import ModelError
from leukoscope.labels import LABELS
from leukoscope.records import ModelMetadata, RunRecord
from leukoscope.upgrades import rename_old_split
from test_records import METADATA, RUN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("subject-cv", "group-kfold"),
        ("name-cv", "subject-name-kfold"),
        ("column:smear", "leave-one-group-out:smear"),
        ("random", "random"),
    ],
)
def test_splits_have_one_name(old: str, new: str) -> None:
    assert rename_old_split(old) == new


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
    assert ModelMetadata.from_json(json.dumps(old), "m.onnx") == dataclasses.replace(
        METADATA, measures=None
    )
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


def test_data_sets_in_older_records_are_read() -> None:
    """Then each data set knew the words of all, and its folds were parts."""
    for text, read in (
        (METADATA.to_json(), ModelMetadata.from_json),
        (RUN.to_json(), RunRecord.from_json),
    ):
        old = json.loads(text)
        for name in ("class_words", "subject_from", "depth"):
            del old["dataset"][name]
        old["dataset"]["test_part"] = old["dataset"].pop("test_fold")
        for counts in old["dataset"]["published"]:
            counts["part"] = counts.pop("fold")
        assert read(json.dumps(old), "old").dataset == CNMC
