"""Numbers → figures and one self-contained page. No number is computed here."""

from leukoscope.report.audit_page import describe_audit, write_audit_page
from leukoscope.report.page import write_report

__all__ = ["describe_audit", "write_audit_page", "write_report"]
