"""Finished epochs → TensorBoard's event files, by TensorFlow alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from leukoscope.errors import MissingExtraError
from leukoscope.training.loop import EpochReport

__all__ = ["log_to_tensorboard"]


def log_to_tensorboard(folder: Path) -> Callable[[EpochReport], None]:
    """A callback that logs each finished epoch, in a folder for each network.

    Scalars: loss, validation_loss, validation_auc, learning_rate. To look at them, install
    TensorBoard and call `tensorboard --logdir FOLDER`; nothing of it is needed to write.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError("TensorFlow", "train") from error
    writers: dict[str, Any] = {}
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
        data_class=1,  # DATA_CLASS_SCALAR
    )

    def log(report: EpochReport) -> None:
        if not report.finished:
            return
        if report.fold not in writers:
            target = folder / (report.fold or "network")
            writers[report.fold] = tf.summary.create_file_writer(str(target))
        writer = writers[report.fold]
        scalars = {
            "loss": report.loss,
            "validation_loss": report.validation_loss,
            "validation_auc": report.validation_auc,
            "learning_rate": report.learning_rate,
        }
        with writer.as_default(step=report.epoch):
            for name, value in scalars.items():
                if value is not None:
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)
        writer.flush()

    return log
