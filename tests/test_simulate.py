from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from leukoscope import simulate
from leukoscope.errors import DataError, SettingsError
from leukoscope.io.images import read_image
from leukoscope.simulate import (
    LATENTS,
    Cohort,
    CohortSettings,
    Faults,
    simulate_cohort,
    simulate_pairs,
)
from leukoscope.simulate.draw import photograph_cell
from leukoscope.simulate.faults import plant_faults
from leukoscope.simulate.plan import plan_files
from leukoscope.simulate.prepare import Preparation, prepare_cell

FAULTS = Faults(shared_images=3, reprocessed_cells=4, repeated_cells=3, mislabelled=2, truncated=2)
SETTINGS = CohortSettings(subjects=8, cells=110, seed=5, faults=FAULTS)
NAME = re.compile(
    r"C-NMC_Leukemia/training_data/fold_([012])/(all|hem)/UID_(H?\d+)_(\d+)_(\d+)_(all|hem)\.bmp"
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return simulate_cohort(tmp_path_factory.mktemp("simulated") / "out", SETTINGS, workers=2)


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def list_planted(cohort: Cohort, kind: str) -> pd.DataFrame:
    return cohort.planted[cohort.planted["kind"] == kind].merge(cohort.truth, on="image")


def find_truth(cohort: Cohort, images: pd.Series) -> pd.DataFrame:
    return cohort.truth.set_index("image").loc[images].reset_index()


def test_exports_change_only_by_decision() -> None:
    assert simulate.__all__ == [
        "LATENTS",
        "Cohort",
        "CohortSettings",
        "Faults",
        "draw_cells",
        "open_cohort",
        "simulate_cohort",
        "simulate_pairs",
    ]
    assert all(hasattr(simulate, name) for name in simulate.__all__)


def test_layout_and_names(cohort: Cohort) -> None:
    written = {name for name in read_all(cohort.root) if name.endswith(".bmp")}
    assert written == set(cohort.truth["image"])
    assert len(written) == SETTINGS.cells + 3 + 4 + 3
    for row in cohort.truth.itertuples():
        fold, _, subject, smear, cell, suffix = NAME.fullmatch(row.image).groups()
        assert (int(fold), subject, int(smear), int(cell)) == (
            row.fold,
            row.subject,
            row.smear,
            row.cell,
        )
        assert (suffix == "all") == (row.label == "leukaemic") == (not subject.startswith("H"))


def test_tables_are_written(cohort: Cohort) -> None:
    written = pd.read_csv(cohort.root / "truth.csv", dtype={"subject": str})
    pd.testing.assert_frame_equal(written, cohort.truth)
    planted = pd.read_csv(cohort.root / "planted.csv", keep_default_na=False)
    pd.testing.assert_frame_equal(planted, cohort.planted)
    assert "seed 5" in (cohort.root / "SIMULATED.txt").read_text(encoding="utf-8")


def test_subjects_folds_and_classes(cohort: Cohort) -> None:
    by_subject = cohort.truth.groupby("subject")
    assert len(by_subject) == SETTINGS.subjects
    assert (by_subject["fold"].nunique() == 1).all()
    assert (by_subject["label"].nunique() == 1).all()
    assert by_subject["label"].first().value_counts().to_dict() == {"leukaemic": 5, "normal": 3}
    assert by_subject.size().max() > 2 * by_subject.size().min()
    by_fold = cohort.truth.groupby(["fold", "label"]).size().unstack()
    assert by_fold.index.tolist() == [0, 1, 2]
    assert (by_fold > 0).all(axis=None)
    assert by_fold.sum(axis=1).max() < 2 * by_fold.sum(axis=1).min()


@pytest.mark.parametrize(("subjects", "normal"), [(4, 2), (6, 3), (24, 10), (50, 20)])
def test_share_of_the_classes(subjects: int, normal: int) -> None:
    files = plan_files(CohortSettings(subjects=subjects, cells=10 * subjects))
    names = {file.subject.name for file in files}
    assert len(files) == 10 * subjects
    assert sum(name.startswith("H") for name in names) == normal
    assert len(names) == subjects


def test_images_look_like_the_official_ones(cohort: Cohort) -> None:
    path = cohort.root / cohort.truth["image"][0]
    assert path.stat().st_size == 608_454
    rgb = read_image(path)
    cell = rgb.max(axis=-1) > 10
    assert rgb.shape == (450, 450, 3)
    assert (rgb[~cell] == 0).all()
    assert int(cell.sum()) == cohort.truth["area_px"][0]
    assert 10_000 < cell.sum() < 80_000
    red, green, blue = rgb[cell].mean(axis=0)
    assert green < red < blue < 120


def test_best_and_area_auc(tmp_path: Path) -> None:
    cohort = simulate_cohort(tmp_path / "out", CohortSettings(subjects=12, cells=240, seed=3))
    assert 0.91 < cohort.best_auc < 0.98
    assert 0.52 < cohort.area_auc < 0.74
    leukaemic = cohort.truth["label"] == "leukaemic"
    assert abs(cohort.truth["best_probability"].mean() - leukaemic.mean()) < 0.05
    means = cohort.truth.groupby("label")[list(LATENTS)].mean()
    difference = means.loc["leukaemic"] - means.loc["normal"]
    assert (np.sign(difference) == [-1, 1, 1, -1, 1]).all()
    assert difference["coarseness"] < -1


def test_latents_show_in_the_pixels() -> None:
    def draw(name: str, value: float) -> np.ndarray:
        latents = [value if latent == name else 0.0 for latent in LATENTS]
        image = prepare_cell(photograph_cell((1, 2), latents), Preparation((3,), with_pieces=False))
        return image.astype(float)

    def measure_grain(image: np.ndarray) -> float:
        inner = image[175:275, 175:275].mean(axis=-1)
        steps = np.diff(inner, axis=0).std() + np.diff(inner, axis=1).std()
        return float(steps / inner.std())

    def measure_solidity(image: np.ndarray) -> float:
        contours, _ = cv2.findContours(
            (image.max(axis=-1) > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        return float(cv2.contourArea(contours[0]) / cv2.contourArea(cv2.convexHull(contours[0])))

    assert measure_grain(draw("coarseness", -2)) > 1.5 * measure_grain(draw("coarseness", 2))
    assert (
        draw("nucleoli", 2)[150:300, 150:300].max() > draw("nucleoli", -2)[150:300, 150:300].max()
    )
    assert (draw("size", 2) > 0).sum() > 1.5 * (draw("size", -2) > 0).sum()
    pale = [np.count_nonzero(draw("cytoplasm", z)[..., 1] > 45) for z in (-2, 2)]
    assert pale[1] > 2 * pale[0]
    assert measure_solidity(draw("irregularity", 2)) < 0.96
    assert measure_solidity(draw("irregularity", -2)) > 0.98


def test_same_settings_same_bytes(cohort: Cohort, tmp_path: Path) -> None:
    simulate_cohort(tmp_path / "again", SETTINGS, workers=1)
    assert read_all(tmp_path / "again") == read_all(cohort.root)


def test_another_seed_is_another_cohort() -> None:
    one, two = (plan_files(CohortSettings(subjects=4, cells=60, seed=seed)) for seed in (6, 7))
    steps = [np.diff([file.latents for file in files[:3]], axis=0) for files in (one, two)]
    assert not np.isclose(*steps).any()
    assert not {file.drawing for file in one} & {file.drawing for file in two}


def test_shared_images_are_identical(cohort: Cohort) -> None:
    first = list_planted(cohort, "shared_image")
    second = find_truth(cohort, first["other"])
    assert len(first) == 3
    assert (first["subject"] != second["subject"]).all()
    assert (first["fold"] != second["fold"]).all()
    assert (first["label"] == second["label"]).all()
    for a, b in zip(first["image"], second["image"], strict=True):
        assert np.array_equal(read_image(cohort.root / a), read_image(cohort.root / b))


@pytest.mark.parametrize(("kind", "count"), [("reprocessed_cell", 4), ("repeated_cell", 3)])
def test_same_cell_twice_is_alike_and_not_identical(cohort: Cohort, kind: str, count: int) -> None:
    first = list_planted(cohort, kind)
    second = find_truth(cohort, first["other"])
    assert len(first) == count
    assert (first["label"] == second["label"]).all()
    if kind == "repeated_cell":
        assert (first["subject"] == second["subject"]).all()
        assert (first["smear"] != second["smear"]).all()
    else:
        assert (first["subject"] != second["subject"]).all()
        assert (first["fold"] != second["fold"]).all()
    for a, b in zip(first["image"], second["image"], strict=True):
        one, two = read_image(cohort.root / a), read_image(cohort.root / b)
        assert not np.array_equal(one, two)
        assert correlate_texture(one, two) > 0.7


def test_mislabelled_lies_in_the_other_folder(cohort: Cohort) -> None:
    planted = set(list_planted(cohort, "mislabelled")["image"])
    assert len(planted) == 2
    misplaced = {
        image
        for image in cohort.truth["image"]
        if NAME.fullmatch(image)[2] != NAME.fullmatch(image)[6]
    }
    assert misplaced == planted


def test_truncated_does_not_decode(cohort: Cohort) -> None:
    planted = set(list_planted(cohort, "truncated")["image"])
    assert len(planted) == 2
    short = {i for i in cohort.truth["image"] if (cohort.root / i).stat().st_size < 608_454}
    assert short == planted
    for image in planted:
        with pytest.raises(DataError, match="truncated"):
            read_image(cohort.root / image)


def test_demo_faults_fit_a_small_cohort() -> None:
    settings = CohortSettings(subjects=6, cells=60, faults=Faults.demo())
    files, planted = plant_faults(plan_files(settings), settings)
    assert planted["kind"].value_counts().to_dict() == {
        "reprocessed_cell": 12,
        "shared_image": 6,
        "repeated_cell": 6,
        "mislabelled": 3,
        "truncated": 2,
    }
    assert len({file.image for file in files}) == len(files) == 60 + 24
    assert planted["image"].is_unique


def test_only_one_pair_of_subjects_of_a_class_is_joined(cohort: Cohort) -> None:
    first = cohort.planted[cohort.planted["kind"].isin(["shared_image", "reprocessed_cell"])]
    subjects = [find_truth(cohort, first[c])["subject"] for c in ("image", "other")]
    pairs = {frozenset(pair) for pair in zip(*subjects, strict=True)}
    assert len(pairs) == 2
    assert len(frozenset.union(*pairs)) == 4


def test_shortcuts_show_in_folds_0_and_1_only(tmp_path: Path) -> None:
    sizes = {"subjects": 8, "cells": 48}
    shortcuts = Faults(size_shortcut=1.0, stain_shortcut=1.0)
    before = simulate_cohort(tmp_path / "before", CohortSettings(**sizes))
    after = simulate_cohort(tmp_path / "after", CohortSettings(**sizes, faults=shortcuts))
    assert after.area_auc > before.area_auc + 0.1
    assert after.best_auc == before.best_auc
    for row in before.truth.itertuples():
        one, two = (read_image(root / row.image) for root in (before.root, after.root))
        assert np.array_equal(one, two) == (row.fold == 2)
        if row.fold < 2:
            paler = two[two.max(axis=-1) > 0].mean() > one[one.max(axis=-1) > 0].mean()
            assert paler == (row.label == "leukaemic")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (CohortSettings(subjects=3, cells=90), "at least 4 subjects; received 3"),
        (CohortSettings(subjects=10, cells=29), "30 cells"),
        (CohortSettings(seed=-1), "seed"),
        (CohortSettings(faults=Faults(truncated=-1)), "truncated of 0 or more"),
        (CohortSettings(faults=Faults(size_shortcut=1.5)), "from 0 to 1"),
        (CohortSettings(subjects=4, cells=12, faults=Faults(truncated=13)), "fewer faults"),
    ],
)
def test_impossible_settings(settings: CohortSettings, message: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        simulate_cohort(tmp_path / "out", settings)
    assert not list(tmp_path.iterdir())


def test_folder_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine", encoding="utf-8")
    for out in (tmp_path, tmp_path / "note.txt"):
        with pytest.raises(DataError, match="empty or does not exist"):
            simulate_cohort(out, CohortSettings(subjects=4, cells=12))
    assert read_all(tmp_path) == {"note.txt": b"mine"}


def test_empty_folder_is_filled_and_progress_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    simulate_cohort(
        tmp_path, CohortSettings(subjects=4, cells=12), progress=lambda *p: told.append(p)
    )
    assert told == [(i, 12) for i in range(1, 13)]
    assert (tmp_path / "C-NMC_Leukemia").is_dir()


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate_cohort(tmp_path / "out", CohortSettings(subjects=4, cells=40), progress=stop)
    assert not list(tmp_path.iterdir())


def test_pairs_show_one_cell_and_others_do_not() -> None:
    first, second = simulate_pairs(8, seed=4, max_shift_px=6)
    assert first.shape == second.shape == (8, 450, 450, 3)
    assert first.dtype == second.dtype == np.uint8
    alike = np.array([[correlate_texture(a, b) for b in second] for a in first])
    assert np.diag(alike).min() > 0.7
    assert alike[~np.eye(8, dtype=bool)].max() < 0.7
    again = simulate_pairs(8, seed=4, max_shift_px=6)
    assert np.array_equal(first, again[0])
    assert np.array_equal(second, again[1])


def test_no_pairs_is_an_error() -> None:
    with pytest.raises(SettingsError, match="at least 1 pair"):
        simulate_pairs(0, seed=1)


def correlate_texture(first: np.ndarray, second: np.ndarray) -> float:
    """Best correlation of the inner texture over small shifts; 1 for the same cell."""
    texture = []
    for rgb in (first, second):
        grey = cv2.resize(rgb, (225, 225), interpolation=cv2.INTER_AREA).mean(axis=-1)
        texture.append((grey - cv2.GaussianBlur(grey, (0, 0), 8)).astype(np.float32))
    middle = texture[1][87:138, 87:138]
    return float(cv2.matchTemplate(texture[0], middle, cv2.TM_CCOEFF_NORMED)[67:108, 67:108].max())
