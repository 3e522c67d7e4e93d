# SPDX-License-Identifier: MIT
"""Pages in a browser, where one is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def shown(page: str, tmp_path: Path, place: str = "") -> str:
    """Return a page's elements after its script has run.

    Args:
        page: text of the page.
        tmp_path: folder for the page and the browser's own files.
        place: end of its address, such as `#3`.
    """
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [CHROMIUM or "", *options, "--virtual-time-budget=2000", "--dump-dom", f"file://{file}{place}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout
