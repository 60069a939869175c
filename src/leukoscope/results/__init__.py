"""Results of the Python API, with displays for notebooks and terminals.

Each wraps the value of its package, and adds tables, figures and text.
"""

from leukoscope.results.data import AuditResult, Dataset
from leukoscope.results.display import Figure
from leukoscope.results.run import TrainedRun
from leukoscope.results.scores import EvaluationResult, SubjectResult

__all__ = ["AuditResult", "Dataset", "EvaluationResult", "Figure", "SubjectResult", "TrainedRun"]
