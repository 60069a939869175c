"""Behind a reverse proxy: names, origins, a prefix; a real nginx with the docs' own config."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from starlette.testclient import TestClient

from browser import find_chromium, open_browser
from leukoscope.errors import SettingsError
from leukoscope.inference.model import Classifier, find_shipped_model
from leukoscope.serve import Proxy, build_app, read_proxy
from leukoscope.simulate import simulate_pairs
from test_serve import encode, serve

DOCS = Path(__file__).parents[1] / "docs" / "serving.md"
NAME = "cells.example.org"


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(find_shipped_model())


@pytest.fixture(scope="module")
def cell() -> bytes:
    return encode(simulate_pairs(1, 5)[0][0])


@contextmanager
def ask(classifier: Classifier, **options: Any) -> Iterator[TestClient]:
    app = build_app(classifier, **options)
    with TestClient(app, base_url=f"http://{NAME}", follow_redirects=False) as client:
        yield client


# --- names, origins, a prefix


def test_only_names_that_were_given_are_taken(classifier: Classifier) -> None:
    for loopback in (True, False):
        with ask(classifier, proxy=read_proxy("", [NAME], []), loopback=loopback) as client:
            for host in (NAME, f"{NAME}:8443", NAME.upper(), "localhost", "127.0.0.1:8000"):
                assert client.get("/healthz", headers={"Host": host}).status_code == 200, host
            for host in ("evil.example", f"evil.{NAME}", f"{NAME}.evil.example", ""):
                answer = client.get("/healthz", headers={"Host": host})
                assert answer.status_code == 421 and "allow-host" in answer.json()["detail"]


def test_only_origins_that_were_given_are_taken(classifier: Classifier, cell: bytes) -> None:
    proxy = read_proxy("", [], [f"https://{NAME}:443/"])
    with ask(classifier, proxy=proxy) as client:  # nginx sends its own Host unless told otherwise
        for origin, status in (
            (f"https://{NAME}", 200),
            ("http://localhost", 200),
            (f"http://{NAME}", 403),
            (f"https://{NAME}:8443", 403),
            ("https://evil.example", 403),
            ("null", 403),
        ):
            headers = {"Host": "localhost", "Origin": origin}
            files = [("files", ("a.png", cell))]
            answer = client.post("/v1/predict", files=files, headers=headers)
            assert answer.status_code == status, origin
            assert "access-control-allow-origin" not in answer.headers


def test_a_prefix_is_taken_away_once(classifier: Classifier) -> None:
    options = {"proxy": read_proxy("leukoscope/", [NAME], []), "token": "open-sesame"}
    with ask(classifier, **options) as client:
        for root in ("", "/leukoscope"):  # whether the proxy takes it away or not
            assert client.get(f"{root}/healthz").status_code == 200
            assert "page/app.js" in client.get(f"{root}/").text
            assert client.get(f"{root}/page/app.js").status_code == 200
            assert client.get(f"{root}/openapi.json").json()["servers"] == [{"url": "/leukoscope"}]
            for path in ("/v1/model", "/metrics"):  # behind the token all the same
                assert client.get(root + path).status_code == 401
                right = {"Authorization": "Bearer open-sesame"}
                assert client.get(root + path, headers=right).status_code == 200
        answer = client.get("/leukoscope")
        assert answer.is_redirect and answer.headers["Location"] == "/leukoscope/"
        for path in ("/leukoscope/leukoscope/healthz", "/leukoscopev1/model", "/other/healthz"):
            assert client.get(path).status_code == 404, path


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("a b", [], []), "'a b' as `root_path`. Expected a path"),
        (("/a/../b", [], []), "Expected a path"),
        (("", ["https://cells.example.org"], []), "without scheme, port or wildcard"),
        (("", ["cells.example.org:80"], []), "without scheme, port or wildcard"),
        (("", ["*"], []), "without scheme, port or wildcard"),
        (("", [""], []), "without scheme, port or wildcard"),
        (("", [], ["cells.example.org"]), "Expected scheme, name"),
        (("", [], ["*"]), "Expected scheme, name"),
        (("", [], ["https://cells.example.org/page"]), "Expected scheme, name"),
    ],
)
def test_what_is_no_name_is_refused(given: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        read_proxy(*given)


def test_what_was_given_is_normalised() -> None:
    found = read_proxy("/", ["Cells.Example.org", "[::1]"], ["HTTP://A.example:80"])
    assert found == Proxy(
        "", frozenset({"cells.example.org", "::1"}), frozenset({"http://a.example"})
    )
    assert read_proxy("//a/b/", [], []).root_path == "/a/b"


# --- a real one


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def read_docs(kind: str) -> str:
    """An example of the docs."""
    return re.findall(rf"^```{kind}\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)[0]


@contextmanager
def run_nginx(folder: Path, site: str) -> Iterator[None]:
    """An nginx of our own, with everything that it writes in a folder."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        assert not os.environ.get("LEUKOSCOPE_REQUIRE_NGINX"), "no nginx is installed here"
        pytest.skip("SKIPPED the test of reverse proxies: no nginx is installed here")
    kept = "\n".join(
        f"  {name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\n  access_log off;\n{kept}\n{site}\n}}\n"
    )
    said = ["-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    process = subprocess.Popen([nginx, *said], stderr=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        process.terminate()
        process.communicate(timeout=20)


@contextmanager
def serve_behind_nginx(folder: Path, *changes: tuple[str, str]) -> Iterator[str]:
    """The address of the page behind nginx, both run as the docs say."""
    command = re.findall(r"^leukoscope serve (--root-path .*)$", read_docs("sh"), re.MULTILINE)[0]
    with serve(*command.split()) as (_, address):
        front = find_free_port()
        own = re.search(r":(\d+)/", address)
        assert own is not None
        site = read_docs("nginx")
        for old, new in (
            *changes,
            ("127.0.0.1:8000", f"127.0.0.1:{own[1]}"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{front};"),  # no certificate in a test
        ):
            assert old in site, old
            site = site.replace(old, new)
        site = re.sub(r".*ssl_certificate.*\n", "", site)
        with run_nginx(folder, site):
            end = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", front), timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < end, (folder / "error.log").read_text()
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{front}/leukoscope/"


def fetch(address: str, headers: dict[str, str] | None = None, body: bytes | None = None) -> Any:
    """Status and body of a response; the name is that of the docs."""
    sent = {"Host": NAME, **(headers or {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, sent), timeout=60) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


STRIPS = "proxy_pass http://127.0.0.1:8000"


@pytest.mark.parametrize("strips", [True, False])
def test_page_and_api_work_behind_nginx(cell: bytes, tmp_path: Path, strips: bool) -> None:
    changes = [] if strips else [(f"{STRIPS}/;", f"{STRIPS};")]
    with serve_behind_nginx(tmp_path, *changes) as address:
        for path in ("", "docs", "page/app.js", "page/api.js", "openapi.json", "v1/model"):
            assert fetch(address + path)[0] == 200, path
        form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
        headers = {"Content-Type": "multipart/form-data; boundary=x", "Origin": f"http://{NAME}"}
        status, found = fetch(f"{address}v1/predict", headers, form + cell + b"\r\n--x--\r\n")
        assert status == 200 and json.loads(found)["rows"][0]["probability"] is not None
        assert fetch(f"{address}v1/model", {"Host": "evil.example"})[0] in (404, 421)
        assert fetch(f"{address}v1/model", {"Origin": "https://evil.example"})[0] == 403


def test_a_browser_behind_nginx(cell: bytes, tmp_path: Path) -> None:
    chromium = find_chromium()
    if chromium is None:
        pytest.skip("no Chromium is installed here")
    (tmp_path / "a.png").write_bytes(cell)
    (tmp_path / "nginx").mkdir()
    with (
        serve_behind_nginx(tmp_path / "nginx", (NAME, "127.0.0.1")) as address,
        open_browser(chromium, tmp_path / "profile") as page,
    ):
        page.open(address)
        page.wait("document.getElementById('expected').textContent !== ''")
        page.choose_files("#files", tmp_path / "a.png")
        page.wait("document.querySelectorAll('#cells li').length === 1")
        page.open(f"{address}docs")
        page.wait("document.querySelectorAll('#routes section').length === 6")
        lines = page.run("document.getElementById('routes').innerText")
        assert f"curl -F files=@cell.bmp {address}v1/predict" in lines
        assert "operating_point" in lines and "rows[].probability" in lines
        assert page.list_complaints() == []
