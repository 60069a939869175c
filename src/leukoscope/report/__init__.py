"""Numbers → figures and one self-contained page. No number is computed here."""

from leukoscope.report.audit_page import describe_audit, write_audit_page
from leukoscope.report.card import write_model_card
from leukoscope.report.page import write_report
from leukoscope.report.pictures import brighten, cut_cell, cut_middle, write_contact_sheet

__all__ = [
    "brighten",
    "cut_cell",
    "cut_middle",
    "describe_audit",
    "write_audit_page",
    "write_contact_sheet",
    "write_model_card",
    "write_report",
]
