"""Nothing is looked up on a network, and nothing is written but what was asked for."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.catalogue import Catalogue

COMMANDS = {
    "predict": "-m leukoscope predict {image} --out out.csv",
    "explain": "-m leukoscope explain {image} --out out",
    "audit": "-m leukoscope data audit {root} --html out.html",
    "api": "-c \"import leukoscope as lk; lk.predict('{image}'); lk.audit('{root}').plot_areas()\"",
}
TRAIN = "-m leukoscope train {root} --folds 2 --set training.epochs=1 --out out"


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("explain", "train")]


@pytest.mark.parametrize("name", ["predict", "audit", "api", *SLOW])
def test_nothing_is_written_elsewhere_or_looked_up(
    name: str, catalogue: Catalogue, tmp_path: Path
) -> None:
    home, temporary, work = (tmp_path / part for part in ("home", "temporary", "work"))
    for folder in (home, temporary, work):
        folder.mkdir()
    image = catalogue.root / str(catalogue.table["image"][0])
    line = {**COMMANDS, "train": TRAIN}[name].format(image=str(image), root=str(catalogue.root))
    kept = {"PATH", "PYTHONPATH", "LANG"}
    environment = {key: value for key, value in os.environ.items() if key in kept}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary)}
    trace = tmp_path / "calls.txt"
    strace = shutil.which("strace")
    watch = f"{strace} -f -e trace=connect,sendto,sendmsg -o {trace} " if strace else ""
    done = subprocess.run(
        f"{watch}{sys.executable} {line}",
        shell=True,
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    own = home / ".cache" / "leukoscope"
    written = [path for path in home.rglob("*") if path.is_file() and own not in path.parents]
    assert written == []
    assert list(temporary.rglob("*")) == []
    if strace:
        assert re.findall(r".*AF_INET.*", trace.read_text()) == []
