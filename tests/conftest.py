"""Fixtures: a simulated cohort with known faults, and the real cells where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from leukoscope.catalogue import Catalogue, read_catalogue
from leukoscope.simulate import Cohort, CohortSettings, Faults, simulate_cohort

SHARED = Path(__file__).parents[2] / "shared" / "cells"

FAULTS = Faults(shared_images=3, reprocessed_cells=8, repeated_cells=4, mislabelled=2, truncated=1)


_LONGEST = ("test_train.py", "test_page_layout.py", "test_page.py", "test_cli.py", "test_api.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that two processes end at about the same time."""
    items.sort(key=lambda item: [item.path.name != name for name in _LONGEST])


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' cell stores out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("LEUKOSCOPE_CACHE")
    os.environ["LEUKOSCOPE_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["LEUKOSCOPE_CACHE"]
    else:
        os.environ["LEUKOSCOPE_CACHE"] = before


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """180 simulated cells of 14 subjects, with faults."""
    out = tmp_path_factory.mktemp("simulated") / "cells"
    return simulate_cohort(out, CohortSettings(subjects=14, cells=180, seed=3, faults=FAULTS))


@pytest.fixture(scope="session")
def catalogue(cohort: Cohort) -> Catalogue:
    """The cohort, read and linked."""
    return read_catalogue(cohort.root)


@pytest.fixture(scope="session")
def real_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real cells: LEUKOSCOPE_DATA, or unpacked from ../shared; skips without them."""
    if named := os.environ.get("LEUKOSCOPE_DATA"):
        return Path(named)
    if not (SHARED / "fold_2.tar").exists():
        pytest.skip("the real cells are not here (set LEUKOSCOPE_DATA to use yours)")
    return _unpack_real(tmp_path_factory.mktemp("real"))


def _unpack_real(out: Path) -> Path:
    import io
    import tarfile

    from PIL import Image

    for part in ("fold_0", "fold_2"):
        with tarfile.open(SHARED / f"{part}.tar") as tar:
            for place, member in enumerate(tar):
                if part == "fold_0" and place % 3:
                    continue
                stream = tar.extractfile(member)
                assert stream is not None
                target = (out / member.name).with_suffix(".png")
                target.parent.mkdir(parents=True, exist_ok=True)
                half = Image.open(io.BytesIO(stream.read())).convert("RGB")
                full = half.resize((450, 450), Image.Resampling.NEAREST)
                full.save(target, compress_level=1)
    return out
