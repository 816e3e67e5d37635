"""A real browser for the pages: Debian's chromium by Playwright, without any network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
IN_THE_PAGE = ("data:", "blob:", "about:")


def missing() -> str:
    """Why there is no browser here; empty where there is one."""
    if find_spec("playwright") is None:
        return "playwright is not installed (pip install -e '.[dev]')"
    return "" if CHROMIUM else "chromium is not installed (apt-get install chromium)"


class Browser:
    """Opens pages from files, and fails for whatever a page complains of or asks the network for."""

    def __init__(self, browser: Any):
        self.browser, self.faults, self.contexts = browser, [], []

    def __call__(self, path: Path | str, *, dark: bool = False, javascript: bool = True, **size: int) -> Any:
        """Opens a page.

        Args:
            path: of the HTML file, or a URL of a server on this machine.
            dark: as a browser in dark mode.
            javascript: whether it runs.
            size: `width` and `height` of the window, pixels.
        """
        url = path if isinstance(path, str) else path.resolve().as_uri()
        context = self.browser.new_context(
            color_scheme="dark" if dark else "light",
            java_script_enabled=javascript,
            viewport={"width": 1280, "height": 900} | size,
        )
        self.contexts.append(context)
        page = context.new_page()
        allowed = (url.split("#")[0], *IN_THE_PAGE)
        note = self.faults.append
        page.on("console", lambda said: note(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(allowed) else note(asked.url))
        page.goto(url)
        return page


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, without a head and with a new profile."""
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *root])
        try:
            yield opened
        finally:
            opened.close()
