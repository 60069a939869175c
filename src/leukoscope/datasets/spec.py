"""The facts of a data set, as one value.

A reader makes it (`registry.read_dataset`); the run and the model keep it; crops, image-quality
warnings, audit, splits, model card and page read it from there. Nothing else knows a data set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath
from typing import Annotated

import msgspec

from leukoscope.labels import LABELS, parse_label

__all__ = [
    "NAME_LENGTH",
    "CellName",
    "CropSpec",
    "DatasetSpec",
    "FoldCounts",
    "QualityLimits",
    "parse_subject_rule",
]

_Area = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Degree = Annotated[float, msgspec.Meta(ge=0, le=360)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Sharpness = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
_Side = Annotated[int, msgspec.Meta(ge=16, le=4096)]
_Depth = Annotated[int, msgspec.Meta(ge=0, le=1000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
# Checked when JSON is read, as in `records`.

NAME_LENGTH = 100
"""Characters of an image's name, without folders and suffix, that a `name_pattern` is tried on;
longer names fit none."""

_MOST_WAYS = 20_000_000  # to match a name of that length: at most a second or so


@dataclass(frozen=True)
class CropSpec:
    """How an image of one cell becomes a crop: cut about its centre, never resized to fit.

    Attributes:
        frame_px: side of the central square that is kept, in pixels of the image, 16 to 4096;
            smaller images are padded with black. It becomes the whole crop. By default the side of
            a crop, so that a pixel of the image is a pixel of the crop.
        known_frames: sides of the square images whose scale is known, in pixels, 16 to 4096; other
            images get a warning. Empty where images of all sizes have the same scale.
    """

    frame_px: _Side = 225
    known_frames: tuple[_Side, ...] = ()

    def __post_init__(self) -> None:
        if not 16 <= self.frame_px <= 4096:
            raise ValueError(f"frame_px = {self.frame_px}, expected 16 to 4096")

    def knows(self, width: int, height: int) -> bool:
        """Whether the scale of an image of this size (px) is known."""
        return not self.known_frames or (width == height and width in self.known_frames)


@dataclass(frozen=True)
class QualityLimits:
    """Limits of the image-quality checks of a data set; outside of them an image gets a warning.

    Measured from the training cells by `cells.quality.measure_limits`, on crops of 225 px.

    Attributes:
        black_background: whether the cells are cut out on black.
        whole: whether cells hardly ever reach the edge of their image.
        single: whether an image hardly ever shows several bodies.
        area_px: foreground pixels of a cell, 0 to 1,000,000: the upper limit may exceed the crop.
        hue_deg: hue of the mean colour, 0 to 360; the first is the larger where the range goes
            through 0.
        saturation: of the mean colour, 0 to 1.
        brightness: of the mean colour, 0 to 1.
        sharpness: deviation of the Laplacian of green over its mean, inside the cell, 0 to
            1,000,000.
    """

    black_background: bool
    whole: bool
    single: bool
    area_px: tuple[_Area, _Area]
    hue_deg: tuple[_Degree, _Degree]
    saturation: tuple[_Share, _Share]
    brightness: tuple[_Share, _Share]
    sharpness: tuple[_Sharpness, _Sharpness]

    def __post_init__(self) -> None:
        for name in ("area_px", "saturation", "brightness", "sharpness"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} = {low} to {high}, expected a rising range from 0 on")


@dataclass(frozen=True)
class FoldCounts:
    """Published counts of one fold of a data set, or of a test set.

    Attributes:
        fold: its name in the column `fold`.
        leukaemic_cells, leukaemic_subjects, normal_cells, normal_subjects: counts.
        unlabelled_cells: cells whose label was never published.
    """

    fold: str
    leukaemic_cells: _Count = 0
    leukaemic_subjects: _Count = 0
    normal_cells: _Count = 0
    normal_subjects: _Count = 0
    unlabelled_cells: _Count = 0


@dataclass(frozen=True)
class CellName:
    """What an image's name says of its cell; "" where it says nothing."""

    subject: str
    smear: str = ""
    cell: str = ""
    label: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """Facts of a data set: known beforehand, or measured from all its cells.

    Attributes:
        name: shown to users, such as "C-NMC 2019".
        reader: name of the reader that made it.
        crop: how its images become crops.
        quality: limits of the image-quality checks; None where they were not measured.
        name_pattern: regular expression of a file name without folders and suffix, with a group
            `subject` and, where known, `smear`, `cell` and `label`; "" where names say nothing.
            A name is tried up to `NAME_LENGTH` characters; a pattern that could try it in millions
            of ways is refused, as it may come with a model of strangers.
        naming: how names give the subject, in words.
        subject_from: where a user said that subjects are in the images' paths, as
            `parse_subject_rule`; it takes the place of the subject in `name_pattern`.
        depth: how many of the folders above an image `subject_from` reads, so that it holds
            wherever the data lie; a path with fewer gives no subject. None where it reads all.
        class_words: words of the data for the classes, in lower case, beside those that every
            data set knows (`labels.parse_label`) → "leukaemic" or "normal".
        folds: names of the official folds, for the split `fold-cv`.
        test_fold: name of the official labelled test set in the column `fold`, for the split
            `official`; "" if none.
        published: counts of its folds, to find what is missing.
        citation: of the data; "" where there is none.
    """

    name: str
    reader: str
    crop: CropSpec = CropSpec()
    quality: QualityLimits | None = None
    name_pattern: str = ""
    naming: str = ""
    subject_from: str = ""
    depth: _Depth | None = None
    class_words: Mapping[str, str] = field(default_factory=dict)
    folds: tuple[str, ...] = ()
    test_fold: str = ""
    published: tuple[FoldCounts, ...] = ()
    citation: str = ""

    def __post_init__(self) -> None:
        try:
            named = re.compile(self.name_pattern).groupindex
        except re.error as error:
            raise ValueError(f"name_pattern {self.name_pattern!r} is invalid ({error})") from error
        if self.name_pattern and "subject" not in named:
            raise ValueError(f"name_pattern {self.name_pattern!r} has no group (?P<subject>…)")
        parse_subject_rule(self.subject_from)
        if self.depth is not None and self.depth < 0:
            raise ValueError(f"depth = {self.depth}, expected 0 or more")
        unknown = sorted(set(self.class_words.values()) - set(LABELS))
        if unknown:
            raise ValueError(f"class_words name {unknown[0]!r}, expected {' or '.join(LABELS)}")
        if _count_ways(self.name_pattern) > _MOST_WAYS:
            raise ValueError(
                f"name_pattern {self.name_pattern[:60]!r} repeats or branches too much to be tried "
                "quickly; expected no repeated group, and few of *, +, ? and |"
            )

    def describe_images(self) -> str:
        """What its images are, in one sentence."""
        black = ", cut out on black" if self.quality and self.quality.black_background else ""
        frames = " or ".join(f"{side}×{side}" for side in self.crop.known_frames)
        side = self.crop.frame_px
        size = f"{frames} pixels" if frames else f"of which the central {side}×{side} pixels count"
        return f"One cell an image{black}, {size}, as in {self.name}."

    def parse_name(self, image: str) -> CellName | None:
        """Read an image's name, with or without folders and suffix; None where it does not fit.

        Subjects keep their case: C-NMC's `h3` is a person, and `H?[0-9]+` would drop it.
        """
        if not self.name_pattern:
            return None
        stem = PurePosixPath(image.replace("\\", "/")).name.split(".")[0]
        found = len(stem) <= NAME_LENGTH and _compile(self.name_pattern).fullmatch(stem)
        if not found:
            return None
        said = {key: value or "" for key, value in found.groupdict().items()}
        return CellName(
            subject=said["subject"],
            smear=said.get("smear", ""),
            cell=said.get("cell", ""),
            label=self.parse_label(said.get("label", "")) or "",
        )

    def find_subject(self, image: str) -> str:
        """The subject that an image's path gives, or "" where it gives none.

        Args:
            image: its path, as far as it is known.

        Example:
            >>> spec = DatasetSpec("mine", "folders", subject_from="folder:-2", depth=2)
            >>> spec.find_subject("anywhere/patient-7/normal/3.png"), spec.find_subject("3.png")
            ('patient-7', '')
        """
        if not self.subject_from:
            name = self.parse_name(image)
            return name.subject if name else ""
        parts = [part for part in PurePosixPath(image.replace("\\", "/")).parts if part != "/"]
        if self.depth is not None:
            parts = parts[-(self.depth + 1) :] if len(parts) > self.depth else []
        rule = parse_subject_rule(self.subject_from)
        if isinstance(rule, int):
            return _take_folder(parts[:-1], rule)
        found = rule.search("/".join(parts)) if rule else None
        return (found[1] or "") if found else ""

    def parse_label(self, word: object) -> str | None:
        """The class that a word names here, else None."""
        return self.class_words.get(str(word).strip().lower()) or parse_label(word)


def _take_folder(folders: list[str], place: int) -> str:
    index = place - 1 if place > 0 else len(folders) + place
    return folders[index] if 0 <= index < len(folders) else ""


@cache
def parse_subject_rule(rule: str) -> int | re.Pattern[str] | None:
    """Where subjects are in images' paths: a folder, a regular expression, or nowhere.

    Args:
        rule: "folder:N", the N-th folder from the top of the data (1 is the first, -1 the one that
            holds the image); or a regular expression with one group, searched in the path; or "".

    Returns:
        N, the expression compiled, or None.

    Raises:
        ValueError: another rule.
    """
    if not rule:
        return None
    if found := re.fullmatch(r"folder:(-?[1-9]\d*)", rule):
        return int(found[1])
    example = 'such as "(patient[0-9]+)_"'
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise ValueError(
            f"Subjects from {rule!r}: not a regular expression ({error}). Expected folder:N, or "
            f"one with a group, {example}."
        ) from error
    if pattern.groups != 1:
        raise ValueError(
            f"Subjects from {rule!r}: expected folder:N, or a regular expression with one group, "
            f"{example}; received {pattern.groups} groups."
        )
    return pattern


def _count_ways(pattern: str) -> float:
    """At most in how many ways a pattern can try a name of `NAME_LENGTH`.

    Infinite for repeated groups, and for verbose patterns, whose comments could hide one.

    Each repeat may take any number of characters; each option or branch doubles the ways.
    """
    plain = _SIGNS.sub("x", pattern)
    plain = re.sub(r"\(\?(?:P?<\w+>|P=\w+|[:=!]|<[=!])", "(", plain)
    if re.search(r"\)[*+{]|\(\?[aiLmsu]*x", plain):
        return math.inf
    repeats = re.findall(r"[*+]|\{", plain)
    options = re.findall(r"(?<![*+}])\?|\|", plain)
    return math.comb(NAME_LENGTH + len(repeats), len(repeats)) * 2.0 ** min(len(options), 1000)


_SIGNS = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|(?<!\))\{\d+\}|\(\?#[^)]*\)",
    re.DOTALL,
)
"""An escape, a set, "exactly so many" of a single sign, a comment: no choice in any of them."""


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
