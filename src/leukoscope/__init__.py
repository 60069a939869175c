"""Leukoscope: leukaemic or normal? Networks whose scores hold on people never seen.

Research use only; not a medical device.
"""

__version__ = "0.1.0"
