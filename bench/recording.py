# SPDX-License-Identifier: MIT
"""Draw the picture of the README, `./r4l demo` in a real terminal, as SVG: `python bench/recording.py`.

It needs the terminal emulator pyte (`pip install pyte`).

The demo runs in a pseudo-terminal, a terminal emulator keeps what stands on its screen at the end, and rich draws that.
tests/unit/test_recording.py compares the picture with the steps that the demo has now.
"""

from __future__ import annotations

import argparse
import io
import os
import pty
import re
import sys
import termios
from pathlib import Path

import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

from r4l import home

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs/pictures/demo.svg"
COLUMNS, LINES = 118, 60
FORMAT = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "Fira Code, DejaVu Sans Mono, Menlo, Consolas"
)
"""rich's picture without the fonts that it would load from somebody's server."""


def recorded(argv: list[str]) -> pyte.Screen:
    """Run a command in a terminal of its own and return the screen at its end.

    Raises:
        SystemExit: the command failed.
    """
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(LINES))
        os.execvp(argv[0], argv)
    termios.tcsetwinsize(terminal, (LINES, COLUMNS))
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO: the command has ended (pty(7)).
            break
        stream.feed(data)
    if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        sys.exit(f"{' '.join(argv)} ended with {code}:\n" + "\n".join(screen.display))
    return screen


def colour(name: str) -> str | None:
    """Return rich's name of a colour of pyte's."""
    if name == "default":
        return None
    return f"#{name}" if re.fullmatch("[0-9a-f]{6}", name) else {"brown": "yellow"}.get(name, name)


def lines(screen: pyte.Screen) -> list[list[Segment]]:
    """Return the screen's lines to the last that is not blank, each as segments of one style."""
    last = max((row for row, text in enumerate(screen.display) if text.strip()), default=0)
    found = []
    for row in range(last + 1):
        cells = [screen.buffer[row][column] for column in range(COLUMNS)]
        segments = (Segment(cell.data, Style(color=colour(cell.fg), bold=cell.bold)) for cell in cells)
        found.append(list(Segment.simplify(segments)))
    return found


def main() -> None:
    """Record the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=PICTURE)
    asked = parser.parse_args()
    screen = recorded([str(ROOT / "r4l"), "demo"])
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    prompt = Segment("$ ", Style(color="green")), Segment("./r4l demo\n", Style(bold=True))
    console.print(Segments(prompt), end="")
    for line in lines(screen):
        console.print(Segments([*line, Segment.line()]), end="")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    svg = console.export_svg(title="r4l", code_format=FORMAT)
    svg = svg.replace(">", ">\n    <!-- SPDX-License-Identifier: MIT -->", 1).replace(str(home.home()), "~/.cache/r4l")
    asked.out.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
