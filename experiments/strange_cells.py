"""Does a network detect out-of-distribution images? Changed images → one table.

    python experiments/strange_cells.py DATA RUN OUT [--cells N]

Cells of each fold of a finished run are changed (focus, noise, colour, light, scale), and
photographs, textures and discs are put in their place. The fold's own network, not trained on
these people, gives their novelty; `checks` are the image-quality warnings. The table gives,
for each kind, the AUROC of novelty against the fold's unchanged cells (mean over the folds), and
the share that novelty, the checks, or either flags. OUT is a CSV; the same is beside it as .md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import roc_auc_score

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue, read_catalogue
from leukoscope.cells.crop import CROP_PX, compute_foreground, cut_crop
from leukoscope.cells.quality import find_warnings
from leukoscope.datasets.spec import CropSpec
from leukoscope.inference.model import Classifier
from leukoscope.io.files import write_text
from leukoscope.io.runs import Run, open_run
from leukoscope.io.tables import write_table

_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "ihc.png", "retina.jpg", "rocket.jpg")
_TEXTURES = ("brick.png", "grass.png", "gravel.png")
_STAIN = (165, 105, 185)  # mean colour that a texture is given, RGB
_FRAME_PX = 2 * CROP_PX
_USUAL = 0.95

Change = Callable[[UInt8Array, np.random.Generator], np.ndarray]


def main() -> None:
    """Change cells, predict, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cells", type=int, default=60, help="of each fold")
    request = parser.parse_args()
    run, catalogue = open_run(request.run), read_catalogue(request.data)
    rows = []
    for fold in run.read_record().split.folds:
        rows += _ask_fold(run, catalogue, fold.name, request.cells)
        print(fold.name, flush=True)
    table = pd.DataFrame(rows).groupby("kind", sort=False).mean(numeric_only=True).reset_index()
    write_table(request.out, table.round(4))
    write_text(request.out.with_suffix(".md"), _to_markdown(table))
    print(_to_markdown(table))


def _ask_fold(run: Run, catalogue: Catalogue, name: str, count: int) -> list[dict[str, object]]:
    cells = run.read_cells()
    outputs = {
        other.name: pd.read_csv(run.find_network(other.name).outputs)
        for other in run.read_record().split.folds
    }
    usual = outputs[name]["novelty"].to_numpy()
    others = [table["novelty"] for other, table in outputs.items() if other != name]
    limit = pd.concat(others).quantile(_USUAL)
    random = np.random.default_rng(0)
    held_out = cells.loc[cells["fold"] == name, "row"].to_numpy()
    chosen = np.sort(random.choice(held_out, min(count, len(held_out)), replace=False))
    crops = np.asarray(catalogue.crops[chosen])
    classifier = Classifier(run.find_network(name).onnx)
    rows: list[dict[str, object]] = []
    for kind, strange in _make_strange(crops, random).items():
        novelty = classifier.predict_batch(strange)[:, 1]
        truth = np.repeat([0, 1], [len(usual), len(novelty)])
        far = novelty > limit
        full = np.zeros((_FRAME_PX, _FRAME_PX, 3), np.uint8)
        warned = np.array(
            [any(True for _ in find_warnings(full, crop, catalogue.spec)) for crop in strange]
        )
        rows.append(
            {
                "kind": kind,
                "auroc": roc_auc_score(truth, np.concatenate([usual, novelty])),
                "novelty": far.mean(),
                "checks": warned.mean(),
                "either": (far | warned).mean(),
            }
        )
    return rows


def _make_strange(crops: UInt8Array, random: np.random.Generator) -> dict[str, UInt8Array]:
    """Kind → crops, as many as were given; what is changed keeps the cell's outline."""
    masks = [compute_foreground(crop)[..., None] for crop in crops]
    found = {"unchanged": crops}
    for kind, change in _CHANGES.items():
        changed = [
            np.clip(change(crop, random), 0, 255).astype(np.uint8) * mask
            for crop, mask in zip(crops, masks, strict=True)
        ]
        found[kind] = np.stack(changed)
    found["0.6 times as large"] = np.stack([_scale(crop, 0.6) for crop in crops])
    found["1.5 times as large"] = np.stack([_scale(crop, 1.5) for crop in crops])
    found["two cells in one"] = np.stack(
        [
            np.maximum(np.roll(one, -45, axis=1), np.roll(other, 45, axis=1))
            for one, other in zip(crops, crops[::-1], strict=True)
        ]
    )
    photographs = _cut_patches(_PHOTOGRAPHS, len(crops), random)
    found["photographs"] = photographs
    found["photographs in cells' outlines"] = np.stack(
        [patch * mask for patch, mask in zip(photographs, masks, strict=True)]
    )
    textures = _cut_patches(_TEXTURES, len(crops), random)
    stained = np.clip(textures / textures.mean(axis=(1, 2, 3), keepdims=True) * _STAIN, 0, 255)
    found["stained textures in cells' outlines"] = np.stack(
        [patch * mask for patch, mask in zip(stained.astype(np.uint8), masks, strict=True)]
    )
    found["discs of the cells' colour and size"] = np.stack([_draw_disc(crop) for crop in crops])
    return found


_CHANGES: dict[str, Change] = {
    "blurred by 2 px": lambda crop, _: cv2.GaussianBlur(crop, (0, 0), 2),
    "blurred by 4 px": lambda crop, _: cv2.GaussianBlur(crop, (0, 0), 4),
    "noise of 10 grey levels": lambda crop, random: crop + random.normal(0, 10, crop.shape),
    "noise of 25 grey levels": lambda crop, random: crop + random.normal(0, 25, crop.shape),
    "hue turned by 20°": lambda crop, _: _turn_hue(crop, 10),
    "hue turned by 60°": lambda crop, _: _turn_hue(crop, 30),
    "0.6 times as bright": lambda crop, _: crop * 0.6,
    "1.4 times as bright": lambda crop, _: crop * 1.4,
    "grey": lambda crop, _: np.repeat(crop.mean(axis=-1, keepdims=True), 3, axis=-1),
    "JPEG of quality 15": lambda crop, _: _compress(crop, 15),
}


def _turn_hue(crop: UInt8Array, steps: int) -> np.ndarray:
    """By so many steps of 2°."""
    hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + steps) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def _compress(crop: UInt8Array, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))


def _scale(crop: UInt8Array, factor: float) -> UInt8Array:
    middle = (CROP_PX - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), 0, factor)
    return np.asarray(cv2.warpAffine(crop, matrix, (CROP_PX, CROP_PX)), np.uint8)


def _cut_patches(names: tuple[str, ...], count: int, random: np.random.Generator) -> UInt8Array:
    """Squares of the pictures that come with scikit-image, as `pixels` would crop them."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    patches = []
    for place in range(count):
        image = np.asarray(Image.open(folder / names[place % len(names)]).convert("RGB"))
        side = min(_FRAME_PX, *image.shape[:2])
        top, left = (int(random.integers(0, length - side + 1)) for length in image.shape[:2])
        patches.append(cut_crop(image[top : top + side, left : left + side], CropSpec(_FRAME_PX)))
    return np.stack(patches)


def _draw_disc(crop: UInt8Array) -> UInt8Array:
    inside = compute_foreground(crop)
    colour = tuple(float(value) for value in crop[inside].mean(axis=0))
    radius = round(float(np.sqrt(inside.sum() / np.pi)))
    return np.asarray(
        cv2.circle(np.zeros_like(crop), (CROP_PX // 2,) * 2, radius, colour, -1), np.uint8
    )


def _to_markdown(table: pd.DataFrame) -> str:
    lines = [
        "| image | AUROC of novelty | flagged by novelty | by the checks | by either |",
        "|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        auroc = "" if row["kind"] == "unchanged" else f"{row['auroc']:.3f}"
        shares = " | ".join(f"{row[by]:.0%}" for by in ("novelty", "checks", "either"))
        lines.append(f"| {row['kind']} | {auroc} | {shares} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
