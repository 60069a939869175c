"""Leukoscope in Python: one function for each step, in one module.

    import leukoscope as lk

    lk.predict("cells/")                    # a table: image, probability, call, warnings
    ds = lk.read_dataset("C-NMC_Leukemia/")
    lk.audit(ds)                            # faults, people under several names
    run = lk.train(ds, epochs=3)            # one network per fold, split by person
    lk.evaluate(run)                        # scores with intervals over people

Paths are strings or `Path`s. Images are paths of files, folders and zips, uint8 arrays
(h, w, 3) or (n, h, w, 3) in RGB, Pillow images, or a list of these. Every error raised on
purpose is a `LeukoscopeError`. Research use only; not a medical device.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.datasets.spec import DatasetSpec
from leukoscope.errors import DataError
from leukoscope.inference.model import Classifier
from leukoscope.inference.stream import Answer
from leukoscope.inputs import Images, list_inputs, list_paths, split_images
from leukoscope.notices import RESEARCH_ONLY, find_banner
from leukoscope.progress import show_line, show_progress
from leukoscope.records import ModelMetadata
from leukoscope.results import (
    AuditResult,
    Dataset,
    EvaluationResult,
    SubjectResult,
    TrainedRun,
)
from leukoscope.splits import Split
from leukoscope.workflow.prediction import answer_sources, choose_threshold, open_classifier

if TYPE_CHECKING:
    from leukoscope.settings import Recipe
    from leukoscope.training.loop import EpochReport
    from leukoscope.workflow.explanation import ExplanationResult
    from leukoscope.workflow.exporting import ExportResult

__all__ = [
    "Model",
    "aggregate",
    "audit",
    "evaluate",
    "explain",
    "export",
    "list_images",
    "load_model",
    "make_split",
    "predict",
    "read_dataset",
    "train",
]

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

    def predict(
        self,
        images: Images,
        *,
        operating_point: str = "balanced",
        progress: bool | None = None,
    ) -> pd.DataFrame:
        """Predict each image; one that cannot be read is a row too, with the call "error".

        Args:
            images: as at the top of this module.
            operating_point: threshold of the call: "balanced", where sensitivity + specificity is
                largest, or "sensitive", meant to find 95% of the leukaemic cells.
            progress: show a counter on standard error; by default in terminals and notebooks.

        Returns:
            One row a cell: image, cell ("" where the image is the cell), probability (of
            leukaemic, 0 to 1; NaN without a prediction), call, conformal_call ("uncertain" where
            neither class is ruled out), warnings, and threshold (of the call).

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
        return table.assign(threshold=choose_threshold(self._classifier, operating_point))

    def predict_batch(
        self, crops: UInt8Array
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Predict crops that were cut already, without any image-quality check.

        Args:
            crops: uint8 (n, 225, 225, 3), RGB, as `Dataset.crops`.

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
        crops = np.asarray(crops)
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (CROP_PX, CROP_PX, 3):
            raise DataError(
                f"An array {crops.dtype} {crops.shape}. Expected crops, uint8 "
                f"(n, {CROP_PX}, {CROP_PX}, 3); for whole images use predict()."
            )
        answers = self._classifier.predict_batch(crops)
        return answers[:, 0], answers[:, 1]

    def explain(
        self,
        images: Images,
        out: StrPath | None = None,
        *,
        measures: StrPath | None = None,
        operating_point: str = "balanced",
        progress: bool | None = None,
    ) -> ExplanationResult:
        """As `leukoscope.explain`, with this model."""
        from leukoscope.workflow.explanation import explain_sources, write_explanations

        given = split_images(images)
        with show_progress("Cells", progress) as update:
            found = explain_sources(
                list_inputs(given),
                self._classifier,
                measures=None if measures is None else Path(measures),
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


def predict(
    images: Images,
    model: Model | StrPath | TrainedRun | None = None,
    *,
    operating_point: str = "balanced",
    progress: bool | None = None,
) -> pd.DataFrame:
    """Predict each image.

    Args:
        images: as at the top of this module.
        model: a model, or what `load_model` takes; by default the shipped model.
        operating_point: as in `Model.predict`.
        progress: show a counter on standard error; by default in terminals and notebooks.

    Returns:
        As `Model.predict`.

    Raises:
        LeukoscopeError: no such path, no image, or a model that cannot be used.

    >>> import leukoscope as lk
    >>> import numpy as np
    >>> list(lk.predict(lk.list_images("cells/")[:2]).columns)
    ['image', 'cell', 'probability', 'call', 'conformal_call', 'warnings', 'threshold']
    >>> black = np.zeros((450, 450, 3), np.uint8)
    >>> lk.predict(black)["call"][0]
    'error'
    """
    return _get_model(model).predict(images, operating_point=operating_point, progress=progress)


def explain(
    images: Images,
    model: Model | StrPath | TrainedRun | None = None,
    *,
    out: StrPath | None = None,
    measures: StrPath | None = None,
    operating_point: str = "balanced",
    progress: bool | None = None,
) -> ExplanationResult:
    """Explain predictions: a checked occlusion map of each, and measures beside the training cells.

    Takes a second or two a cell.

    Args:
        images: as at the top of this module.
        model: as in `predict`.
        out: folder for a PNG a cell, explanations.csv and explanations.html; by default nothing is
            written.
        measures: a JSON file of `leukoscope data measures`; by default the shipped one.
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
    return _get_model(model).explain(
        images, out, measures=measures, operating_point=operating_point, progress=progress
    )


def read_dataset(
    path: StrPath,
    *,
    reader: str = "auto",
    labels_csv: StrPath | None = None,
    subject_from: str = "",
    classes: Mapping[str, str] | None = None,
    frame_px: int | None = None,
    groups_csv: StrPath | None = None,
    turns: int = 1,
    progress: bool | None = None,
) -> Dataset:
    """Read a data set, and find which subjects are the same person.

    Args:
        path: a folder, a zip, a CSV with image, label and subject, or "kaggle".
        reader: "cnmc", "folders", "table_csv" or your own as "package.module:name"; by default
            the first that recognises the data.
        labels_csv: CSV with the columns image, label and, where known, subject.
        subject_from: where subjects are in the images' paths: "folder:1" (the first folder;
            -1 is the one that holds the image) or a regular expression with one group.
        classes: words of the data for the two classes, such as {"Early": "leukaemic"}.
        frame_px: side of the central square of an image that holds a cell; by default measured.
        groups_csv: CSV with the columns subject and group: which subjects are the same person; it
            overrides the links between cells.
        turns: rotations at which cells are compared, 1 to 360.
        progress: show a counter on standard error; by default in terminals and notebooks.

    Raises:
        LeukoscopeError: no such data or reader, or it cannot be read.

    >>> import leukoscope as lk
    >>> ds = lk.read_dataset("cells/")
    >>> len(ds), int(ds.counts["subjects"].sum()), ds.crops.shape
    (60, 12, (60, 225, 225, 3))
    """
    from leukoscope.catalogue import read_catalogue
    from leukoscope.datasets.reader import ReadOptions, check_classes

    options: dict[str, Any] = {
        "options": ReadOptions(
            reader=reader,
            labels_csv=None if labels_csv is None else Path(labels_csv),
            subject_from=subject_from,
            classes=check_classes(classes or {}),
            frame_px=frame_px,
        ),
        "groups_csv": None if groups_csv is None else Path(groups_csv),
        "turns": turns,
    }
    with (
        show_progress("Reading images", progress) as on_decode,
        show_progress("Comparing cells", progress) as on_link,
    ):
        catalogue = read_catalogue(_get_path(path), **options, on_decode=on_decode, on_link=on_link)
    return Dataset(catalogue, options)


def audit(dataset: Dataset | StrPath) -> AuditResult:
    """Find faults, duplicates, people under several names, and how well cell size alone predicts.

    Args:
        dataset: of `read_dataset`, or its path.

    Raises:
        DataError: as `read_dataset`.

    >>> import leukoscope as lk
    >>> found = lk.audit("cells/")
    >>> found.sentences[0]  # doctest: +ELLIPSIS
    '60 labelled cells under 12 subject names, of which 12 are different people as far as...'
    >>> found.write(html="audit.html", json="audit.json")
    """
    from leukoscope.catalogue.audit import compute_audit

    dataset = _get_dataset(dataset)
    return AuditResult(compute_audit(dataset.catalogue), dataset)


def make_split(
    dataset: Dataset | StrPath, split: str = "group-kfold", *, folds: int = 5, seed: int = 0
) -> Split:
    """Make the split that `train` makes with the same arguments, to inspect before training.

    Args:
        dataset: of `read_dataset`, or its path.
        split: group-kfold, fold-cv, official or leave-one-group-out:COLUMN, none of which trains on
            a person whom it evaluates; random and subject-name-kfold leak, for comparison only.
        folds: number of folds, for splits that take one.
        seed: of the shuffling.

    Returns:
        Its `folds` have the rows of `dataset.table` that are trained on and evaluated.

    Raises:
        LeukoscopeError: no usable cell, an unknown split, or too few people for it.

    >>> import leukoscope as lk
    >>> split = lk.make_split("cells/", folds=2)
    >>> [len(fold.evaluated) for fold in split.folds], split.leaky
    ([27, 33], False)
    """
    from leukoscope.catalogue import select_usable
    from leukoscope.splits import make_split as split_table

    catalogue = _get_dataset(dataset).catalogue
    table = select_usable(catalogue)
    return split_table(table, split, folds=folds, seed=seed, spec=catalogue.spec)


def train(
    dataset: Dataset | StrPath,
    out: StrPath | None = None,
    *,
    recipe: str | PathLike[str] | Recipe = "texture",
    split: str = "group-kfold",
    folds: int = 5,
    seed: int = 0,
    final: bool = True,
    resume: bool = False,
    device: str = "auto",
    callbacks: Iterable[Callable[[EpochReport], object]] = (),
    tensorboard: StrPath | bool = False,
    progress: bool | None = None,
    **settings: Any,
) -> TrainedRun:
    """Train a network for each fold, predict its held-out people, then train one on all cells.

    Args:
        dataset: of `read_dataset`, or its path.
        out: folder of the run; by default a new one in `runs/`.
        recipe: "texture", "compact", "lite0", a TOML file, or a `Recipe`.
        split: as in `make_split`.
        folds: number of folds, for splits that take one.
        seed: of split, weights, order and augmentation.
        final: also train the final network, on all cells.
        resume: continue the run in `out`.
        device: "auto", "cpu" or "gpu".
        callbacks: called with an `EpochReport` after each epoch: fold, epoch, epochs, loss,
            stop_auc (validation AUC) and more.
        tensorboard: folder to log each epoch in for TensorBoard, one folder a network in it; True
            for `tensorboard` in the run.
        progress: show progress on standard error; by default in terminals and notebooks.
        settings: changes to the recipe, such as epochs=3, learning_rate=1e-3 or blur=0.

    Raises:
        LeukoscopeError: anything wrong with data, recipe, split or folder; the folder is checked
            first.

    >>> import leukoscope as lk
    >>> run = lk.train("cells/", "run", recipe="demo", folds=2, final=False,
    ...                epochs=1, callbacks=[lambda report: print(report.fold, report.epoch)])
    kfold_1 1
    kfold_2 1
    >>> len(run.predictions)
    60
    """
    from leukoscope.io.runs import Run, check_folder
    from leukoscope.settings import Recipe, change_recipe, read_recipe
    from leukoscope.workflow.device import set_device
    from leukoscope.workflow.folders import name_folder

    chosen = recipe if isinstance(recipe, Recipe) else read_recipe(str(recipe))
    chosen = change_recipe(chosen, settings)
    folder = name_folder("runs", f"{chosen.name}-{split}") if out is None else Path(out)
    check_folder(folder, resume=resume)
    set_device(device)
    from leukoscope.workflow.training import TrainingRequest, train_run

    if tensorboard:
        from leukoscope.training.tensorboard import log_to_tensorboard

        target = folder / "tensorboard" if tensorboard is True else Path(tensorboard)
        callbacks = [*callbacks, log_to_tensorboard(target)]
    data = _get_dataset(dataset, progress)
    request = TrainingRequest(
        data.path,
        folder,
        chosen,
        split,
        folds=folds,
        seed=seed,
        final=final,
        resume=resume,
        **data.options,
    )
    with show_line(progress) as show:
        watch = _Watch(callbacks, show)
        run = train_run(request, on_network=watch.start_network, on_step=watch.show_step)
    return TrainedRun(Run(run.folder.resolve()))


def export(
    run: StrPath | TrainedRun, format: str = "onnx", out: StrPath | None = None
) -> ExportResult:
    """Write the network of a finished run in another format, if it agrees with Keras.

    Args:
        run: a run, or its folder; its final network, or without one its first fold's.
        format: "onnx", or your own export format as "package.module:name".
        out: the file to write; by default `exports/model` in the run, with the format's suffix.

    Returns:
        Its `path`, the `network`, the largest `difference` of a probability, and `sentences` on
        which cells it was compared.

    Raises:
        LeukoscopeError: no such format or run, or a network that differs from Keras; then nothing
            is written.

    >>> import leukoscope as lk
    >>> exported = lk.export("run", "onnx")
    >>> exported.path.name, exported.network, exported.difference < 1e-4
    ('model.onnx', 'kfold_1', True)
    """
    from leukoscope.workflow.exporting import export_run

    return export_run(Path(run), format, None if out is None else Path(out))


def evaluate(
    predictions: pd.DataFrame | StrPath | TrainedRun,
    *,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
    scores: str | Sequence[str] = (),
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> EvaluationResult:
    """Score predictions by cell and by subject, with intervals over people.

    Args:
        predictions: a table with image, subject, label and probability (subject is optional
            where images have C-NMC names), the path of a CSV, or a run.
        columns: column names of the table: our name → its name.
        threshold: probability from which a cell is called leukaemic, not chosen on these cells;
            by default the table's own, else 0.5.
        scores: of your own, import path "package.module:name" of a `ScoreKind`, or several.
        n_bootstrap: bootstrap resamples, of people.
        seed: of the resamples.

    Raises:
        LeukoscopeError: no such table, a column that is missing, or a value out of range.

    >>> import leukoscope as lk
    >>> table = lk.predict("cells/")
    >>> table["label"] = table["image"].str.extract("_(all|hem)[.]", expand=False)
    >>> result = lk.evaluate(table, n_bootstrap=200)
    >>> list(result.scores["by_cell"].columns)
    ['value', 'low', 'high']
    >>> result.plot_roc().save("roc.svg").name
    'roc.svg'
    """
    from leukoscope.evaluation import compute_evaluation
    from leukoscope.predictions import (
        normalise_predictions,
        read_predictions,
        rename_columns,
        set_threshold,
    )

    if isinstance(predictions, pd.DataFrame):
        title = "Predictions"
        table = normalise_predictions(rename_columns(predictions, columns))
    else:
        title = Path(predictions).resolve().name
        table = read_predictions(_find_table(predictions), columns)
    table = set_threshold(table, threshold)
    evaluation = compute_evaluation(table, n_bootstrap=n_bootstrap, seed=seed, scores=scores)
    return EvaluationResult(evaluation, table, title)


def aggregate(
    predictions: pd.DataFrame | StrPath | TrainedRun,
    *,
    model: Model | StrPath | TrainedRun | None = None,
    calibrate: pd.DataFrame | StrPath | TrainedRun | None = None,
    columns: Mapping[str, str] | None = None,
    threshold: float | None = None,
    n_bootstrap: int = 2000,
    seed: int = 0,
) -> SubjectResult:
    """Aggregate by subject: share of leukaemic cells, calibrated probability, call.

    Args:
        predictions: as in `evaluate`, with or without labels.
        model: the model that predicted; its subject-level calibration serves tables without labels.
        calibrate: labelled predictions of people the network was not trained on, to calibrate on.
        columns: column names of the table: our name → its name.
        threshold: probability from which a cell counts as called leukaemic.
        n_bootstrap: bootstrap resamples, of people.
        seed: of the resamples.

    Raises:
        LeukoscopeError: no such table, or one without probabilities or subjects.

    >>> import leukoscope as lk
    >>> subjects = lk.aggregate(lk.predict(lk.list_images("cells/")[:12]))
    >>> list(subjects.table.columns[:3])
    ['subject', 'group', 'label']
    """
    from leukoscope.evaluation.aggregate import summarise_subjects

    spec = None if model is None else _get_model(model).metadata.dataset
    table = _read_answers(predictions, threshold, columns, spec)
    reference = None if calibrate is None else _read_answers(calibrate, None, None, spec)
    if reference is not None and "label" not in reference:
        raise DataError("calibrate: no column label. Expected a labelled table to calibrate on.")
    line = None
    if reference is None and "label" not in table:
        known = _get_model(model).metadata.subjects
        line = known.line if known else None
    summary = summarise_subjects(table, reference, line=line, n_bootstrap=n_bootstrap, seed=seed)
    return SubjectResult(summary)


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


class _Watch:
    """Reports training progress to callbacks and on standard error."""

    def __init__(
        self,
        callbacks: Iterable[Callable[[EpochReport], object]],
        show: Callable[[str, bool], None],
    ) -> None:
        self._callbacks, self._show, self._fold, self._place = tuple(callbacks), show, "", ""

    def start_network(self, name: str, number: int, count: int) -> None:
        self._fold, self._place = name, f"{name} ({number} of {count})"

    def show_step(self, report: EpochReport) -> None:
        auc = "" if report.stop_auc is None else f", validation AUC {report.stop_auc:.3f}"
        words = f"epoch {report.epoch} of {report.epochs}, loss {report.loss:.3f}{auc}"
        self._show(f"{self._place}: {words}", report.finished)
        if report.finished:
            for callback in self._callbacks:
                callback(dataclasses.replace(report, fold=self._fold))


def _get_model(model: Model | StrPath | TrainedRun | None) -> Model:
    return model if isinstance(model, Model) else load_model(model)


def _get_dataset(dataset: Dataset | StrPath, progress: bool | None = None) -> Dataset:
    return dataset if isinstance(dataset, Dataset) else read_dataset(dataset, progress=progress)


def _get_path(path: StrPath) -> str | Path:
    return path if isinstance(path, str) else Path(path)  # "kaggle" is a word


def _find_table(predictions: StrPath | TrainedRun) -> Path:
    from leukoscope.io.runs import find_predictions

    return find_predictions(Path(predictions))


def _read_answers(
    predictions: pd.DataFrame | StrPath | TrainedRun,
    threshold: float | None,
    columns: Mapping[str, str] | None,
    spec: DatasetSpec | None,
) -> pd.DataFrame:
    from leukoscope.predictions import normalise_answers, read_answers, rename_columns

    if isinstance(predictions, pd.DataFrame):
        return normalise_answers(rename_columns(predictions, columns), threshold, spec)
    return read_answers(_find_table(predictions), threshold, columns, spec)


def _find_banner(paths: Iterable[Path]) -> str | None:
    return next(filter(None, map(find_banner, paths)), None)
