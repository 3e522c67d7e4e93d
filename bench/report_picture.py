# SPDX-License-Identifier: MIT
"""Draw the README's picture of the report, as PNG: `python bench/report_picture.py`.

It runs `./r4l demo` and has chromium draw the upper part of its report. tests/unit/test_recording.py compares the
steps that the picture names, in a text chunk, with those that the demo has now.
"""

from __future__ import annotations

import argparse
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

from r4l.camp.demo.scenario import STEPS

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/pictures/report.png"
SIZE = "1100,900"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEADER = 33
"""Bytes of a PNG up to the end of its first chunk (W3C, PNG, section 5)."""


def drawn(page: Path, target: Path) -> None:
    """Have a browser draw a page.

    Raises:
        SystemExit: there is no browser.
        subprocess.CalledProcessError: it failed.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise SystemExit(f"none of {', '.join(BROWSERS)} is installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}"]
    subprocess.run([browser, *options, f"--screenshot={target}", page.as_uri()], check=True, stderr=subprocess.DEVNULL)


def described(png: bytes, text: str) -> bytes:
    """Return a PNG with a comment (chunk iTXt; W3C, PNG, section 11.3.3)."""
    content = b"iTXtComment\0\0\0\0\0" + text.encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:HEADER] + chunk + png[HEADER:]


def main() -> None:
    """Draw the report of a demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", nargs="?", type=Path, help="results of a demo; without one, a demo is run")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        out = folder or Path(temporary, "demo")
        if folder is None:
            subprocess.run([ROOT / "r4l", "demo", "--out", out], check=True)
        target = Path(temporary, "report.png")
        drawn(out.resolve() / "report.html", target)
        PICTURE.write_bytes(described(target.read_bytes(), "\n".join(step.title for step in STEPS)))


if __name__ == "__main__":
    main()
