# SPDX-License-Identifier: MIT
"""Rewrite Rust code of the kit or of a driver to code of the kernel's tree, by the series' table.

The rewriter knows paths, calls of a few functions, constants, and words of comments, and nothing else. It refuses code
that would still name the kit afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from r4l.errors import UsageError
from r4l.graft.series import uses
from r4l.graft.series.items import without
from r4l.graft.series.wrap import wrapped
from r4l.paths import LARGEST

PATH = re.compile(r"(?<![\w:$])(::kernel|\$crate|crate|kernel|kit)::(\w+(?:::\w+)*)")
CONSTANT = re.compile(r"(?<![\w:])layout::([A-Z0-9_]+)(?: as (\w+))?")
BRACKET = re.compile(r"[()]")
LEFT = re.compile(r"\bkit\b|r4l|\bcompat\b|linux_\d|kit_\w+")
REMEDY = "add it to the series' table (rust/kit/series.toml, or series.toml of the driver)"


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file, and its replacement."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Call:
    """Replacement of a function of the kit.

    Attributes:
        use: path in the crate `kernel` that the code then needs; empty for a method.
        text: the call, with `{0}` for its argument.
    """

    use: str
    text: str


@dataclass(frozen=True)
class RewriteRules:
    """Replacements that the rewriter makes.

    Attributes:
        modules: modules of the kit, and macros, with their path in the crate `kernel`.
        calls: paths of functions in the kit, with their replacement.
        constants: constants of the kit's layout.c, with their type in the kernel's bindings: `any` for one that fits
            wherever it stands.
        words: texts of comments.
        edits: for one file each.
        omitted: by file, items that the series leaves out.
    """

    modules: Mapping[str, str]
    calls: Mapping[str, Call] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    omitted: Mapping[str, list[str]] = field(default_factory=dict)

    def kernel_path(self, path: str, where: str) -> str:
        """Return the path in the crate `kernel` of a path in the kit.

        Raises:
            UsageError: no module of the table is a beginning of the path.
        """
        parts = path.split("::")
        for length in range(len(parts), 0, -1):
            target = self.modules.get("::".join(parts[:length]))
            if target is not None:
                return "::".join([target, *parts[length:]])
        raise UsageError(f"{where}: kit::{path} has no place in the kernel's tree", REMEDY)


def rewrite(code: str, name: str, rules: RewriteRules, *, of_kit: bool) -> str:
    """Return a file's code for the kernel's tree; it still has to be formatted.

    Args:
        name: the file's path in the kit or in the driver's folder.
        of_kit: True for a file of the kit, which becomes a part of the crate `kernel`.

    Raises:
        UsageError: the code uses a part of the kit that has no place in the kernel, an edit does not fit, or the result
            still names the kit.
    """
    code = edited(code, name, rules.edits)
    code = without(code, rules.omitted.get(name, []), name)
    code = re.sub(r"^[ \t]*#\[cfg\(r4l_kunit\)\]\n", "", code, flags=re.MULTILINE)
    code = re.sub(r"#\[kunit_tests\(kit_", "#[macros::kunit_tests(rust_", code)
    renamed: dict[str, str] = {}
    called: dict[str, Call] = {}
    code = uses.rewrite(code, lambda leaf: _leaf(leaf, name, rules, of_kit, renamed, called), name)

    def outside(text: str) -> str:
        for old, call in called.items():
            text = _call(text, old, call, name)
        for old, new in renamed.items():
            text = re.sub(rf"(?<![\w:]){re.escape(old)}(?=::|!)", new, text)
        text = PATH.sub(lambda match: _path(match, name, rules, of_kit), text)
        return CONSTANT.sub(lambda match: _constant(match, name, rules), text)

    code = uses.outside(code, outside)
    for old, new in rules.words.items():
        code = _replaced(code, old, new, name)
    left = [line.strip() for line in code.splitlines() if LEFT.search(line)]
    if left:
        raise UsageError(f"{name}: the series would still name the kit: {left[0]}", REMEDY)
    return wrapped(code)


def edited(code: str, name: str, edits: tuple[Edit, ...]) -> str:
    """Return a file's code with the edits for it.

    Raises:
        UsageError: the text of an edit does not stand there once.
    """
    for edit in edits:
        if edit.file == name:
            if code.count(edit.old) != 1:
                raise UsageError(
                    f"{name} has {code.count(edit.old)} times the text {edit.old.strip()!r} of the series' table",
                    "correct the edit in the table (rust/kit/series.toml, or series.toml of the driver)",
                )
            code = code.replace(edit.old, edit.new)
    return code


def _replaced(code: str, old: str, new: str, where: str) -> str:
    """Return code with a word of the table replaced.

    Raises:
        UsageError: the word is empty, or the result would be larger than a source is.
    """
    if not old or len(code) + code.count(old) * (len(new) - len(old)) > LARGEST:
        raise UsageError(
            f"{where}: the word {old[:200]!r} of the series' table makes it too large", "correct the table"
        )
    return code.replace(old, new)


def _leaf(
    leaf: uses.Leaf, where: str, rules: RewriteRules, of_kit: bool, renamed: dict[str, str], called: dict[str, Call]
) -> list[uses.Leaf]:
    """Return what replaces an imported path; note names that change with it, and functions to be replaced."""
    root, *rest = leaf
    crate = "crate" if of_kit else "kernel"
    if root == "kernel":
        return [(crate, *rest)]
    if root != ("crate" if of_kit else "kit"):
        return [leaf]
    itself = bool(rest) and rest[-1] == "self"
    parts = rest[:-1] if itself else rest
    if not parts:
        raise UsageError(f"{where}: an import of {root} itself is not understood", "import what the code uses of it")
    path = "::".join(parts)
    if path == "bindings::layout":
        return []
    if path in rules.calls:
        call = called[parts[-1]] = rules.calls[path]
        return [(crate, *call.use.split("::"))] if call.use else []
    inner = {name: call for name, call in rules.calls.items() if name.startswith(f"{path}::")}
    if inner and path not in rules.modules:
        called |= {name.removeprefix(path.removesuffix(parts[-1])): call for name, call in inner.items()}
        return [(crate, *use.split("::")) for use in sorted({call.use for call in inner.values()} - {""})]
    if parts[-1] == "*":
        return [(crate, *rules.kernel_path("::".join(parts[:-1]), where).split("::"), "*")]
    new = rules.kernel_path(path, where).split("::")
    if new[-1] != parts[-1]:
        renamed[parts[-1]] = new[-1]
    return [(crate, *new, *(["self"] if itself else []))]


def _path(match: re.Match[str], where: str, rules: RewriteRules, of_kit: bool) -> str:
    root, path = match[1], match[2]
    if root in ("kernel", "::kernel"):
        inside = "$crate" if root == "::kernel" else "crate"
        return f"{inside}::{path}" if of_kit else match[0]
    if root == "kit" or (of_kit and root in ("crate", "$crate")):
        target = rules.kernel_path(path, where)
        return f"kernel::{target}" if root == "kit" else f"{root}::{target}"
    return match[0]


def _constant(match: re.Match[str], where: str, rules: RewriteRules) -> str:
    name, cast = match[1], match[2]
    kind = rules.constants.get(name)
    if kind is None:
        raise UsageError(f"{where}: the constant {name} of layout.c has no type for the kernel's bindings", REMEDY)
    if cast is None and kind == "u32":
        cast = "usize"
    return f"bindings::{name}" + (f" as {cast}" if cast and cast != kind else "")


def _call(code: str, name: str, call: Call, where: str) -> str:
    """Replace the calls of a function or macro; the argument may have parentheses, and no commas."""
    if call.text.endswith("!"):
        return re.sub(rf"(?<![\w:]){name}!", call.text, code)
    parts: list[str] = []
    at = 0
    for match in re.finditer(rf"(?<![\w:.]){re.escape(name)}\(", code):
        end, depth = match.end(), 1
        while depth and (bracket := BRACKET.search(code, end)):
            depth += {"(": 1, ")": -1}[bracket[0]]
            end = bracket.end()
        if depth:
            raise UsageError(f"{where}: {name}( has no closing parenthesis", "correct it")
        argument = code[match.end() : end - 1]
        if "{0}" in call.text:
            if not re.fullmatch(r"&[\w.:]+", argument):
                raise UsageError(f"{where}: {name}({argument}) is not understood", "give it a reference to a value")
            argument = argument.removeprefix("&")
        elif argument:
            raise UsageError(f"{where}: {name}({argument}) is not understood", "it takes no argument")
        parts += [code[at : match.start()], call.text.replace("{0}", argument)]
        at = end
    return "".join([*parts, code[at:]])
