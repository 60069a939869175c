import os
import tarfile
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


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    for name in (".ipynb_checkpoints", ".Trash-1000/files", "__MACOSX/a", "@eaDir", "a", "b/.c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(b"x")
    assert [source.name for source in list_sources(tmp_path)] == ["a/1.png"]
    hidden = tmp_path / ".Trash-1000"  # named by the user, so it is meant
    assert [source.name for source in list_sources(hidden)] == ["files/1.png"]
    names = {".ipynb_checkpoints/1.png": b"x", "__MACOSX/a/2.png": b"x", "a/3.png": b"x"}
    packed = list_sources(write_zip(tmp_path / "a.zip", names))
    assert [source.name for source in packed] == ["a/3.png"]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(b"x")
    data = tmp_path / "data"
    (data / "all").mkdir(parents=True)
    (data / "all" / "2.png").write_bytes(b"y")
    (data / "hem").symlink_to(tmp_path / "elsewhere")
    (data / "all" / "up").symlink_to(data)
    (data / "all" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = list_sources(data)
    assert [source.name for source in found] == ["all/2.png", "all/gone.png", "hem/1.png"]
    with pytest.raises(OSError, match="No such file"):  # which becomes its row
        found[1].read()


def test_a_pipe_is_no_image(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "1.png").write_bytes(b"x")
    assert [source.name for source in list_sources(tmp_path)] == ["1.png"]
    with pytest.raises(DataError, match="a device or a pipe"):
        list_sources(tmp_path / "pipe.png")


def test_names_that_are_no_utf8_stay_apart(tmp_path: Path) -> None:
    for byte in (0xE8, 0xE9):
        (tmp_path / os.fsdecode(b"caf" + bytes([byte]) + b".png")).write_bytes(bytes([byte]))
    found = list_sources(tmp_path)
    assert [source.name for source in found] == ["caf\ufffdE8.png", "caf\ufffdE9.png"]
    assert [source.read() for source in found] == [b"\xe8", b"\xe9"]


def test_a_zip_in_a_folder_is_opened(tmp_path: Path) -> None:
    write_zip(tmp_path / "ward.zip", {"all/1.png": b"x"})
    (tmp_path / "broken.zip").write_bytes(b"PK not a zip")
    (tmp_path / "2.png").write_bytes(b"y")
    found = list_sources(tmp_path)
    assert [source.name for source in found] == ["2.png", "broken.zip", "ward.zip/all/1.png"]
    assert found[2].read() == b"x"
    with pytest.raises(DataError, match="damaged"):
        found[1].read()


@pytest.mark.parametrize(("method", "words"), [(9, "Deflate64"), (98, "PPMd"), (77, "method 77")])
def test_methods_that_cannot_be_unpacked_are_named(tmp_path: Path, method: int, words: str) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.png": b"x" * 99, "2.png": b"y" * 99})
    assert len(list_sources(path)) == 2
    change_zip(path, 10, method, members=2)
    with pytest.raises(DataError, match=f"packed by {words}. Unpack it"):
        list_sources(path)


def test_an_encrypted_member_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1.png": b"x" * 99, "2.png": b"y" * 99})
    change_zip(path, 8, 1, members=1)
    found = list_sources(path)
    assert found[1].read() == b"y" * 99
    with pytest.raises(DataError, match=r"1.png: encrypted. Unpack it with its password"):
        found[0].read()


def change_zip(path: Path, field: int, value: int, members: int) -> None:
    """Set a 16-bit field of the first members, in the directory of the zip (8: flags; 10: method;
    the local headers have them 2 bytes earlier)."""
    data = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x01\x02", field), (b"PK\x03\x04", field - 2)):
        at = 0
        for _ in range(members):
            at = data.index(sign, at) + 4
            data[at + offset - 4 : at + offset - 2] = value.to_bytes(2, "little")
    path.write_bytes(data)


STARTS = {
    "gzip": b"\x1f\x8b",
    "RAR": b"Rar!\x1a",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "xz": b"\xfd7zXZ\0",
}


@pytest.mark.parametrize("kind", ["tar", "gzip", "RAR", "7z", "xz"])
def test_other_archives_are_called_what_they_are(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data"
    if kind == "tar":
        (tmp_path / "1.png").write_bytes(b"x")
        with tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "1.png", "1.png")
    else:
        path.write_bytes(STARTS[kind] + b"0" * 400)
    with pytest.raises(DataError, match=f"data: a {kind} archive. Unpack it"):
        list_sources(path)


def test_zips_in_a_zip_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 1 zips and no image"):
        list_sources(write_zip(tmp_path / "a.zip", {"ward.zip": b"PK"}))
