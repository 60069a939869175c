"""C-NMC 2019 (Kaggle "Leukemia Classification"): its facts, in one place."""

from __future__ import annotations

from leukoscope.datasets.spec import CellName, CropSpec, DatasetSpec, PartCounts, QualityLimits

__all__ = ["CNMC", "parse_cell_name"]

CNMC = DatasetSpec(
    name="C-NMC 2019",
    reader="cnmc",
    # One pixel of an image is one pixel of a cell, in frames of 450 and of 600 px alike. The crop
    # is the central 450 px at half resolution: it holds every cell, and the images are so smooth
    # that nothing is lost.
    crop=CropSpec(frame_px=450, known_frames=(450, 600)),
    # Just outside of what its cells show (docs/trust.md): area 2,013 to 12,711, hue 272 to 316,
    # saturation 0.455 to 0.702, brightness 0.228 to 0.443, sharpness 0.055 to 0.189.
    quality=QualityLimits(
        black_background=True,
        area_px=(1600, 16_000),
        hue_deg=(255, 335),
        saturation=(0.38, 0.78),
        brightness=(0.18, 0.55),
        sharpness=(0.04, 0.25),
    ),
    name_pattern=r"UID_(?P<subject>[A-Za-z0-9-]+)_(?P<smear>\d+)_(?P<cell>\d+)_(?P<label>all|hem)",
    naming="UID_<subject>_<smear>_<cell>_<all|hem>",
    folds=("fold_0", "fold_1", "fold_2"),
    test_part="preliminary",
    published=(
        PartCounts("fold_0", 2397, 19, 1130, 9),
        PartCounts("fold_1", 2418, 11, 1163, 3),
        PartCounts("fold_2", 2457, 17, 1096, 14),
        PartCounts("preliminary", 1219, 13, 648, 15),
        PartCounts("final", unlabelled_cells=2586),
    ),
    citation="Gupta & Gupta, ALL Challenge dataset of ISBI 2019 (C-NMC 2019), The Cancer Imaging "
    "Archive, doi 10.7937/tcia.2019.dc64i46r, CC BY 3.0",
)
"""As published, with limits of the image-quality checks as the first shipped model had them."""


def parse_cell_name(image: str) -> CellName | None:
    """Read a C-NMC file name (with or without folders and suffix), else None."""
    return CNMC.parse_name(image)
