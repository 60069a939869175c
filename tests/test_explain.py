"""Maps find what a network was built to see; the check distinguishes them from uninformed maps."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from leukoscope.arrays import UInt8Array
from leukoscope.catalogue import Catalogue
from leukoscope.cells.crop import compute_foreground
from leukoscope.cells.measures import MEASURES
from leukoscope.datasets.cnmc import CNMC
from leukoscope.errors import DataError
from leukoscope.explanation import (
    Faithfulness,
    FloatArray,
    check_map,
    compute_map,
    describe_check,
    flatten_cell,
    summarise_checks,
)
from leukoscope.inference.model import OUTPUTS, Classifier, find_shipped_model
from leukoscope.inference.stream import list_images
from leukoscope.labels import LABELS
from leukoscope.records import Decision, ModelMetadata
from leukoscope.simulate import Cohort
from leukoscope.workflow import explanation
from leukoscope.workflow.explanation import explain_images
from leukoscope.workflow.prediction import predict_images
from test_cli import fail, run
from test_report import Page

CUE, DECOY = (95, 135), (130, 85)  # (y, x): bright spots, one of which the network looks at


def draw_spot(centre: tuple[int, int], radius: float = 8) -> FloatArray:
    y, x = np.ogrid[:225, :225]
    return np.asarray(np.hypot(y - centre[0], x - centre[1]) < radius, np.float64)


@pytest.fixture
def crop() -> UInt8Array:
    """A grainy cell with two bright spots."""
    grain = np.random.default_rng(0).standard_normal((225, 225)).astype(np.float32)
    grain = 6 * cv2.GaussianBlur(grain, (0, 0), 2) / 0.14
    grey = 90 + grain + 80 * (draw_spot(CUE) + draw_spot(DECOY))
    cell = draw_spot((112, 112), 55)
    return np.asarray((np.clip(grey, 30, 250) * cell)[..., None].repeat(3, axis=2), np.uint8)


WEIGHT = draw_spot(CUE)


def look_at_cue(crops: UInt8Array) -> FloatArray:
    """A network that knows the green of one spot only."""
    mean = (crops[..., 1] * WEIGHT).sum(axis=(1, 2)) / WEIGHT.sum()
    return np.asarray(1 / (1 + np.exp(-(mean - 145) / 10)))


def look_at_size(crops: UInt8Array) -> FloatArray:
    """A network that knows the area only."""
    areas = np.array([np.count_nonzero(compute_foreground(crop)) for crop in crops])
    return np.asarray(1 / (1 + np.exp(-(areas - 9000) / 1000)))


# --- the map


def test_the_map_finds_the_planted_cue_and_not_the_decoy(crop: UInt8Array) -> None:
    found, passes = compute_map(crop, look_at_cue)
    inside, decoy = found[WEIGHT > 0], found[draw_spot(DECOY) > 0]
    assert np.hypot(*(np.unravel_index(found.argmax(), found.shape) - np.array(CUE))) < 10
    assert inside.mean() > 20 * np.abs(decoy).mean()
    assert 50 < passes < 400


def test_the_sign_is_that_of_the_effect(crop: UInt8Array) -> None:
    found, _ = compute_map(crop, look_at_cue)
    against, _ = compute_map(crop, lambda crops: 1 - look_at_cue(crops))
    assert found[CUE] > 0 and np.allclose(found, -against)


def test_the_background_is_never_touched_and_never_coloured(crop: UInt8Array) -> None:
    cell = compute_foreground(crop)
    seen: list[UInt8Array] = []

    def watch(crops: UInt8Array) -> FloatArray:
        seen.append(crops)
        return look_at_cue(crops)

    found, _ = compute_map(crop, watch)
    assert (found[~cell] == 0).all() and np.abs(found[cell]).max() > 0
    for crops in seen:
        assert (crops[:, ~cell] == 0).all()
        assert all(np.array_equal(compute_foreground(one), cell) for one in crops)


def test_a_network_that_knows_size_only_gets_an_empty_map_that_fails(crop: UInt8Array) -> None:
    found, _ = compute_map(crop, look_at_size)
    assert np.abs(found).max() < 1e-12
    check = check_map(crop, found, look_at_size, leukaemic=True)
    assert not check.passes_check
    assert check.flat_probability == pytest.approx(look_at_size(crop[None])[0])


def test_flattening_keeps_outline_and_colour_and_loses_the_spots(crop: UInt8Array) -> None:
    flat, cell = flatten_cell(crop), compute_foreground(crop)
    assert np.array_equal(compute_foreground(flat), cell)
    assert flat[cell].mean() == pytest.approx(crop[cell].mean(), rel=0.03)
    assert flat[cell].std() < 0.4 * crop[cell].std()


def test_where_every_pixel_counts_alike_the_map_is_even_up_to_the_edge() -> None:
    """A patch that extends over the edge covers fewer pixels; the map must correct for it."""
    cell = draw_spot((112, 112), 60)
    crop = (cell * 100)[..., None].repeat(3, axis=2).astype(np.uint8)
    cover = (cell * 140)[..., None].repeat(3, axis=2).astype(np.uint8)

    def look_at_all(crops: UInt8Array) -> FloatArray:
        return np.asarray(1 / (1 + np.exp(crops[..., 1].sum(axis=(1, 2)) / cell.sum() - 100)))

    found, _ = compute_map(crop, look_at_all, cover)
    inside = found[cell > 0]
    assert inside == pytest.approx(40 / cell.sum(), rel=0.02)


def test_no_cell_gives_no_map() -> None:
    black = np.zeros((225, 225, 3), np.uint8)
    found, passes = compute_map(black, look_at_cue)
    assert not found.any() and passes == 0
    assert np.array_equal(flatten_cell(black), black)


def write_cue_model(path: Path, *, measured: bool = True) -> None:
    """`look_at_cue` as a model file of ours, with C-NMC's measures or none."""
    onnx = pytest.importorskip("onnx", reason="needs the extra train")
    helper, kinds = onnx.helper, onnx.TensorProto
    weight = np.zeros((1, 225, 225, 3), np.float32)
    weight[0, ..., 1] = WEIGHT / WEIGHT.sum() / 10
    constants = {
        "weight": weight,
        "offset": np.float32(-14.5).reshape(1),
        "axes": np.array([1, 2, 3]),
        "one": np.array([1]),
    }
    nodes = [
        helper.make_node("Cast", ["crops"], ["pixels"], to=kinds.FLOAT),
        helper.make_node("Mul", ["pixels", "weight"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "axes"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "offset"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["flat"]),
        helper.make_node("Unsqueeze", ["flat", "one"], ["probability"]),
        helper.make_node("Sub", ["probability", "probability"], ["novelty"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cue",
        [helper.make_tensor_value_info("crops", kinds.UINT8, ["n", 225, 225, 3])],
        [helper.make_tensor_value_info(name, kinds.FLOAT, ["n", 1]) for name in OUTPUTS],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    decision = Decision(
        threshold=0.5, sensitive_threshold=0.2, conformal_lower=0.3, conformal_upper=0.7
    )
    shipped = Classifier(find_shipped_model()).metadata
    measures = shipped.measures if measured else None
    metadata = ModelMetadata(LABELS, 225, decision, CNMC, "test", "", "0", measures=measures)
    helper.set_model_props(model, {"leukoscope": metadata.to_json()})
    onnx.save(model, path)


def test_the_cue_is_found_in_a_model_file(crop: UInt8Array, tmp_path: Path) -> None:
    write_cue_model(tmp_path / "cue.onnx")
    predict = Classifier(tmp_path / "cue.onnx").predict
    assert predict(crop[None]) == pytest.approx(look_at_cue(crop[None]), abs=1e-5)
    found, _ = compute_map(crop, predict)
    assert np.hypot(*(np.unravel_index(found.argmax(), found.shape) - np.array(CUE))) < 10
    assert check_map(crop, found, predict, leukaemic=True).passes_check


# --- its check


@pytest.mark.parametrize("leukaemic", [True, False])
def test_a_perfect_map_beats_all_and_its_opposite_none(crop: UInt8Array, leukaemic: bool) -> None:
    predict: Callable[[UInt8Array], FloatArray] = (
        look_at_cue if leukaemic else lambda crops: 1 - look_at_cue(crops)
    )
    perfect = WEIGHT if leukaemic else -WEIGHT
    check = check_map(crop, perfect, predict, leukaemic=leukaemic)
    assert check.passes_check and check.deletion < check.random_deletion
    assert check.insertion > check.random_insertion and check.score > 0.5
    assert check.score > check.random_score + 0.3
    wrong = check_map(crop, -perfect, predict, leukaemic=leukaemic)
    assert not wrong.passes_check and wrong.score < -0.5


def test_an_occlusion_map_is_nearly_perfect(crop: UInt8Array) -> None:
    found, _ = compute_map(crop, look_at_cue)
    ours, best = (check_map(crop, one, look_at_cue, leukaemic=True) for one in (found, WEIGHT))
    assert ours.passes_check and ours.score > 0.9 * best.score


def test_rim_and_blob_are_opposites_and_the_check_repeats_itself(crop: UInt8Array) -> None:
    found, _ = compute_map(crop, look_at_cue)
    check = check_map(crop, found, look_at_cue, leukaemic=True)
    assert check.rim_score == -check.blob_score and check.random_score == 0
    assert check == check_map(crop, found, look_at_cue, leukaemic=True)
    assert check.passes == 2 + 4 * 10


def make_check(score: float, rival: float = 0.0) -> Faithfulness:
    return Faithfulness(0.5, 0.5 + score, 0.5, 0.5 + rival, rival, 0.5, 0.5, 0.5, 0.5, 0.5, 1)


def test_a_map_without_an_effect_does_not_pass() -> None:
    faint, clear = make_check(0.004, rival=0.003), make_check(0.1, rival=0.003)
    assert not faint.passes_check and clear.passes_check
    assert describe_check(faint).startswith("Do not trust this map: the detail that it names")
    assert describe_check(clear).startswith("The map passes its check")


def test_the_summary_counts_and_its_interval_is_over_subjects() -> None:
    checks = [make_check(0.1 * (place % 6)) for place in range(60)]
    people = [str(place % 6) for place in range(60)]
    summary = summarise_checks(checks, people)
    assert (summary.cells, summary.passing) == (60, 50)
    assert summary.means["map_minus_random"] == pytest.approx(0.25)
    low, high = summary.intervals["map_score"]
    alone = summarise_checks(checks)  # every cell its own subject: too narrow for alike cells
    assert high - low > 2 * (alone.intervals["map_score"][1] - alone.intervals["map_score"][0])
    assert summarise_checks(checks[:4], people[:4]).intervals == {}


# --- pictures, table, page


@pytest.fixture(scope="module")
def images(cohort: Cohort) -> list[Path]:
    rows = cohort.truth.drop_duplicates("subject")["image"].iloc[:2]
    return [cohort.root / str(image) for image in rows]


@pytest.fixture(scope="module")
def made(images: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained")
    folder = tmp_path_factory.mktemp("more")
    (folder / "<b>cut.bmp").write_bytes(images[0].read_bytes()[:3000])
    cv2.imwrite(str(folder / "none.png"), np.zeros((450, 450, 3), np.uint8))
    done = run("explain", *images, folder, "--out", out)
    assert (
        "the check: a score higher than every random map" in done.stdout
        and "not a medical device" in done.stdout
    )
    assert "Not explained" in done.stdout and "too few subjects for an interval" in done.stdout
    return out


def test_the_table_agrees_with_predict(made: Path, images: list[Path]) -> None:
    table = pd.read_csv(made / "explanations.csv")
    answers, _ = predict_images(images)
    for row, answer in zip(table.to_dict("records"), answers, strict=True):
        assert row["image"] == answer.image and row["call"] == answer.call
        assert row["probability"] == pytest.approx(answer.probability, abs=1e-12)
    for measure in MEASURES:
        for label in ("leukaemic", "normal"):
            shares = table[f"{measure.name}_percentile_{label}"].dropna()
            assert shares.between(0, 100).all()
    assert (table["score"] == table["insertion"] - table["deletion"]).all()
    for name in table["picture"]:
        picture = cv2.imread(str(made / name))
        assert picture.shape == (800, 1680, 3) and picture.std() > 20


def test_the_page_is_whole_safe_and_says_that_cells_are_simulated(made: Path) -> None:
    text = (made / "explanations.html").read_text()
    page = Page(text)
    assert page.text.count("Research use only; not a medical device.") == 1
    assert "Simulated cells" in page.text and "none.png" in page.text
    assert "<b>cut" not in text and "&lt;b&gt;cut.bmp" in text
    pictures = page.get_all("img")
    assert len(pictures) == 2 and all(one["alt"] for one in pictures)
    assert all(one["src"].startswith("data:image/webp;base64,") for one in pictures)
    assert not page.get_all("script") and not page.get_all("link") and "http" not in text
    assert all(cell.get("scope") for cell in page.get_all("th"))
    assert len(page.get_all("caption")) == len(page.get_all("table")) == 3
    said = sum(map(page.text.count, ("The map passes its check", "Do not trust this map")))
    assert said == 2


@pytest.mark.slow
def test_names_that_collide_get_pictures_of_their_own(images: list[Path], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cell.bmp").write_bytes(images[0].read_bytes())
    result = explain_images([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [
        "cell-2.png",
        "cell.png",
    ]
    assert len(result.explanations) == 2


def test_unexplainable_input_is_one_sentence(images: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "no such file" in fail("explain", tmp_path / "gone.bmp", "--out", out)
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((450, 450, 3), np.uint8))
    assert "no cell found" in fail("explain", tmp_path / "none.png", "--out", out)
    (tmp_path / "taken").write_text("mine")
    assert "a file" in fail("explain", images[0], "--out", tmp_path / "taken")
    assert not out.exists() and (tmp_path / "taken").read_text() == "mine"


def test_too_many_images_are_refused_at_once(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanation, "MAX_CELLS", 1)
    with pytest.raises(DataError, match="Expected at most 1"):
        explain_images(images, tmp_path / "out")


def test_a_model_without_measures_gives_no_percentiles_and_says_so(
    images: list[Path], tmp_path: Path
) -> None:
    write_cue_model(tmp_path / "cue.onnx", measured=False)
    out, words = tmp_path / "out", "No percentiles, as the model file holds no measures"
    done = run("explain", images[0], "--model", tmp_path / "cue.onnx", "--out", out)
    assert words in " ".join(done.stdout.split())
    table = pd.read_csv(out / "explanations.csv")
    assert not [name for name in table if "percentile" in name] and table["area"].notna().all()
    page = Page((out / "explanations.html").read_text())
    assert words in page.text and "training cells:" not in page.text
    assert not [cell for cell in page.get_all("td") if "bar" in cell.get("class", "")]
    found = explain_images(images[:1], out, tmp_path / "cue.onnx")
    assert words in repr(found) and found.explanations[0].percentiles == {}


def test_percentiles_are_among_the_models_own_training_cells(
    images: list[Path], tmp_path: Path
) -> None:
    write_cue_model(tmp_path / "cue.onnx")
    classifier = Classifier(tmp_path / "cue.onnx")
    places: list[float] = []
    for times in (1, 3):
        own = Classifier(tmp_path / "cue.onnx")
        own.metadata = scale_measures(classifier.metadata, times)
        found = explanation.explain_sources(list_images(images[:1]), own)
        places.append(found.explanations[0].percentiles["normal"]["area"] or 0.0)
    assert places[0] > 50 and places[1] < 5  # among cells three times as large, a small one


def scale_measures(metadata: ModelMetadata, times: float) -> ModelMetadata:
    """The training cells, larger."""
    assert metadata.measures is not None
    classes = {
        label: dataclasses.replace(
            known,
            quantiles={
                **known.quantiles,
                "area": tuple(times * value for value in known.quantiles["area"]),
            },
        )
        for label, known in metadata.measures.classes.items()
    }
    measures = dataclasses.replace(metadata.measures, classes=classes)
    return dataclasses.replace(metadata, measures=measures)


def test_calls_can_be_made_at_the_sensitive_threshold(images: list[Path], tmp_path: Path) -> None:
    write_cue_model(tmp_path / "cue.onnx")
    for point, threshold in (("balanced", 0.5), ("sensitive", 0.2)):
        out = tmp_path / point
        found = explain_images(images[:2], out, tmp_path / "cue.onnx", operating_point=point)
        for cell in found.explanations:
            assert (cell.call == "leukaemic") == (cell.probability >= threshold)
        assert f"{threshold:.3f}" in (out / "explanations.html").read_text()


def test_pictures_of_an_earlier_explanation_do_not_stay(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    first, second = (catalogue.root / name for name in catalogue.table["image"][:2])
    (tmp_path / "mine.png").write_bytes(b"not ours")
    explain_images([first], tmp_path)
    explain_images([second], tmp_path)
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"mine.png", f"{second.stem}.png"}
