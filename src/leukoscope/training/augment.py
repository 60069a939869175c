"""Batch → changed batch, for training only: what differs between smears but not between cells.

Everything works on uint8 crops with OpenCV, on every backend alike, and each cell has its own
random generator, made from (seed, epoch, position): the same whatever thread draws it, and after a
resume. The background stays black.

A user's own effect, named in a recipe by its import path, is a function like those here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from leukoscope.arrays import UInt8Array
from leukoscope.cells.crop import CROP_PX
from leukoscope.errors import SettingsError, call_users_code
from leukoscope.registry import find_entry
from leukoscope.settings import AugmentSettings

__all__ = ["EFFECTS", "Effect", "augment_crop", "find_effects", "make_generator"]

Effect = Callable[[UInt8Array, AugmentSettings, np.random.Generator], UInt8Array]
"""(crop, settings, the cell's generator) → the crop changed: uint8 (225, 225, 3), RGB, as it came.

It leaves the crop that it is given as it is, draws from nothing but the generator, and keeps the
background black.
"""


def make_generator(seed: int, epoch: int, position: int) -> np.random.Generator:
    """The generator of one cell in one epoch."""
    return np.random.Generator(np.random.Philox(key=[seed, (epoch << 32) | position]))


def find_effects(settings: AugmentSettings) -> dict[str, Effect]:
    """The effects of a recipe by name, in its order.

    Raises:
        SettingsError: no such effect, or it cannot be imported.
    """
    return {name: find_entry("effect", name, EFFECTS) for name in settings.effects}


def augment_crop(
    crop: UInt8Array,
    settings: AugmentSettings,
    random: np.random.Generator,
    effects: Mapping[str, Effect] | None = None,
) -> UInt8Array:
    """Change one crop: geometry, stain, sharpness, noise.

    Args:
        crop: uint8 (225, 225, 3), RGB.
        settings: the strengths.
        random: the cell's generator.
        effects: from `find_effects`; by default those of the settings.

    Returns:
        uint8 (225, 225, 3); pixels that were black stay black but where the cell moved.

    Raises:
        SettingsError: an effect that gives something else than a crop.
    """
    effects = find_effects(settings) if effects is None else effects
    for name, effect in effects.items():
        with call_users_code():
            changed = effect(crop, settings, random)
        if getattr(changed, "shape", None) != crop.shape or changed.dtype != np.uint8:
            raise SettingsError(
                f"The effect {name} gave {_describe(changed)}. Expected a crop as it came: uint8 "
                f"{crop.shape}."
            )
        crop = changed
    return crop


def _describe(found: object) -> str:
    if isinstance(found, np.ndarray):
        return f"{found.dtype} {found.shape}"
    return type(found).__name__


def turn_and_move(
    crop: UInt8Array, settings: AugmentSettings, random: np.random.Generator
) -> UInt8Array:
    """Any rotation, flip, scale and shift in one interpolation: cells have no orientation."""
    angle = random.uniform(0, 360) if settings.rotation else 0.0
    scale = np.exp(random.uniform(-settings.scale, settings.scale))
    shift = random.uniform(-settings.shift_px, settings.shift_px, 2)
    flip = random.random() < 0.5
    if not (settings.rotation or settings.scale or settings.shift_px):
        return crop
    centre = (CROP_PX - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), angle, scale)
    matrix[:, 2] += shift
    if flip and settings.rotation:
        matrix[0] = [-matrix[0, 0], -matrix[0, 1], CROP_PX - 1 - matrix[0, 2]]
    return np.asarray(cv2.warpAffine(crop, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR))


def stain(crop: UInt8Array, settings: AugmentSettings, random: np.random.Generator) -> UInt8Array:
    """Brightness, contrast and stain strength of each channel, by lookup tables with f(0) = 0.

    A power of the transmitted light multiplies the optical density (Beer–Lambert), which is what
    more or less stain does; the factor models lamp and exposure.
    """
    density = np.exp(random.normal(0, settings.stain, 3) + random.normal(0, settings.stain))
    light = np.exp(random.normal(0, settings.brightness))
    if not (settings.stain or settings.brightness):
        return crop
    levels = np.arange(256)[:, None] / 255
    table = np.clip(255 * light * levels ** density[None, :], 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(crop, table[None]))


def focus(crop: UInt8Array, settings: AugmentSettings, random: np.random.Generator) -> UInt8Array:
    """Blur or sharpen, as focus differs from smear to smear."""
    amount = random.uniform(-settings.blur, settings.blur)
    if abs(amount) < 0.05:
        return crop
    blurred = cv2.GaussianBlur(crop, (0, 0), abs(amount) + 0.2)
    if amount > 0:
        return np.asarray(blurred)
    return np.asarray(cv2.addWeighted(crop, 1.8, blurred, -0.8, 0))


def noise(crop: UInt8Array, settings: AugmentSettings, random: np.random.Generator) -> UInt8Array:
    """Camera noise on the foreground: a random window of one fixed field, scaled."""
    amount = random.uniform(0, settings.noise)
    top, left = random.integers(0, _NOISE_PX - CROP_PX, 2)
    if amount < 0.5:
        return crop
    grain = _make_noise_field()[top : top + CROP_PX, left : left + CROP_PX]
    noisy = cv2.add(crop, cv2.multiply(grain, amount), dtype=cv2.CV_8U)
    return np.asarray(cv2.bitwise_and(noisy, noisy, mask=crop.any(axis=-1).astype(np.uint8)))


_NOISE_PX = 512
_noise_fields: list[np.ndarray] = []


def _make_noise_field() -> np.ndarray:
    if not _noise_fields:
        drawn = np.random.default_rng(0).standard_normal((_NOISE_PX, _NOISE_PX, 1), np.float32)
        _noise_fields.append(np.repeat(drawn, 3, axis=2))
    return _noise_fields[0]


EFFECTS: dict[str, Effect] = {
    "turn_and_move": turn_and_move,
    "stain": stain,
    "focus": focus,
    "noise": noise,
}
"""Built-in effects, in the order in which they are applied."""
