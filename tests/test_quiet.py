"""No output of libraries on the terminal, on any machine: these libraries are made noisy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from leukoscope.simulate import Cohort

# Loaded by Python itself at its start. What a name in CHATTY prints depends on no processor.
NOISE = """
import logging, os, sys, threading, time, warnings

class Noise:
    begun = False

    def find_spec(self, name, path=None, target=None):
        if name in os.environ["CHATTY"].split(","):
            os.write(2, b"noise: at import of " + name.encode() + b"\\n")
            logging.getLogger(name).warning("noise: logged")
            warnings.warn("noise: warned", stacklevel=1)
            if os.environ.get("LATER") and not Noise.begun:
                Noise.begun = True
                threading.Thread(target=self.go_on, daemon=True).start()
            if os.environ.get("FAULTY") == name:
                raise RuntimeError("the library is broken")
        return None

    def go_on(self):
        while True:
            os.write(2, b"noise: later\\n")
            time.sleep(0.02)

sys.meta_path.insert(0, Noise())
"""

TINY = """
[model]
crop_px = 160
input_px = 32

[training]
epochs = 1
batch_size = 16
"""

ANSWERED = (
    r"1 image: 1 (normal|leukaemic)\.|Conformal calls: .*|Leukaemic from .*|.*below 0.*|"
    r"Written: .*|Expected on new .*|to 0.*|.*leukaemic too\..*|"
    r"Research use only; not a medical device\."
)


@pytest.fixture(scope="module")
def chatter(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which every library that we load writes past `sys.stderr`."""
    folder = tmp_path_factory.mktemp("chatter")
    (folder / "sitecustomize.py").write_text(NOISE)
    places = [str(folder), os.environ.get("PYTHONPATH", "")]
    told = ("TF_CPP_MIN_LOG_LEVEL", "PYTHONWARNINGS", "LEUKOSCOPE_VERBOSE", "COLUMNS")
    return {key: value for key, value in os.environ.items() if key not in told} | {
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "CHATTY": "keras,tensorflow,tf2onnx,onnxruntime,matplotlib,cv2,sklearn,pandas",
        "LATER": "1",
        "COLUMNS": "80",
        "MPLCONFIGDIR": str(tmp_path_factory.mktemp("fonts")),  # so that a font cache is built
    }


def run(
    environment: dict[str, str], *words: object, expect: int = 0
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "leukoscope", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def list_foreign_lines(said: str, ours: str = "") -> list[str]:
    """Lines that are not ours; an empty line is nobody's."""
    return [line for line in said.splitlines() if not line or not re.fullmatch(ours, line)]


@pytest.fixture(scope="module")
def image(cohort: Cohort) -> Path:
    return cohort.root / str(cohort.truth["image"].iloc[0])


@pytest.fixture(scope="module")
def trained(
    chatter: dict[str, str], cohort: Cohort, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """A run, and what training it said."""
    pytest.importorskip("keras", reason="needs the extra train")
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "tiny.toml").write_text(TINY)
    words = ("--folds", 2, "--no-final", "--recipe", folder / "tiny.toml", "--out", folder / "run")
    return folder / "run", run(chatter, "train", cohort.root, *words).stderr


# --- nothing of theirs


@pytest.mark.slow
@pytest.mark.train
def test_train_and_evaluate(chatter: dict[str, str], trained: tuple[Path, str]) -> None:
    folder, said = trained
    ours = r"Run: .*|Fold \d of \d, epoch \d of \d: .*|Finished\. Next: .*|\d+ pairs? .*|.*person.*"
    assert list_foreign_lines(said, ours) == [] and "Fold 2 of 2, epoch" in said
    assert list_foreign_lines(run(chatter, "evaluate", folder).stderr) == []


def test_predict(chatter: dict[str, str], image: Path, tmp_path: Path) -> None:
    done = run(chatter, "predict", image, "--out", tmp_path / "answers.csv")
    assert list_foreign_lines(done.stderr, ANSWERED) == [] and "1 image: 1" in done.stderr


def test_data_audit(chatter: dict[str, str], cohort: Cohort, tmp_path: Path) -> None:
    done = run(chatter, "data", "audit", cohort.root, "--html", tmp_path / "audit.html")
    assert list_foreign_lines(done.stderr) == []


@pytest.mark.slow
def test_explain(chatter: dict[str, str], image: Path, tmp_path: Path) -> None:
    done = run(chatter, "explain", image, "--out", tmp_path / "why")
    assert list_foreign_lines(done.stderr) == []


def test_an_error_of_ours_stays_one_line(chatter: dict[str, str]) -> None:
    done = run(chatter, "predict", "nowhere.bmp", expect=2)
    assert list_foreign_lines(done.stderr, "Error: .*") == [] and "nowhere" in done.stderr


@pytest.mark.train
def test_the_python_api(chatter: dict[str, str]) -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    code = "import leukoscope.models, os; os.write(2, b'mine\\n')"
    environment = chatter | {"LATER": "", "CHATTY": "keras,tensorflow", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0 and done.stderr == "mine\n"
    failed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"FAULTY": "tensorflow"},
    )
    assert failed.returncode == 1 and "the library is broken" in failed.stderr
    assert "noise: at import of tensorflow" in failed.stderr


# --- unless somebody wants it


def test_everything_is_shown_when_asked_for(chatter: dict[str, str], image: Path) -> None:
    said = run(chatter | {"LEUKOSCOPE_VERBOSE": "1"}, "predict", image).stderr
    for noise in ("at import of onnxruntime", "logged", "warned", "later"):
        assert f"noise: {noise}" in said
    said = run(chatter | {"PYTHONWARNINGS": "default"}, "predict", image).stderr
    assert "noise: warned" in said and "noise: at import" not in said


def test_a_crash_shows_what_they_said_below_its_traceback(
    chatter: dict[str, str], image: Path
) -> None:
    environment = chatter | {"FAULTY": "onnxruntime", "LATER": ""}
    said = run(environment, "predict", image, expect=1).stderr
    trace, _, kept = said.partition("Earlier output of libraries:\n")
    assert trace.startswith("Traceback") and "RuntimeError: the library is broken" in trace
    assert "noise" not in re.sub(r'File ".*\n.*\n', "", trace)
    for noise in ("at import of onnxruntime", "logged", "warned"):
        assert f"noise: {noise}" in kept


# --- wherever standard error goes


def run_in_shell(
    environment: dict[str, str], redirection: str, *words: object
) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "leukoscope"]
    return subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, check=False, env=environment
    )


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/null", "<&- 2>&-"])
def test_nobody_listens(
    chatter: dict[str, str], image: Path, tmp_path: Path, redirection: str
) -> None:
    out = tmp_path / "answers.csv"
    done = run_in_shell(chatter, redirection, "predict", image, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    lines = out.read_text().splitlines()  # no library writes into a file that got the number 2
    assert len(lines) == 2 and "noise" not in lines[0] + lines[1]
    assert run_in_shell(chatter, redirection, "predict", "nowhere").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_file_and_a_full_disk(chatter: dict[str, str], image: Path, tmp_path: Path) -> None:
    done = run_in_shell(chatter, f"2>{tmp_path / 'said.txt'}", "predict", image)
    said = (tmp_path / "said.txt").read_text()
    assert done.returncode == 0 and list_foreign_lines(said, ANSWERED) == [] and said
    code = {
        run_in_shell(
            chatter | {"LEUKOSCOPE_VERBOSE": said}, "2>/dev/full", "predict", image
        ).returncode
        for said in ("0", "1")
    }
    assert len(code) == 1 and code != {0}  # as without us


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudoterminal")
def test_a_terminal_is_still_one(chatter: dict[str, str]) -> None:
    import fcntl
    import pty
    import struct
    import termios

    code = (
        "import os, sys; from leukoscope.cli import terminal\n"
        "terminal.silence_libraries(verbose=False)\n"
        "from leukoscope.cli.progress import console\n"
        "os.write(2, b'noise')\n"
        "console.print('[red]Ours[/red]', console.is_terminal, console.width)"
    )
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in chatter.items() if key != "COLUMNS"}
    os.set_blocking(ours, False)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 133, 0, 0))
    subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        check=True,
        env=environment | {"TERM": "xterm-256color"},
    )
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)
    assert "\x1b[31mOurs" in said and "True" in said and "133" in said and "noise" not in said


def test_a_fault_in_a_users_own_part_shows_that_alone(
    chatter: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "mylab.py").write_text(
        "from leukoscope.evaluation import ScoreKind\n"
        "def fail(sums):\n    raise ZeroDivisionError('mine')\n"
        "bad = ScoreKind('bad', 'Bad', 'higher', 'both', fail)\n"
    )
    rows = "".join(f"{n}.png,{n % 8},{'all' if n % 2 else 'hem'},0.{n % 9}\n" for n in range(16))
    (tmp_path / "a.csv").write_text(f"image,subject,label,probability\n{rows}")
    places = os.pathsep.join([str(tmp_path), chatter["PYTHONPATH"]])
    environment = chatter | {"PYTHONPATH": places, "LATER": ""}
    words = ("evaluate", tmp_path / "a.csv", "--score", "mylab:bad", "--n-bootstrap", "100")
    said = run(environment, *words, expect=1).stderr
    assert "ZeroDivisionError: mine" in said and "mylab.py" in said and "noise" not in said
