"""The word `kaggle` → a folder: the public C-NMC 2019 set, fetched into kagglehub's cache."""

from __future__ import annotations

from pathlib import Path

from leukoscope.errors import DataError, MissingExtraError

__all__ = ["KAGGLE_DATASET", "find_data"]

KAGGLE_DATASET = "andrewmvd/leukemia-classification"


def find_data(data: str | Path) -> Path:
    """A path as it is; "kaggle" as the folder that it was fetched into.

    Raises:
        DataError: no such path, or Kaggle cannot be reached.
        MissingExtraError: kagglehub is not installed.
    """
    if str(data) == "kaggle" and not Path("kaggle").exists():
        return _fetch()
    root = Path(data)
    if not root.exists():
        raise DataError(f"{data}: no such file or folder. Check the path.")
    return root


def _fetch() -> Path:
    try:
        import kagglehub
    except ImportError as error:
        raise MissingExtraError("kagglehub", "kaggle") from error
    try:
        return Path(kagglehub.dataset_download(KAGGLE_DATASET))
    except Exception as error:  # kagglehub passes on whatever its HTTP client raises
        raise DataError(
            f"Kaggle could not be reached ({type(error).__name__}). Download the data set by hand "
            f"from https://www.kaggle.com/datasets/{KAGGLE_DATASET} on a machine with network, "
            "then give the path of the zip (no need to unpack it)."
        ) from error
