"""Writing: whole or not at all, and never over what cannot be replaced."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest

from leukoscope.errors import DataError
from leukoscope.io.files import move_into_place, write_bytes, write_text
from leukoscope.io.formulas import defuse, restore
from leukoscope.io.runs import read_run_table
from leukoscope.io.tables import parse_table, read_table, write_table


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "link.csv", tmp_path / "real" / "table.csv"
    link.symlink_to("real/table.csv")  # to nothing yet
    for text in ("one", "two"):
        write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["table.csv"]


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_text(tmp_path / "a", "x")


def test_a_pipe_gets_the_bytes_and_stays(tmp_path: Path) -> None:
    pipe, received = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_bytes(pipe, b"rows")
    reader.join(10)
    assert received == [b"rows"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a device")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    node = tmp_path / "null"
    try:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        node.write_bytes(b"")
    except PermissionError:
        pytest.skip("devices cannot be made or opened in this folder")
    write_bytes(node, b"rows")
    assert stat.S_ISCHR(node.stat().st_mode)


def test_standard_output_can_be_named(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from leukoscope.io.files import write_text;"
        "print('before', flush=True); write_text(Path('/dev/stdout'), 'rows\\n')"
    )
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"before\nrows\n"
    with (tmp_path / "out.txt").open("wb") as out:
        subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "out.txt").read_bytes() == b"before\nrows\n"


def test_a_folder_is_refused_before_the_work(tmp_path: Path) -> None:
    def write() -> None:
        with move_into_place(tmp_path):
            raise AssertionError

    with pytest.raises(IsADirectoryError):
        write()


def test_permissions_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "private.csv"
    write_text(path, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~current_umask()
    path.chmod(0o600)
    write_text(path, "two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_long_name_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 120 + ".csv")
    write_text(path, "x")
    assert path.read_text() == "x"


def test_what_a_killed_writer_left_is_removed_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    code = (
        "import os, sys; from pathlib import Path;"
        "from leukoscope.io.files import move_into_place;"
        f"part = move_into_place(Path({str(path)!r})).__enter__(); part.write_text('half');"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.iterdir()
    with move_into_place(path) as part:
        assert not left.exists()
        write_text(path, "other")  # a second writer beside this one
        assert part.exists()
        part.write_text("last")
    assert [found.name for found in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text() == "last"


NAMES = ["=1+1.png", "+a", "-b", "@c", "\td", "'=e", "''f", "g", "'h", "＝i", ""]


def test_names_are_no_formulas_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    table = pd.DataFrame({"image": NAMES, "=x": [-1.5] * len(NAMES)})
    write_table(path, table)
    lines = path.read_text("utf-8").splitlines()
    assert not [line for line in lines if line.startswith(("=", "+", "-", "@", "\t", "＝"))]
    assert lines[1] == "'=1+1.png,-1.5"
    pd.testing.assert_frame_equal(read_table(path, "image", text=["image"]), table)
    assert [restore(defuse(name)) for name in NAMES] == NAMES


ROWS = pd.DataFrame({"image": ["a.png", "ü,1.png"], "Probability": [0.25, 1.0]})


@pytest.mark.parametrize(
    "text",
    [
        'image,Probability\na.png,0.25\n"ü,1.png",1.0\n',
        "image;Probability\r\na.png;0,25\r\nü,1.png;1\r\n",
        "sep=;\nimage;Probability\na.png;0,25\nü,1.png;1,0\n",
        "image\tProbability\na.png\t0.25\nü,1.png\t1.0\n",
        ' IMAGE ,Probability\na.png,0.25\n"ü,1.png",1.0\n',
        'image,Probability\n,\na.png,0.25\n\n"ü,1.png",1.0\n,\n,\n',
        "image;Probability;\na.png;0,25;\nü,1.png;1,0;\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_spreadsheets_are_read(text: str, encoding: str) -> None:
    found = parse_table(text.encode(encoding), "t.csv", "", text=["image"], known=["image"])
    pd.testing.assert_frame_equal(found[["image", "Probability"]], ROWS)


def test_text_of_a_semicolon_table_stays_text() -> None:
    data = b"subject;share\n1,5;0,5\n007;1\n"
    found = parse_table(data, "t.csv", "", text=["subject"])
    assert found["subject"].tolist() == ["1,5", "007"]
    assert found["share"].tolist() == [0.5, 1.0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"image,label\n\xff\xe9,all\n", "UTF-8"),
        (b"image,Image\na,b\n", "the column image is there twice"),
        (b'image,label\n"a,all\n', "cannot be parsed"),
    ],
)
def test_what_is_no_table_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse_table(data, "t.csv", "image and label", known=["image"])


def test_a_word_sep_within_a_table_stays(tmp_path: Path) -> None:
    found = parse_table(b"image,note\na.png,sep=;\nb.png,x\n", "t.csv", "image")
    assert found["note"].tolist() == ["sep=;", "x"]


def test_names_of_a_runs_table_come_back(tmp_path: Path) -> None:
    path = tmp_path / "outputs.csv"
    write_table(path, pd.DataFrame({"image": NAMES[:5], "probability": 0.5}))
    assert read_run_table(path, {"image": str, "probability": float})["image"].tolist() == NAMES[:5]
