"""The real cells of C-NMC 2019, where they are: skipped aloud where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from conftest import SHARED
from leukoscope.catalogue import Catalogue, read_catalogue
from leukoscope.catalogue.audit import compute_audit
from leukoscope.cells.quality import find_warnings
from leukoscope.datasets.cnmc import CNMC
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.splits import make_split
from test_quality import blur_cell

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def real(real_data: Path) -> Catalogue:
    return read_catalogue(real_data)


def test_subjects_in_lower_case_are_counted(real: Catalogue) -> None:
    assert (real.table["subject"] == "h3").sum() == 36
    assert (real.table["problem"] == "").all()


def test_linked_cells_agree_in_class_and_never_share_a_smear(real: Catalogue) -> None:
    audit = compute_audit(real)
    pairs = len(audit.duplicates) + len(audit.same_cells)
    assert pairs > 60 and audit.chance_crossings > 20
    assert audit.class_crossings == 0
    smears = real.table["subject"] + "_" + real.table["smear"]
    links = real.same_cells
    assert (smears[links["first"]].to_numpy() != smears[links["second"]].to_numpy()).all()


def test_people_of_several_names_come_out_by_themselves(real: Catalogue) -> None:
    groups = dict(zip(real.table["subject"], real.table["group"], strict=True))
    assert groups["20"] == groups["21"]
    assert groups["H2"] == groups["H5"]
    assert groups["H20"] == "H20" and len(set(groups.values())) > 30


def test_fold_cv_leaves_no_person_on_both_sides(real: Catalogue) -> None:
    table = real.table
    for fold in make_split(table, "fold-cv").folds:
        assert not set(table.loc[fold.training, "group"]) & set(table.loc[fold.evaluated, "group"])
        assert len(fold.removed) > 0


def test_originals_of_two_parts_share_a_cell_whatever_their_headers() -> None:
    archive = SHARED / "originals.zip"
    if not archive.exists():
        pytest.skip("originals.zip is not here")
    found = read_catalogue(archive)
    images = found.table["image"].str.rsplit("/").str[-1]
    pairs = {
        frozenset((images[a], images[b]))
        for a, b in zip(found.duplicates["first"], found.duplicates["second"], strict=True)
    }
    assert frozenset(("59.bmp", "UID_51_59_2_all.bmp")) in pairs
    row = found.table[images == "59.bmp"].iloc[0]
    assert (row["fold"], row["subject"], row["problem"]) == ("preliminary", "55", "")
    assert {"51", "55"} <= set(row["group"].split("+"))


def test_hardly_any_real_cell_has_a_warning(real: Catalogue) -> None:
    frame = np.zeros((450, 450, 3), np.uint8)
    rows = range(0, len(real.table), 4)
    warned = [
        any(True for _ in find_warnings(frame, np.asarray(real.crops[row]), CNMC)) for row in rows
    ]
    assert np.mean(warned) < 0.01


def test_the_shipped_model_knows_the_cells_that_it_learned_from(real: Catalogue) -> None:
    """No proof of anything but that file, decoder and labels fit together."""
    rows = np.linspace(0, len(real.table) - 1, 96).astype(int)
    answers = Classifier(find_shipped_model()).predict_batch(np.asarray(real.crops[rows]))
    leukaemic = real.table["label"].iloc[rows] == "leukaemic"
    assert roc_auc_score(leukaemic, answers[:, 0]) > 0.9
    assert (answers[:, 1] > 1).mean() < 0.15


@pytest.mark.parametrize(("sigma_px", "low", "high"), [(0, 0, 0.005), (1, 0.6, 1), (2, 0.98, 1)])
def test_blurred_real_cells_are_out_of_focus(
    real: Catalogue, sigma_px: int, low: float, high: float
) -> None:
    """By limits measured from all cells, a few of which are soft themselves."""
    frame, step = np.zeros((450, 450, 3), np.uint8), 1 + len(real.table) // 400
    told = []
    for row in range(0, len(real.table), step):
        crop = np.asarray(real.crops[row])
        crop = blur_cell(crop, sigma_px) if sigma_px else crop
        told.append(any("out of focus" in w for w in find_warnings(frame, crop, real.spec)))
    assert low <= np.mean(told) <= high
