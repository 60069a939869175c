"""Ctrl-C and a full disk: one line of ours, in every command, whatever the libraries say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leukoscope.errors import DataError, describe_os_error, find_full_disk
from leukoscope.simulate import Cohort
from test_quiet import TINY

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")

# Loaded by Python itself at its start: libraries are noisy, and one of them meets Ctrl-C.
HOOK = """
import os, signal, sys

class Hook:
    def find_spec(self, name, path=None, target=None):
        if name in ("onnxruntime", "cv2", "pandas", "keras", "tensorflow"):
            os.write(2, b"noise: at import of " + name.encode() + b"\\n")
        if name == os.environ.get("PRESSED_AT"):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                sum(range(100_000))
            except BaseException:  # as a library does that can do without another
                pass
        return None

sys.meta_path.insert(0, Hook())
"""


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("hook")
    (folder / "sitecustomize.py").write_text(HOOK)
    places = [str(folder), os.environ.get("PYTHONPATH", "")]
    told = {"PYTHONPATH": os.pathsep.join(filter(None, places)), "COLUMNS": "200"}
    return {key: value for key, value in os.environ.items() if key != "LEUKOSCOPE_VERBOSE"} | told


@pytest.fixture(scope="module")
def image(cohort: Cohort) -> Path:
    return cohort.root / str(cohort.truth["image"].iloc[0])


def run(
    environment: dict[str, str], *words: object, start: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        preexec_fn=start,
    )


# --- Ctrl-C


@pytest.mark.parametrize(
    ("library", "command"),
    [
        ("typer", "predict {image}"),
        ("rich.progress", "predict {image}"),
        ("onnxruntime", "predict {image} --out {folder}/a.csv"),
        ("cv2", "explain {image} --out {folder}/why"),
        ("pandas", "data audit {root}"),
        ("matplotlib", "data augmentations {root} --out {folder}/a.png"),
        ("uvicorn", "serve --port 0"),
        pytest.param("tensorflow", "train {root} --out {folder}/run", marks=pytest.mark.train),
    ],
)
def test_while_libraries_load(
    noisy: dict[str, str], cohort: Cohort, image: Path, tmp_path: Path, library: str, command: str
) -> None:
    words = command.format(image=image, root=cohort.root, folder=tmp_path).split()
    done = run(noisy | {"PRESSED_AT": library}, "-m", "leukoscope", *words)
    assert (done.returncode, done.stderr, done.stdout) == (130, "Interrupted.\n", "")
    assert list(tmp_path.rglob("*.csv")) == []


def test_what_a_library_makes_of_it_is_not_shown(noisy: dict[str, str], image: Path) -> None:
    code = """
import os, signal, sys, time
from leukoscope.workflow import prediction

def press(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(9)
    except KeyboardInterrupt:
        {then}

prediction.predict_images = press
sys.argv = ["leukoscope", "predict", {image!r}]
from leukoscope.cli import main
main()
"""
    for then in ("raise RuntimeError('theirs')", "raise OSError(28, 'theirs')", "sys.exit(1)"):
        done = run(noisy, "-c", code.format(then=then, image=str(image)))
        assert (done.returncode, done.stdout) == (130, ""), then
        assert done.stderr.splitlines()[-1] == "Interrupted." and "theirs" not in done.stderr


def test_twice_ends_at_once(noisy: dict[str, str], image: Path) -> None:
    code = f"""
import os, signal, sys, time
from leukoscope.workflow import prediction

def press(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(9)
    finally:
        os.kill(os.getpid(), signal.SIGINT)  # while it cleans up
        time.sleep(60)

prediction.predict_images = press
sys.argv = ["leukoscope", "predict", {str(image)!r}]
from leukoscope.cli import main
main()
"""
    done = run(noisy, "-c", code)
    assert done.returncode == 130 and done.stderr.splitlines()[-1] == "Interrupted."


def test_an_ignored_one_stays_ignored(noisy: dict[str, str], image: Path) -> None:
    ignored = noisy | {"PRESSED_AT": "onnxruntime"}  # a command in the background of a script
    ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    done = run(ignored, "-m", "leukoscope", "predict", image, start=ignore)  # type: ignore[arg-type]
    assert done.returncode == 0


@pytest.mark.slow
@pytest.mark.train
def test_training_says_how_to_go_on(noisy: dict[str, str], cohort: Cohort, tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    (tmp_path / "tiny.toml").write_text(TINY.replace("epochs = 1", "epochs = 40"))
    words = ["train", cohort.root, "--folds", 2, "--recipe", tmp_path / "tiny.toml"]
    folder = tmp_path / "my run"
    process = subprocess.Popen(
        [sys.executable, "-m", "leukoscope", *map(str, words), "--out", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        env=noisy,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "epoch 2 of" in line:
            process.send_signal(signal.SIGINT)
            break
    said = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 130
    assert said[-1] == (
        f"Interrupted. The same command with --continue --out '{folder}' continues the run."
    )
    assert all(re.match(r"Fold \d of 2, epoch", line) for line in said[:-1])


# --- a full disk


@pytest.fixture(params=["tmpfs", pytest.param("limit", marks=pytest.mark.slow)])
def full(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Path, Callable[[], None] | None]]:
    """A folder in which next to nothing can be written, and what a process is to do for that."""
    folder = tmp_path / "full"
    folder.mkdir()
    if request.param == "limit":
        import resource

        yield folder, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000))
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("SKIPPED the full disk: no tmpfs can be mounted here; the limit is tried")
    try:
        yield folder, None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("predict {root} --out {folder}/a.csv", "a.csv"),
        ("data audit {root} --html {folder}/a.html", "a.html"),
        ("data augmentations {root} --out {folder}/a.png", "a.png"),
        ("explain {image} --out {folder}/why", "why"),
        ("simulate {folder}/cells", "cells"),
    ],
)
def test_a_full_disk_is_one_line(
    noisy: dict[str, str],
    cohort: Cohort,
    image: Path,
    full: tuple[Path, Callable[[], None] | None],
    command: str,
    name: str,
) -> None:
    folder, start = full
    words = command.format(image=image, root=cohort.root, folder=folder).split()
    done = run(noisy, "-m", "leukoscope", *words, start=start)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {folder / name}"), line
    assert "Free some space" in line
    assert [path for path in folder.iterdir() if path.is_file()] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output(noisy: dict[str, str], image: Path) -> None:
    environment = {key: value for key, value in noisy.items() if key != "PYTHONUNBUFFERED"}
    command = f'exec "{sys.executable}" -m leukoscope predict "{image}" >/dev/full'
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "Error: Standard output cannot be written: the disk is full. Free some space and run it "
        "again."
    )


def test_a_full_disk_is_found_behind_other_errors() -> None:
    full = OSError(28, "No space left on device")
    full.filename = "a.h5"
    wrapped = RuntimeError("cannot save")
    wrapped.__cause__ = full
    assert find_full_disk(wrapped) is full
    told = find_full_disk(RuntimeError("[Errno 28] No space left on device: 'a.h5'"))
    assert told is not None and describe_os_error(told) == (
        "A file cannot be written: the disk is full."
    )
    assert find_full_disk(DataError("No such image")) is None
