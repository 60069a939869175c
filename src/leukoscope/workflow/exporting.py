"""A finished run → its network in another format."""

from __future__ import annotations

import html
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import cut_crop
from leukoscope.errors import DataError, MissingExtraError, RunError
from leukoscope.exporters import MAX_DIFFERENCE, Exporter, compute_share, find_exporter
from leukoscope.inference.model import Classifier
from leukoscope.io.images import read_image
from leukoscope.io.locks import lock_folder
from leukoscope.io.runs import FINAL, Network, Run, open_run, report_damage
from leukoscope.io.sources import list_sources
from leukoscope.records import RunRecord
from leukoscope.simulate import CohortSettings, draw_cells
from leukoscope.training.network import COMPARED, answer_exactly, export_network, spread

__all__ = ["ExportResult", "export_run"]

_ONE_NETWORK = 10 * MAX_DIFFERENCE  # up to which two files hold one network, whatever rounds it
_ONE_NOVELTY = 0.02  # the same, as a share
_COPY = "Put it back from a copy, or train again."


@dataclass(frozen=True)
class ExportResult:
    """One exported file.

    Attributes:
        path: of the file.
        network: "final", or the fold whose network it is.
        difference: largest difference of any probability from that of Keras.
        sentences: what was exported, and on which cells it was compared with Keras.
    """

    path: Path
    network: str
    difference: float
    sentences: tuple[str, ...]

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return "\n".join([str(self.path), *self.sentences])

    def _repr_html_(self) -> str:
        return "".join(
            f"<p>{html.escape(words)}</p>" for words in (str(self.path), *self.sentences)
        )


def export_run(folder: Path, format_name: str, out: Path | None = None) -> ExportResult:
    """Write the final network of a finished run in one format; without one, its first fold's.

    Args:
        folder: of the run.
        format_name: a built-in export format, or your own as "package.module:name".
        out: the file to write; by default `exports/model` in the run, with the format's suffix.

    Raises:
        LeukoscopeError: no such format or run, a damaged file of it, or a network that differs
            from Keras; then nothing is written.
    """
    run, exporter = open_run(folder), find_exporter(format_name)
    record = run.read_record()
    name = _choose_network(run, record)
    path = _check_out(run, out or run.exports / f"model{exporter.suffix}")
    if find_spec("keras") is None:
        raise MissingExtraError("Keras with TensorFlow", "train")
    inside = path.resolve().is_relative_to(run.folder.resolve())
    with lock_folder(run.folder) if inside else nullcontext():
        crops, which = _find_crops(run, record)
        difference = _export(run.find_network(name), record, exporter, path, crops)
    sentences = (
        f"{exporter.name}: {_describe_network(name)}.",
        f"Compared with Keras on {len(crops)} {which}: no probability differs by more than "
        f"{difference:.1e}.",
    )
    return ExportResult(path, name, difference, sentences)


def _choose_network(run: Run, record: RunRecord) -> str:
    if not record.finished:
        raise RunError(
            f"{run.folder}: this run has not ended. Expected a finished one; train it to its end "
            "with `resume`."
        )
    final = run.find_network(FINAL)
    return FINAL if final.keras.exists() or final.onnx.exists() else record.split.folds[0].name


def _describe_network(name: str) -> str:
    if name == FINAL:
        return "the final network, trained on all cells"
    return (
        f"the network of the fold {name}, as this run has no final one; its probabilities are not "
        "calibrated"
    )


def _check_out(run: Run, path: Path) -> Path:
    """Refuse a folder, and what would take the place of a file of the run."""
    if path.is_dir():
        raise DataError(f"{path}: a folder. Expected the name of a file.")
    whole = path.resolve()
    if whole.is_relative_to(run.folder.resolve()) and not whole.is_relative_to(
        run.exports.resolve()
    ):
        raise RunError(
            f"{path}: among the files of the run itself. Expected another folder, such as "
            f"{run.exports}."
        )
    return path


def _export(
    network: Network, record: RunRecord, exporter: Exporter, path: Path, crops: UInt8Array
) -> float:
    from leukoscope.exporters.onnx import read_novelty
    from leukoscope.models import cut_features, cut_head
    from leukoscope.training.loop import load_keras, predict_with_keras, run_keras

    model, classifier = load_keras(network.keras, record.recipe), Classifier(network.onnx)
    with report_damage(network.onnx, "an ONNX file that `leukoscope train` wrote", _COPY):
        novelty = read_novelty(network.onnx)
    rows = np.arange(len(crops))
    features = run_keras(cut_features(model), crops, rows)
    probability = predict_with_keras(cut_head(model), features, rows)
    answers, distances = classifier.predict_batch(crops), novelty.compute(features)
    apart = float(np.abs(answers[:, 0] - probability).max())
    share = compute_share(np.abs(answers[:, 1] - distances), distances)
    if apart < _ONE_NETWORK and not share < _ONE_NOVELTY:  # unlearned, perhaps
        true = answer_exactly(record.recipe, model, novelty, crops, distances)[:, 1]
        share = compute_share(np.abs(answers[:, 1] - true), true)
    if not (apart < _ONE_NETWORK and share < _ONE_NOVELTY):
        raise RunError(
            f"{network.keras}: not the network of {network.onnx.name} beside it (their "
            f"probabilities differ by up to {apart:.2g}). Expected both of one training. {_COPY}"
        )
    return export_network(
        exporter, record.recipe, model, novelty, path, classifier.metadata, crops, features
    )


def _find_crops(run: Run, record: RunRecord) -> tuple[UInt8Array, str]:
    """Crops to compare on, and which they are: the run's own, where all of them are still there."""
    root = Path(record.root)
    wanted = set(spread(run.read_cells()["image"].to_numpy(), COMPARED))
    found = []
    try:
        for source in list_sources(root):
            if source.name in wanted:
                rgb = read_image(source.read(), source.name)
                found.append(cut_crop(rgb, record.dataset.crop))
    except (DataError, OSError):
        found = []
    if len(found) == len(wanted):
        return np.stack(found), "cells of the run"
    drawn = draw_cells(CohortSettings(subjects=8, cells=COMPARED))
    crops = [cut_crop(rgb, record.dataset.crop) for _, rgb in drawn]
    return np.stack(crops), f"simulated cells, as the run's images are not all in {root} any more"
