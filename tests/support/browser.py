"""A headless Chromium for tests that look at pages, driven through chromedriver by the WebDriver protocol."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from types import TracebackType
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
DRIVER = shutil.which("chromedriver") or ""
AVAILABLE = bool(CHROMIUM and DRIVER)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)

# All text of a page, that inside of components' shadow trees as well.
_TEXT = """
const text = node => node.nodeType === 3 ? node.textContent
    : (node.shadowRoot ? text(node.shadowRoot) : '') + [...node.childNodes].map(text).join(' ');
return text(document.body);
"""


class Browser:
    """A window of so many pixels, light or dark.

    with Browser(390, 800) as browser:
        browser.open("http://127.0.0.1:6006/")
        browser.wait_for("loss")
    """

    def __init__(self, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.size = (width, height)
        self.dark = dark

    def __enter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        port = next(m[1] for line in self._driver.stdout if (m := re.search(r"successfully on port (\d+)", line)))
        self._address = f"http://127.0.0.1:{port}/session"
        flags = [*_FLAGS, f"--user-data-dir={self._profile.name}", f"--window-size={self.size[0]},{self.size[1]}"]
        options = {"goog:chromeOptions": {"binary": CHROMIUM, "args": flags}}
        session = self._ask("", {"capabilities": {"alwaysMatch": options}})["sessionId"]
        self._address += f"/{session}"
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if self.dark else "light"}]
        self._ask("/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": scheme}})
        width, height = self.size  # a window has a least width, a page on a telephone has not
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._ask("/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(self._address, method="DELETE"), timeout=20)
        finally:
            self._driver.terminate()
            self._driver.wait()
            self._profile.cleanup()

    def open(self, url: str) -> None:
        self._ask("/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a piece of JavaScript returns."""
        return self._ask("/execute/sync", {"script": script, "args": []})

    def text(self) -> str:
        return str(self.run(_TEXT))

    def wait_for(self, *parts: str, seconds: float = 40.0) -> str:
        """The page's text once all parts are in it. Raises AssertionError with what is missing."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            missing = [part for part in parts if part not in text]
            if not missing:
                return text
            if time.monotonic() > end:
                raise AssertionError(f"not on the page after {seconds} s: {missing}; there is: {text[:2000]}")
            time.sleep(0.3)

    def _ask(self, path: str, content: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            self._address + path, json.dumps(content).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=90) as answer:
            return json.loads(answer.read())["value"]
