# SPDX-License-Identifier: MIT
"""Compare the imports of src/r4l with the order of its rooms (rooms.toml), and draw it.

`python docs/rooms.py` writes docs/rooms.svg and the order in docs/ARCHITECTURE.md. It imports nothing of r4l.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DOCS = Path(__file__).resolve().parent
SOURCE = DOCS.parent / "src/r4l"
PICTURE = DOCS / "rooms.svg"
MAP = DOCS / "ARCHITECTURE.md"
BEGIN, END = "<!-- The rooms, written by `python docs/rooms.py` -->", "<!-- The end of the rooms -->"
IMPORTERS = {"import_module", "__import__", "run_module"}
"""Functions that import the module of that name."""
PUBLIC = "r4l"
"""The room of the package's own `__init__.py`."""

WIDTH, HEIGHT, GAP, MARGIN = 92, 30, 14, 20
LANE = 46
"""Pixels between columns, for the arrows."""


@dataclass(frozen=True)
class Import:
    """An import in the code.

    Attributes:
        module: dotted name of the module that imports, without `r4l.`.
        line: number of the line.
        imported: dotted name of what it imports, likewise.
        typed: only under TYPE_CHECKING.
    """

    module: str
    line: int
    imported: str
    typed: bool


@cache
def table() -> dict[str, list[str] | list[list[str]]]:
    """The contents of rooms.toml."""
    return tomllib.loads((DOCS / "rooms.toml").read_text(encoding="utf-8"))


def ground() -> list[str]:
    """The rooms below all others."""
    return [str(room) for room in table()["ground"]]


def columns() -> list[list[str]]:
    """The columns above the ground, each from the bottom to the top."""
    return [[str(room) for room in column] for column in table()["columns"]]


def order() -> list[str]:
    """All rooms; each imports from those before it."""
    return [*ground(), *(room for column in columns() for room in column)]


def room_of(module: str) -> str:
    """The room of a module: the longest name of one that it begins with, else its first part."""
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((name for name in names if name in order()), parts[0])


@cache
def modules() -> Mapping[str, Path]:
    """Dotted names, without `r4l.`, to the files; the package's own is `r4l`."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        name = ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        found[PUBLIC if name == "__init__" else name.removesuffix(".__init__")] = file
    return found


def imports_in(module: str, text: str) -> Iterator[Import]:
    """The imports of r4l's own modules in a text, also those inside functions."""
    tree = ast.parse(text)
    typed = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for part in node.body
        for child in ast.walk(part)
    }
    known = {f"r4l.{name}" for name in modules()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _source(module, node)
            full = [f"{source}.{alias.name}" for alias in node.names]
            names = [name if name in known else source for name in full]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in IMPORTERS:
            names = [_begin(argument) for argument in node.args[:1]]
        else:
            continue
        for name in dict.fromkeys(names):
            if name.split(".")[0] == PUBLIC:
                yield Import(module, node.lineno, name.removeprefix("r4l."), id(node) in typed)


def _source(module: str, node: ast.ImportFrom) -> str:
    """The dotted name that names are imported from, also if it is relative to the module's package."""
    if not node.level:
        return node.module or ""
    parts = [] if module == PUBLIC else module.split(".")
    is_package = module == PUBLIC or (module in modules() and modules()[module].name == "__init__.py")
    above = parts[: len(parts) - node.level + is_package]
    return ".".join([PUBLIC, *above, *([node.module] if node.module else [])])


def _begin(argument: ast.expr) -> str:
    """The name in a text, without a last part that is known at run time only: `r4l.cli` of `f"r4l.cli.{name}"`."""
    if isinstance(argument, ast.JoinedStr):
        first = argument.values[0]
        return str(first.value).rpartition(".")[0] if isinstance(first, ast.Constant) else ""
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""


@cache
def imports() -> tuple[Import, ...]:
    """All imports of r4l's own modules in its code."""
    return tuple(
        found for module, file in modules().items() for found in imports_in(module, file.read_text(encoding="utf-8"))
    )


def against_the_order(found: tuple[Import, ...]) -> list[str]:
    """Imports from a room that does not come before the importer's own, a line each."""
    place = {room: number for number, room in enumerate(order())}
    lines = []
    for one in found:
        own, other = room_of(one.module), room_of(one.imported)
        if own == other:
            continue
        if own not in place or other not in place:
            lines.append(f"{one.module}:{one.line}: {own if own not in place else other} is not in docs/rooms.toml")
        elif place[other] > place[own]:
            lines.append(f"{one.module}:{one.line} imports {one.imported}: the room {other} comes after {own}")
    return lines


def circles(all_of: tuple[Import, ...]) -> list[str]:
    """Groups of modules that import each other when they run, a line each. Annotations are left out."""
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in all_of:
        # A package's own file is run before any other of it.
        if not one.typed and one.module != one.imported and one.imported in graph:
            graph[one.module].add(one.imported)
    reach = {name: _reached(graph, name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]
    }
    return sorted(" ⇄ ".join(sorted(group)) for group in groups if group)


def _reached(graph: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    left = list(graph[start])
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += graph[name]
    return found


def arrows() -> list[tuple[str, str]]:
    """Pairs of rooms above the ground, importer and imported, without those that others imply."""
    upper = [room for column in columns() for room in column]
    graph: dict[str, set[str]] = {room: set() for room in upper}
    for one in imports():
        own, other = room_of(one.module), room_of(one.imported)
        if own != other and own in graph and other in graph:
            graph[own].add(other)
    pairs = [(room, other) for room in upper for other in upper if other in graph[room]]
    return [(a, b) for a, b in pairs if not any(b in _reached(graph, via) for via in graph[a] if via != b)]


def picture() -> str:
    """The rooms and the direction of imports, as SVG."""
    places, width, floor = _places()
    shapes = [_arrow(places[a], places[b]) for a, b in arrows()]
    shapes += [_box(room, *place, "room") for room, place in places.items() if room not in ground()]
    shapes.append(f'<rect class="ground" x="{MARGIN}" y="{floor}" width="{width - 2 * MARGIN}" height="44" rx="6"/>')
    # Each has a share of the width by its letters, with two for the space beside it.
    letters = sum(len(room) + 2 for room in ground())
    before = 0
    for room in ground():
        middle = MARGIN + (width - 2 * MARGIN) * (before + len(room) / 2 + 1) / letters
        before += len(room) + 2
        shapes.append(f'<text class="low" x="{middle:g}" y="{floor + 27}">{room}</text>')
    height = floor + 44 + MARGIN
    body = "\n".join(shapes)
    return f"""<!-- SPDX-License-Identifier: MIT; written by `python docs/rooms.py` -->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">
<title>The rooms of src/r4l. An arrow leads from a room to one that it imports; all stand on the ground.</title>
<style>
text {{ font: 13px sans-serif; text-anchor: middle; fill: #1f2933; }}
.low {{ font-size: 12px; }}
.paper {{ fill: #ffffff; }}
.room {{ fill: #e8f1fb; stroke: #5b84b1; }}
.ground {{ fill: #eef0f2; stroke: #9aa5b1; }}
path {{ fill: none; stroke: #7b8794; }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" style="fill:#7b8794;stroke:none"/></marker></defs>
<rect class="paper" width="{width}" height="{height}"/>
{body}
</svg>
"""


def _places() -> tuple[dict[str, tuple[int, int]], int, int]:
    """The upper left corners of the rooms, the picture's width, and where the ground begins."""
    tallest = max(len(column) for column in columns())
    places = {}
    for number, column in enumerate(columns()):
        for level, room in enumerate(column):
            top = MARGIN + (tallest - 1 - level) * (HEIGHT + GAP)
            places[room] = (MARGIN + number * (WIDTH + LANE), top)
    width = 2 * MARGIN + len(columns()) * (WIDTH + LANE) - LANE
    return places, width, MARGIN + tallest * (HEIGHT + GAP)


def _box(room: str, x: int, y: int, kind: str) -> str:
    label = f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2 + 5}">{room}</text>'
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>{label}'


def _arrow(tail: tuple[int, int], tip: tuple[int, int]) -> str:
    half = HEIGHT // 2
    if tail[0] == tip[0]:
        # In a column: out on the right and in again below.
        x, bend = tail[0] + WIDTH, tail[0] + WIDTH + LANE // 2
        line = f"M{x} {tail[1] + half} C{bend} {tail[1] + half} {bend} {tip[1] + half} {x} {tip[1] + half}"
    else:
        x, to = tail[0], tip[0] + WIDTH
        bend = min(LANE, (x - to) // 2)
        line = f"M{x} {tail[1] + half} C{x - bend} {tail[1] + half} {to + bend} {tip[1] + half} {to} {tip[1] + half}"
    return f'<path d="{line}" marker-end="url(#tip)"/>'


def words() -> str:
    """The order as a part of ARCHITECTURE.md, with its marks."""
    lines = [BEGIN, "![The rooms of src/r4l and the direction of their imports](rooms.svg)", ""]
    lines += ["| column | rooms, from the bottom to the top |", "|---|---|"]
    named = [("ground", ground()), *((str(number), column) for number, column in enumerate(columns(), 1))]
    lines += [f"| {name} | {', '.join(f'`{room}`' for room in rooms)} |" for name, rooms in named]
    return "\n".join([*lines, END])


def with_words(text: str) -> str:
    """A text of ARCHITECTURE.md with the present order between its marks."""
    before, _, rest = text.partition(BEGIN)
    return before + words() + rest.partition(END)[2]


def main() -> None:
    """Write the picture and the order."""
    PICTURE.write_text(picture(), encoding="utf-8")
    MAP.write_text(with_words(MAP.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
