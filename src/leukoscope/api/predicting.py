"""Load a model, predict images, explain predictions."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.arguments import check_arguments, is_path, refuse_argument
from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.errors import DataError
from leukoscope.inference.model import Classifier
from leukoscope.inference.stream import Answer
from leukoscope.inputs import (
    Images,
    build_array,
    has_own_name,
    list_inputs,
    list_paths,
    split_images,
)
from leukoscope.notices import RESEARCH_ONLY, find_banner
from leukoscope.progress import show_progress
from leukoscope.records import ModelMetadata
from leukoscope.workflow.prediction import answer_sources, open_classifier

if TYPE_CHECKING:
    from leukoscope.results import TrainedRun
    from leukoscope.workflow.explanation import ExplanationResult

__all__ = ["Model", "explain", "list_images", "load_model", "predict"]

StrPath = str | PathLike[str]


class Model:
    """A network ready to predict, with ONNX Runtime alone; `load_model` returns one."""

    def __init__(self, classifier: Classifier, name: str) -> None:
        self._classifier = classifier
        self.name = name

    @property
    def metadata(self) -> ModelMetadata:
        """The model file's metadata: data set, thresholds, expected performance.

        >>> import leukoscope as lk
        >>> lk.load_model().metadata.dataset.name
        'C-NMC 2019'
        """
        return self._classifier.metadata

    @property
    def key(self) -> str:
        """Recipe and digest of the model file, as in the column model of `predict`.

        >>> import leukoscope as lk
        >>> lk.load_model().key.split("-")[0]
        'texture'
        """
        return self._classifier.name

    @check_arguments
    def predict(
        self,
        images: Images,
        *,
        operating_point: str = "balanced",
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Predict each image; one that cannot be read is a row too, with the call "error".

        Args:
            images: as `leukoscope.api` describes.
            operating_point: threshold of the call: "balanced", where sensitivity + specificity is
                largest, or "sensitive", meant to find 95% of the leukaemic cells.
            progress: show a counter on standard error; by default in terminals and notebooks.

        Returns:
            One row a cell: image, cell ("" where the image is the cell), probability (of
            leukaemic, 0 to 1; NaN without a prediction), call, conformal_call ("uncertain" where
            neither class is ruled out), warnings, threshold (of the call), subject ("" where
            the image's path does not give it as in the model's data set), and model (`key`).

        Raises:
            LeukoscopeError: no such path, no image, or an array of another kind.

        >>> import leukoscope as lk
        >>> model = lk.load_model()
        >>> table = model.predict(lk.list_images("cells/")[:4])
        >>> table[["image", "probability", "call"]].shape
        (4, 3)
        """
        sources = list_inputs(images)
        with show_progress("Images", progress) as update:
            answers = answer_sources(sources, self._classifier, operating_point, update)
            rows = [answer.to_dict() for answer in answers]
        columns = [field.name for field in dataclasses.fields(Answer)]
        table = pd.DataFrame(rows, columns=columns).astype({"probability": "float64"})
        nameless = [source.name for source in sources if not has_own_name(source)]
        table.loc[table["image"].isin(nameless), "subject"] = ""
        return table

    def predict_batch(
        self, crops: UInt8Array
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Predict crops that were cut already, without any image-quality check.

        Args:
            crops: uint8 (n, 225, 225, 3), RGB, as `Dataset.crops`; cut as the model's own data set
                says (`metadata.dataset.crop`), for a cell's size counts.

        Returns:
            Probability of leukaemic, float64 (n,), 0 to 1; novelty, float64 (n,): the distance
            from the training cells, in units of the novelty limit.

        Raises:
            DataError: an array of another kind.

        >>> import leukoscope as lk
        >>> crops = lk.read_dataset("cells/").crops[:2]
        >>> probability, novelty = lk.load_model().predict_batch(crops)
        >>> probability.shape
        (2,)
        """
        crops = build_array(crops, "crops")
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_PX, CROP_PX, 3):
            raise DataError(
                f"An array {crops.dtype} {crops.shape}. Expected crops, uint8 "
                f"(n, {CROP_PX}, {CROP_PX}, 3); for whole images use predict()."
            )
        answers = self._classifier.predict_batch(crops)
        return answers[:, 0], answers[:, 1]

    @check_arguments
    def explain(
        self,
        images: Images,
        out: StrPath | None = None,
        *,
        operating_point: str = "balanced",
        progress: bool | None = None,
    ) -> ExplanationResult:
        """Explain predictions of this model: arguments, result and errors as `leukoscope.explain`.

        >>> import leukoscope as lk
        >>> found = lk.load_model().explain(lk.list_images("cells/")[0])
        >>> len(found.table), found.page is None
        (1, True)
        """
        from leukoscope.workflow.explanation import explain_sources, write_explanations

        given = split_images(images)
        with show_progress("Cells", progress) as update:
            found = explain_sources(
                list_inputs(given),
                self._classifier,
                operating_point=operating_point,
                banner=_find_banner(list_paths(given)),
                model=self.name,
                progress=update,
            )
        return found if out is None else write_explanations(found, Path(out))

    def __repr__(self) -> str:
        return "\n".join(self._describe())

    def _repr_html_(self) -> str:
        return "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self._describe())

    def _describe(self) -> list[str]:
        known = self.metadata
        expected = known.expected.words if known.expected else "It was not tested on new people."
        return [
            f"Model {self.name}: recipe {known.recipe}, trained on {known.dataset.name}.",
            expected,
            RESEARCH_ONLY,
        ]


@check_arguments
def load_model(path: StrPath | TrainedRun | None = None) -> Model:
    """Load a model.

    Args:
        path: a run, its folder, or a Leukoscope ONNX file; by default the shipped model.

    Raises:
        LeukoscopeError: no such model, or not a Leukoscope model.

    >>> import leukoscope as lk
    >>> model = lk.load_model()
    >>> print(model)  # doctest: +ELLIPSIS
    Model default: recipe texture, trained on C-NMC 2019.
    Expected on new people of the same laboratory: ROC-AUC ...
    Research use only; not a medical device.
    """
    if path is None:
        return Model(open_classifier(), "default")
    return Model(open_classifier(Path(path)), str(Path(path)))


@check_arguments
def predict(
    images: Images,
    model: Model | StrPath | TrainedRun | None = None,
    *,
    operating_point: str = "balanced",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Predict each image.

    Args:
        images: as `leukoscope.api` describes.
        model: a model, or what `load_model` takes; by default the shipped model.
        operating_point: as in `Model.predict`.
        progress: show a counter on standard error; by default in terminals and notebooks.

    Returns:
        As `Model.predict`.

    Raises:
        LeukoscopeError: no such path, no image, or a model that cannot be used.

    >>> import leukoscope as lk
    >>> import numpy as np
    >>> lk.predict(lk.list_images("cells/")[:2])[["image", "call"]].shape
    (2, 2)
    >>> black = np.zeros((450, 450, 3), np.uint8)
    >>> lk.predict(black)["call"][0]
    'error'
    """
    return get_model(model).predict(images, operating_point=operating_point, progress=progress)


@check_arguments
def explain(
    images: Images,
    model: Model | StrPath | TrainedRun | None = None,
    *,
    out: StrPath | None = None,
    operating_point: str = "balanced",
    progress: bool | None = None,
) -> ExplanationResult:
    """Explain predictions: a checked occlusion map of each, and measures beside the training cells.

    Takes a second or two a cell.

    Args:
        images: as `leukoscope.api` describes.
        model: as in `predict`.
        out: folder for a PNG a cell, explanations.csv and explanations.html; by default nothing is
            written.
        operating_point: as in `Model.predict`.
        progress: show a counter on standard error; by default in terminals and notebooks.

    Returns:
        Its `explanations` have map, check and measures; its `table` has a row for each. A notebook
        shows the pictures.

    Raises:
        LeukoscopeError: nothing to explain, more than 500 images, or a model that cannot be used.

    >>> import leukoscope as lk
    >>> found = lk.explain(lk.list_images("cells/")[0], out="why")
    >>> found.page.name, len(found.table)
    ('explanations.html', 1)
    """
    return get_model(model).explain(images, out, operating_point=operating_point, progress=progress)


@check_arguments
def list_images(images: Images) -> list[str]:
    """List the paths of all images in folders.

    Raises:
        DataError: no such path, no image, a zip, or pixels in place of a path.

    >>> import leukoscope as lk
    >>> len(lk.list_images("cells/"))
    60
    """
    found = []
    for path in (paths := list_paths(images)):
        if path.suffix.lower() == ".zip":
            raise DataError(f"{path}: images in a zip have no paths. Give the zip to predict().")
        sources = list_inputs(path)
        found += [str(path / source.name if path.is_dir() else path) for source in sources]
    if not paths:
        raise DataError("Expected paths of folders or images; received pixels.")
    return found


def get_model(model: Model | StrPath | TrainedRun | None) -> Model:
    """A model as it is, or loaded. Raises `LeukoscopeError` for what is no model."""
    if isinstance(model, Model):
        return model
    if model is not None and not is_path(model):
        raise refuse_argument("model", model, "a Model, a run, its folder, or an ONNX file")
    return load_model(model)


def _find_banner(paths: Iterable[Path]) -> str | None:
    return next(filter(None, map(find_banner, paths)), None)
