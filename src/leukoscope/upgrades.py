"""Metadata of models and runs as older versions wrote them → as `records` reads them today.

What is not as expected is left as it is, to the check that follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

__all__ = ["rename_old_split", "update_model", "update_run", "upgrade_format_4"]

_SPLITS = {
    "subject-cv": "group-kfold",
    "name-cv": "subject-name-kfold",
    "column:": "leave-one-group-out:",
}
"""Splits of version 0.1, or how their names begin → names now."""


def update_model(found: Any) -> Any:
    """JSON of a model's metadata, of format 5."""
    return _rename_tested_split(_update_dataset(found))


def update_run(found: Any) -> Any:
    """JSON of a run's record."""
    if isinstance(found, dict) and "dataset" not in found:
        found = _upgrade_run(found)
    return _rename_folds(_rename_overrides(_update_dataset(found)))


def upgrade_format_4(old: dict[str, Any]) -> dict[str, Any]:
    """A model's metadata of version 0.1, whose models knew one data set, as format 5."""
    from leukoscope.datasets.registry import describe_first_data

    subjects = old.get("subjects")
    return {
        **{key: old[key] for key in ("classes", "crop_px", "recipe", "fingerprint", "version")},
        "format": 5,
        "dataset": asdict(describe_first_data()),
        "decision": {
            "novelty_limit": 1.0,  # which is in the network's second output
            **old["calibration"],
            "threshold": old["threshold"],
            "sensitive_threshold": old["sensitive_threshold"],
            "conformal_lower": old["leukaemic_from"],
            "conformal_upper": old["normal_to"],
        },
        "expected": old["expected"],
        "subjects": subjects and {"line": subjects, **subjects},
    }


def _upgrade_run(old: dict[str, Any]) -> dict[str, Any]:
    """Of version 0.1."""
    from leukoscope.datasets.registry import describe_first_data
    from leukoscope.settings import rename_old_settings

    training = rename_old_settings(old["recipe"]["training"])
    split = old["split"] | {"name": rename_old_split(old["split"]["name"])}
    return old | {
        "recipe": old["recipe"] | {"training": training},
        "split": split,
        "dataset": asdict(describe_first_data()),
        "group_overrides": old.get("groups"),
    }


def _update_dataset(found: Any) -> Any:
    """The data set of a record by its keys today: before 0.2 was finished, its folds were parts,
    and every data set knew the words of every other, so that none kept its own."""
    dataset = found.get("dataset") if isinstance(found, dict) else None
    if not isinstance(dataset, dict):
        return found
    dataset = _rename_keys(dataset, {"test_part": "test_fold"})
    if isinstance(counts := dataset.get("published"), list):
        dataset["published"] = [_rename_keys(entry, {"part": "fold"}) for entry in counts]
    if "class_words" not in dataset:
        from leukoscope.datasets.registry import list_class_words

        dataset["class_words"] = list_class_words()
    return found | {"dataset": dataset}


def _rename_keys(found: Any, names: Mapping[str, str]) -> Any:
    """A copy with other keys; what is no dictionary is left to the check of types."""
    if not isinstance(found, dict):
        return found
    return {names.get(key, key): value for key, value in found.items()}


def _rename_tested_split(found: Any) -> Any:
    """The split of `expected` by its name today; models of version 0.1 have the old one."""
    expected = found.get("expected") if isinstance(found, dict) else None
    if not isinstance(expected, dict) or not isinstance(expected.get("split"), str):
        return found  # left to the check of types
    return found | {"expected": expected | {"split": rename_old_split(expected["split"])}}


def _rename_overrides(found: Any) -> Any:
    """Sentences on group overrides were called "overruled"."""
    groups = found.get("group_overrides") if isinstance(found, dict) else None
    if not isinstance(groups, dict):
        return found
    return found | {"group_overrides": _rename_keys(groups, {"overruled": "overridden"})}


def _rename_folds(found: Any) -> Any:
    """Folds were called part_0, part_1, …"""
    split = found.get("split") if isinstance(found, dict) else None
    folds = split.get("folds") if isinstance(split, dict) else None
    if not isinstance(split, dict) or not isinstance(folds, list):
        return found  # left to the check of types

    def rename(fold: Any) -> Any:
        name = fold.get("name") if isinstance(fold, dict) else None
        old = re.fullmatch(r"part_(\d+)", name) if isinstance(name, str) else None
        return fold | {"name": f"kfold_{int(old[1]) + 1}"} if old else fold

    return found | {"split": split | {"folds": [rename(fold) for fold in folds]}}


def rename_old_split(name: str) -> str:
    """The name today of a split that had another in version 0.1.

    >>> rename_old_split("subject-cv")
    'group-kfold'
    """
    for old, new in _SPLITS.items():
        if name == old or (old.endswith(":") and name.startswith(old)):
            return new + name.removeprefix(old)
    return name
