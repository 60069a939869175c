"""A seed → simulated cells: a cohort with known labels and planted faults, or pairs of one cell.

No real cell may be committed or shipped, so tests, demonstration and the audit's proof draw theirs.
"""

from leukoscope.simulate.cohort import Cohort, draw_cells, open_cohort, simulate_cohort
from leukoscope.simulate.draw import LATENTS
from leukoscope.simulate.plan import CohortSettings, Faults
from leukoscope.simulate.prepare import simulate_pairs

__all__ = [
    "LATENTS",
    "Cohort",
    "CohortSettings",
    "Faults",
    "draw_cells",
    "open_cohort",
    "simulate_cohort",
    "simulate_pairs",
]
