"""The model card agrees with the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from leukoscope.datasets.cnmc import CNMC
from leukoscope.evaluation import compute_evaluation, find_score
from leukoscope.report import write_model_card


def build_table(**columns: object) -> pd.DataFrame:
    """20 people of 30 cells; "A&B" shows whether Markdown is left unescaped."""
    random = np.random.default_rng(0)
    person = np.arange(600) // 30
    leukaemic = person % 2 == 0
    probability = 0.5 + 0.2 * (leukaemic * 2 - 1) + random.normal(0, 0.2, 600)
    table = pd.DataFrame(
        {
            "image": [f"{n}.bmp" for n in range(600)],
            "subject": ["A&B" if n == 3 else str(n) for n in person],
            "label": np.where(leukaemic, "leukaemic", "normal"),
            "probability": np.clip(probability, 0, 1),
            "fold": (person % 4).astype(str),
            "leaky": False,
        }
    )
    table.loc[table["subject"] == "A&B", "probability"] = 0.9
    return table.assign(**columns)


def write(path: Path, table: pd.DataFrame, banner: str | None = None) -> str:
    evaluation = compute_evaluation(table, n_bootstrap=100)
    write_model_card(
        evaluation,
        path,
        name="compact",
        split="group-kfold",
        expected="Expected on new people: not known.",
        dataset=CNMC,
        facts={"Seed": "7"},
        banner=banner,
    )
    return path.read_text()


def test_the_card_shows_scores_lowest_per_subject_accuracy_and_limits(tmp_path: Path) -> None:
    table = build_table(threshold=0.4, sensitive_threshold=0.3)
    text = write(tmp_path / "card.md", table)
    auc = find_score(compute_evaluation(table, n_bootstrap=100).by_cell, "roc_auc")
    assert f"| ROC-AUC | {auc.value:.3f} |" in text
    assert text.index("| A&B | normal | 30 | 0.00 |") < text.index("## Not available")
    assert "as in C-NMC 2019." in text and CNMC.citation in text
    assert "Research use only" in text and "| Seed | 7 |" in text
    assert "called leukaemic from a probability of 0.4." in text
    assert "At the second threshold" in text
    assert "No person is on both sides." in text


def test_a_leaky_or_simulated_run_says_so(tmp_path: Path) -> None:
    text = write(tmp_path / "card.md", build_table(leaky=True), banner="Simulated cells.")
    assert "**Leaky: people, or images, are on both sides" in text
    assert "**Simulated cells.**" in text
