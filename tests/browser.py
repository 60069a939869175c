"""A headless Chromium driven over its debugging pipe: no package needed but the browser."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


def find_chromium() -> str | None:
    """None skips its tests; with LEUKOSCOPE_REQUIRE_BROWSER set they fail, all at once."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.environ.get("LEUKOSCOPE_REQUIRE_BROWSER"):
        raise RuntimeError("no Chromium is installed here, and LEUKOSCOPE_REQUIRE_BROWSER is set")
    return found


class Browser:
    """One tab."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._in, self._out, self._number, self._rest = read_from, write_to, 0, b""
        self._session: str | None = None
        self._target: str | None = None
        self.events: list[dict[str, Any]] = []
        self.open_tab()

    def open_tab(self) -> None:
        """Go on in a fresh tab; the one before is closed without being asked."""
        if self._target:
            self.send("Target.closeTarget", targetId=self._target)
        self.events.clear()
        self._target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, timeout: float = 30, **params: Any) -> dict[str, Any]:
        """Ask the browser, and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith(("Target.", "Browser.")):
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            found = self._receive(end - time.monotonic())
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])
            self.events.append(found)

    def _receive(self, timeout: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(timeout, 0))
            assert ready, "the browser does not answer"
            self._rest += os.read(self._in, 1 << 20)
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def open(self, address: str) -> None:
        self.send("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def run(self, script: str, timeout: float = 60) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        found = self.send(
            "Runtime.evaluate",
            timeout=timeout,
            expression=script,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)

    def choose_files(self, selector: str, *paths: Path) -> None:
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key: str) -> None:
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            code = {"Escape": 27, "Enter": 13, "End": 35, "ArrowRight": 39}.get(key, 0)
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                **text,
            )

    def resize(self, width: int, height: int, *, dark: bool = False, media: str = "") -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def take_picture(self, path: Path, *, whole: bool = False) -> None:
        found = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def list_complaints(self) -> list[str]:
        """Errors that the page logged, blocked requests and broken policies among them."""
        self.run("1")
        return [
            json.dumps(event["params"])
            for event in self.events
            if event.get("method") == "Runtime.exceptionThrown"
            or (
                event.get("method") == "Log.entryAdded"
                and event["params"]["entry"]["level"] == "error"
            )
        ]


@contextmanager
def open_browser(chromium: str, profile: Path) -> Iterator[Browser]:
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *command],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        process.terminate()
        process.wait(20)
        os.close(ours_in)
        os.close(ours_out)


@contextmanager
def serve(app: Any) -> Iterator[str]:
    """Run an application on a free port, in a thread; its address."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def find_axe(folder: Path) -> str | None:
    """The source of axe-core: LEUKOSCOPE_AXE names its file, else npm fetches it; None without."""
    if path := os.environ.get("LEUKOSCOPE_AXE"):
        return Path(path).read_text("utf-8")
    kept = Path(tempfile.gettempdir()) / "leukoscope-axe"
    path = kept / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists() and (npm := shutil.which("npm")):
        command = [npm, "install", "--no-save", "--prefix", str(kept), "axe-core@4"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=60, check=False, cwd=folder)
    return path.read_text("utf-8") if path.exists() else None
