import zipfile
from pathlib import Path

import pytest

from leukoscope.errors import DataError
from leukoscope.io.sources import compute_stamp, list_sources


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_folder_and_zip_list_the_same_images(tmp_path: Path) -> None:
    members = {"b/2.bmp": b"two", "a/1.PNG": b"one", "a/notes.txt": b"x", "a/.hidden.bmp": b"x"}
    folder = tmp_path / "folder"
    for name, data in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    archive = write_zip(tmp_path / "cells.zip", members)
    for root in (folder, archive):
        found = list_sources(root)
        assert [source.name for source in found] == ["a/1.PNG", "b/2.bmp"]
        assert [source.read() for source in found] == [b"one", b"two"]


def test_the_stamp_changes_with_a_file(tmp_path: Path) -> None:
    (tmp_path / "1.bmp").write_bytes(b"one")
    before = compute_stamp(list_sources(tmp_path))
    assert before == compute_stamp(list_sources(tmp_path))
    (tmp_path / "1.bmp").write_bytes(b"other")
    assert before != compute_stamp(list_sources(tmp_path))


@pytest.mark.parametrize("name", ["../evil.bmp", "/etc/evil.bmp", "a/../../evil.bmp", "..\\e.bmp"])
def test_unsafe_paths_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="unsafe path"):
        list_sources(write_zip(tmp_path / "bad.zip", {name: b"x"}))


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "bomb.zip", {"a.bmp": b"\0" * 210_000_000})
    with pytest.raises(DataError, match="would unpack"):
        list_sources(path)


def test_a_black_frame_in_a_zip_is_no_bomb(tmp_path: Path) -> None:
    assert len(list_sources(write_zip(tmp_path / "ok.zip", {"a.bmp": b"\0" * 608_454}))) == 1


def test_duplicate_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.bmp", b"1")
        archive.writestr("a.bmp", b"2")
    with pytest.raises(DataError, match="twice"):
        list_sources(path)


def test_what_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such"):
        list_sources(tmp_path / "gone")
    with pytest.raises(DataError, match="no image"):
        list_sources(tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"PK but no zip")
    with pytest.raises(DataError, match="not a readable zip"):
        list_sources(tmp_path / "bad.zip")


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "cells.zip", {"a.bmp": bytes(range(256)) * 40})
    data = bytearray(path.read_bytes())
    data[60:90] = b"\xff" * 30
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"a\.bmp: damaged"):
        list_sources(path)[0].read()
