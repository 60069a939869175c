"""Leukoscope: leukaemic or normal? Networks evaluated on people they were not trained on.

    import leukoscope as lk

    table = lk.predict("cells/")

All functions are in `leukoscope/api/`; each loads what it needs when it is first used, so the
import costs nothing. Research use only; not a medical device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.2.0.dev0"

__all__ = [
    "AuditResult",
    "DataError",
    "Dataset",
    "EvaluationResult",
    "ExplanationResult",
    "ExportResult",
    "Figure",
    "LeukoscopeError",
    "MissingExtraError",
    "Model",
    "ModelError",
    "NoticeWarning",
    "Recipe",
    "RenamedWarning",
    "RunError",
    "SettingsError",
    "Split",
    "SplitError",
    "SubjectResult",
    "TrainedRun",
    "__version__",
    "aggregate",
    "audit",
    "evaluate",
    "explain",
    "export",
    "list_images",
    "list_recipes",
    "load_model",
    "make_split",
    "predict",
    "read_dataset",
    "read_recipe",
    "train",
]

if TYPE_CHECKING:
    from leukoscope.api.data import Split, audit, make_split, read_dataset
    from leukoscope.api.evaluating import aggregate, evaluate
    from leukoscope.api.predicting import Model, explain, list_images, load_model, predict
    from leukoscope.api.training import export, train
    from leukoscope.errors import (
        DataError,
        LeukoscopeError,
        MissingExtraError,
        ModelError,
        NoticeWarning,
        RenamedWarning,
        RunError,
        SettingsError,
        SplitError,
    )
    from leukoscope.results import (
        AuditResult,
        Dataset,
        EvaluationResult,
        Figure,
        SubjectResult,
        TrainedRun,
    )
    from leukoscope.settings import Recipe, list_recipes, read_recipe
    from leukoscope.workflow.explanation import ExplanationResult
    from leukoscope.workflow.exporting import ExportResult
else:
    _HOMES = (  # the light ones first
        *("errors", "settings", "api.predicting", "results", "api.data"),
        *("api.evaluating", "api.training", "workflow.explanation", "workflow.exporting"),
    )

    def __getattr__(name):
        """Load a name on first use (PEP 562)."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        import_module("leukoscope.machine").keep_library_files()
        for home in _HOMES:
            module = import_module(f"leukoscope.{home}")
            if name in module.__all__:
                return globals().setdefault(name, getattr(module, name))
        raise AttributeError(f"{name} is in __all__, but in none of {', '.join(_HOMES)}")

    def __dir__():
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
