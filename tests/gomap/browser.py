"""Headless Chromium through chromedriver's own protocol (W3C WebDriver): just enough to click a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


class Browser:
    """One window; use as a context manager."""

    def __init__(self, profile: Path, *flags: str) -> None:
        assert CHROMIUM and DRIVER
        self._driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout
        self._base = ""
        for line in self._driver.stdout:
            if match := re.search(r"started successfully on port (\d+)", line):
                self._base = f"http://127.0.0.1:{match[1]}/session"
                break
        options = {"binary": CHROMIUM, "args": [*FLAGS, *flags, f"--user-data-dir={profile}"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        self._base += "/" + self._send("", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def _send(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        with urlopen(Request(self._base + path, data, method=method), timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path) -> None:
        """Load a file."""
        self._send("/url", {"url": page.as_uri()})

    def _element(self, selector: str) -> str:
        found = self._send("/element", {"using": "css selector", "value": selector})
        (element,) = found.values()
        return str(element)

    def click(self, selector: str) -> None:
        """Click the element, as a user would: it must be visible and not covered."""
        self._send(f"/element/{self._element(selector)}/click")

    def press(self, selector: str, keys: str) -> None:
        """Type into the element."""
        self._send(f"/element/{self._element(selector)}/value", {"text": keys})

    def text(self, selector: str) -> str:
        """What the element shows."""
        return str(self._send(f"/element/{self._element(selector)}/text", method="GET"))

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        self._send("/window/rect", {"width": width, "height": height})

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self._send("/execute/sync", {"script": f"return {script}", "args": []})

    def problems(self) -> list[str]:
        """What the console has complained of."""
        return [entry["message"] for entry in self._send("/se/log", {"type": "browser"})]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._send("", method="DELETE")
        finally:
            self._driver.terminate()
            self._driver.wait()
            assert self._driver.stdout
            self._driver.stdout.close()
