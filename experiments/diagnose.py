"""Why does a run fail where it fails? Its out-of-fold outputs, and frozen features → a few figures.

    python experiments/diagnose.py DATA RUN

Oracles (what if each person's outputs were moved to the class, what if the threshold were chosen
with hindsight), how a person's outputs spread over smears, how similar the outputs of one cell
processed twice are, and in how many cells the features name the person from other smears.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leukoscope.catalogue import Catalogue, read_catalogue, select_usable
from leukoscope.datasets.cnmc import CNMC
from leukoscope.io.runs import open_run
from leukoscope.labels import LABELS, LEUKAEMIC
from leukoscope.logits import compute_logit
from leukoscope.predictions import read_predictions
from leukoscope.settings import read_recipe
from leukoscope.training.features import read_features

_FEWEST = 5  # cells of a smear whose spread is measured
_MANY = 40  # cells of a person to be recognised


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    request = parser.parse_args()
    catalogue, table = read_catalogue(request.data), _read(request.run)
    _print_oracles(table)
    _print_spread(table)
    _print_pairs(catalogue, table)
    _print_recognition(catalogue)


def _read(run: Path) -> pd.DataFrame:
    table = read_predictions(open_run(run).predictions)
    names = [CNMC.parse_name(image) for image in table["image"]]
    smears = [f"{name.subject} {name.smear}" if name else "" for name in names]
    return table.assign(logit=compute_logit(table["output"]), smear=smears)


def _print_oracles(table: pd.DataFrame) -> None:
    truth, logit = (table["label"] == LEUKAEMIC).to_numpy(), table["logit"]
    person = table.groupby("group")["logit"].transform("mean")
    moved = logit - person + table.groupby("label")["logit"].transform("mean")
    print(
        f"ROC-AUC {roc_auc_score(truth, logit):.3f}; people moved to their class's mean: ", end=""
    )
    print(f"{roc_auc_score(truth, moved):.3f}")
    called = table["probability"] >= table["threshold"]
    cuts = np.quantile(logit, np.linspace(0.01, 0.99, 99))
    best = max(f1_score(truth, logit >= cut, average="weighted") for cut in cuts)
    own = f1_score(truth, called, average="weighted")
    print(f"Weighted F1 {own:.3f}; with the best threshold in hindsight {best:.3f}")


def _print_spread(table: pd.DataFrame) -> None:
    known = table[table.groupby("smear")["logit"].transform("size") >= _FEWEST]
    whole = known.groupby("group")["logit"].var().mean()
    within = known.groupby("smear")["logit"].var().mean()
    print(f"Of a person's variance {1 - within / whole:.0%} lies between smears")


def _print_pairs(catalogue: Catalogue, table: pd.DataFrame) -> None:
    links, hashes = catalogue.same_cells, catalogue.table["pixel_hash"]
    changed = links[hashes[links["first"]].to_numpy() != hashes[links["second"]].to_numpy()]
    rows = table.assign(called=table["probability"] >= table["threshold"]).set_index("image")
    ends = [rows.loc[catalogue.table["image"][changed[end]]] for end in ("first", "second")]
    r = np.corrcoef(ends[0]["logit"], ends[1]["logit"])[0, 1]
    differ = (ends[0]["called"].to_numpy() != ends[1]["called"].to_numpy()).mean()
    random, groups = np.random.default_rng(0), table.groupby("group").indices
    called = rows["called"].to_numpy()
    others = [called[random.choice(groups[group])] for group in ends[0]["group"]]
    print(
        f"{len(changed):,} pairs of one cell processed twice: r {r:.2f}, calls differ in ", end=""
    )
    print(
        f"{differ:.1%}; of random pairs of a person in {(ends[0]['called'] != others).mean():.1%}"
    )


def _print_recognition(catalogue: Catalogue) -> None:
    table = select_usable(catalogue)
    features = read_features(read_recipe("texture"), catalogue)[table.index]
    for label in reversed(LABELS):
        sizes = table.groupby("group")["image"].transform("size")
        own = ((table["label"] == label) & (sizes >= _MANY)).to_numpy()
        right, largest, people = _recognise(features[own], table[own])
        print(
            f"{label}: {people} people, recognised from other smears in {right:.0%} of cells; "
            f"the largest has {largest:.0%}"
        )


def _recognise(features: npt.NDArray[np.float32], table: pd.DataFrame) -> tuple[float, float, int]:
    """Share of cells whose person is named, learnt from half of the smears; largest; people."""
    person = table["group"].to_numpy()
    smear = (table["subject"] + " " + table["smear"].astype(str)).to_numpy()
    random = np.random.default_rng(0)
    half = {name: random.random() < 0.5 for name in np.unique(smear)}
    learnt = np.array([half[name] for name in smear])
    model = make_pipeline(
        StandardScaler(),
        PCA(128, random_state=0),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    )
    model.fit(features[learnt], person[learnt])
    asked = ~learnt & np.isin(person, np.unique(person[learnt]))
    right = (model.predict(features[asked]) == person[asked]).mean()
    names, counts = np.unique(person, return_counts=True)
    return float(right), float(counts.max() / len(person)), len(names)


if __name__ == "__main__":
    main()
