"""Numbers → figures and one self-contained page. No number is computed here."""

from leukoscope.report.page import write_report

__all__ = ["write_report"]
