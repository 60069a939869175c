"""The word `kaggle` → a folder: the public C-NMC 2019 set, fetched into kagglehub's cache."""

from __future__ import annotations

from pathlib import Path

from leukoscope.errors import DataError, MissingExtraError

__all__ = ["KAGGLE_DATASET", "fetch_data"]

KAGGLE_DATASET = "andrewmvd/leukemia-classification"


def fetch_data() -> Path:
    """The folder that Kaggle's data set is in, fetched before if need be.

    Raises:
        DataError: Kaggle cannot be reached.
        MissingExtraError: kagglehub is not installed.
    """
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
