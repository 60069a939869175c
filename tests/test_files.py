"""Writing: whole or not at all, and never over what cannot be replaced."""

import errno
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.errors import DataError, DiskFullError, NoticeWarning, RunError
from leukoscope.io import locks
from leukoscope.io.digests import is_whole, keep_whole, write_digest
from leukoscope.io.files import move_into_place, write_bytes, write_text
from leukoscope.io.formulas import defuse, restore
from leukoscope.io.locks import check_free, lock_folder
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


def test_bytes_then_name_are_on_the_disk_when_the_writer_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        fsync(handle)
        name = Path(f"/proc/self/fd/{handle}").resolve().name
        synced.append((name, sorted(path.name for path in tmp_path.iterdir())))

    monkeypatch.setattr(os, "fsync", note)
    write_text(tmp_path / "table.csv", "x")
    (part, before), (folder, after) = synced
    assert part.startswith(".table.csv-") and before == [part]
    assert (folder, after) == (tmp_path.name, ["table.csv"])


@pytest.mark.parametrize("writer", ["python", "numpy"])
def test_a_full_disk_is_named_with_its_free_space_and_the_file_stays(
    writer: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.npy"
    write_bytes(path, b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DiskFullError, match=r"larger than .* here, [\d,.]+ MB free") as found:
            if writer == "python":
                write_bytes(path, bytes(200_000))
            else:
                with move_into_place(path) as part:
                    np.save(part, np.zeros(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (found.value.errno, found.value.filename) == (errno.EFBIG, str(path))
    assert [item.read_bytes() for item in tmp_path.iterdir()] == [b"before"]


def test_libraries_that_leave_the_number_out_are_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        with move_into_place(tmp_path / "x.npy"):
            raise OSError("1234 requested and 12 written")

    with pytest.raises(OSError, match="requested") as found:
        write()
    assert not isinstance(found.value, DiskFullError)
    monkeypatch.setattr("leukoscope.io.files._find_limit", lambda part: errno.ENOSPC)
    monkeypatch.setattr("leukoscope.io.files._find_free", lambda target: 10_000)
    with pytest.raises(DiskFullError, match=r"the disk is full, 0\.0 MB free"):
        write()


# --- one writer a folder

HOLD = """
import sys, time
from pathlib import Path
from leukoscope.io.locks import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_holds_the_folder_and_a_killed_one_holds_nothing(
    tmp_path: Path,
) -> None:
    run = tmp_path / "a" / "run"
    command = [sys.executable, "-c", HOLD, str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        for use in (check_free, lambda folder: lock_folder(folder).__enter__()):
            with pytest.raises(RunError, match=rf"process {holder.pid} on .*, since \d{{4}}-"):
                use(run)
        holder.kill()
    check_free(run)
    assert (run / ".lock").exists()  # which says nothing any more
    with lock_folder(run), pytest.raises(RunError, match=f"process {os.getpid()} on"):
        check_free(run)  # as for another thread
    assert list(run.iterdir()) == []  # a folder that was there stays
    with lock_folder(tmp_path / "b" / "run"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]  # and one that is not needed goes


def test_only_one_of_many_holds_a_folder_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], []

    def work() -> None:
        for _ in range(30):
            try:
                with lock_folder(tmp_path / "run"):
                    inside[0] += 1
                    most.append(inside[0])
                    inside[0] -= 1
            except RunError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and not list(tmp_path.rglob(".lock"))


def test_a_lock_on_a_file_that_its_last_holder_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, handles = locks._lock, []

    def lock(folder: Path, handle: int, kind: int) -> bool:
        if not handles:  # the holder before us ends between our opening and our lock
            (folder / ".lock").unlink()
        handles.append(handle)
        return take(folder, handle, kind)

    monkeypatch.setattr(locks, "_lock", lock)
    with lock_folder(tmp_path):
        assert len(handles) == 2 and (tmp_path / ".lock").exists()


def test_a_file_system_without_locks_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Without:
        LOCK_EX, LOCK_SH, LOCK_NB = 2, 1, 4

        @staticmethod
        def flock(handle: int, kind: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

    for found in (Without, None):
        monkeypatch.setattr(locks, "fcntl", found)
        check_free(tmp_path)
        with pytest.warns(NoticeWarning, match="no locks"), lock_folder(tmp_path):
            assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_run(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"), lock_folder(tmp_path / "run"):
        raise AssertionError


# --- digests


def test_a_digest_finds_a_flipped_bit_and_is_as_sha256sum_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "links.csv"
    write_bytes(path, b"first,second\n1,2\n")
    assert not is_whole(path)
    write_digest(path)
    assert is_whole(path)
    command = ["sha256sum", "--check", "--status", f"{path.name}.sha256"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 0
    path.write_bytes(b"first,second\n1,3\n")
    assert not is_whole(path)
    with pytest.warns(NoticeWarning, match="links.csv: damaged, so it is made again"):
        keep_whole(path, lambda: write_bytes(path, b"first,second\n1,2\n"))
    keep_whole(path, lambda: pytest.fail("it is whole"))


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
