# SPDX-License-Identifier: MIT
"""The names that a kernel's headers define, and the search for those that resemble a missing name.

Lines are matched by patterns, without a C parser. The index is made once for each kernel and kept in the home.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from r4l import home

DEFINITION = re.compile(
    r"^#[ \t]*define[ \t]+(?P<macro>\w+)"
    r"|^(?:typedef[ \t]+)?(?:struct|union|enum)[ \t]+(?P<type>\w+)\s*\{"
    r"|^typedef\b[^;{\n]*?\b(?P<alias>\w+)(?:\[\w*\])?;"
    r"|^context_lock_struct\((?P<lock>\w+)"
    r"|^(?=[a-z_])(?:__\w+\([^()\n]*\)[ \t]*)?[^;={#\n\"]*?\b(?P<function>[a-z_]\w+)\((?!\*)"
    r"|^\t(?P<constant>[A-Z][A-Z0-9_]{3,})\b[ \t]*(?:=[^;\n]*?)?,?[ \t]*(?:/[/*].*)?$",
    re.MULTILINE,
)
"""Definitions and declarations as the kernel's style writes them: in the first column, enum constants after a tab."""
GUARD = re.compile(r"_*[A-Z0-9_]+_H_*")
"""The macro by which a header guards against a second #include."""
MEMBER = re.compile(r"\(\s*\*\s*(\w+)\s*\)\s*\(|\b(\w+)\s*(?:\[[^\]]*\]|:\s*\d+)?\s*;")
"""A member of a struct: a pointer to a function, or the last name before a semicolon."""
NO_NAMES = frozenset({"if", "for", "while", "switch", "return", "sizeof", "defined", "typeof", "__attribute__"})
SHORT = 3
"""Letters of names that are too short to be kept."""
FOLDERS = ("include", "arch/{arch}/include")
ALIKE = 0.82
"""Ratio of difflib above which two names resemble each other."""
NEARLY_THE_SAME = 0.9
"""Ratio above which names resemble each other that begin with different words."""
OPPOSITES = (
    ("get", "set"), ("get", "put"), ("read", "write"), ("rx", "tx"), ("alloc", "free"), ("register", "unregister"),
    ("init", "fini"), ("init", "exit"), ("lock", "unlock"), ("enable", "disable"), ("add", "del"), ("add", "remove"),
    ("map", "unmap"), ("start", "stop"), ("encrypt", "decrypt"), ("open", "close"), ("inc", "dec"), ("set", "clear"),
)  # fmt: skip
"""Words that never stand for each other in a new name."""
START = 4
"""Letters that names of nearly the same length have in common at their start, without a word in common."""
VERSION = 5
"""Version of the index, part of its file's name; raise it when more or other names are read."""


@dataclass(frozen=True)
class Found:
    """A name in the headers.

    Attributes:
        name: the name.
        file: header, relative to the source.
        line: line number from 1.
    """

    name: str
    file: str
    line: int

    @property
    def include(self) -> str:
        """The header as an `#include` names it."""
        return re.sub(r"^(?:arch/\w+/)?include/(?:uapi/)?", "", self.file)

    @property
    def wanted(self) -> str:
        """The header that drivers include: not the parts that others include (`highmem-internal.h`)."""
        return re.sub(r"^asm-generic/", "asm/", re.sub(r"[-_]internal(?=\.h$)", "", self.include))

    def __str__(self) -> str:
        return f"`{self.name}` ({self.file}:{self.line})"


class Headers:
    """The headers of a kernel.

    Args:
        source: the kernel's source tree.
        arch: folder of its architecture under arch/.
        key: key of the kernel, under which the index is kept.
    """

    def __init__(self, source: Path, arch: str, key: str) -> None:
        self.source = source
        self.arch = arch
        self.key = key

    def named(self, name: str, header: str = "") -> Found | None:
        """Return the definition of a name; of several the one that drivers include.

        Args:
            name: name to look for.
            header: name of the only header to look in, without folders.
        """
        return next(iter(self.places(name, header)), None)

    def places(self, name: str, header: str = "") -> list[Found]:
        """Return the definitions of a name, that in the header that drivers include first; one header may have several,
        under conditions."""
        places = [place for place in self._index.get(name, ()) if not header or place.file.endswith(f"/{header}")]
        return sorted(places, key=_preference)

    def declaration(self, found: Found) -> str:
        """Return a function's declaration or a macro's name and parameters, as the header has them, in one line."""
        text = "\n".join(self._lines(found.file)[found.line - 1 :][:30])
        if text.startswith("#"):
            macro = re.match(r"#[ \t]*define[ \t]+(\w+(?:\((?:[^()]|\\\n)*\))?)", text)
            return " ".join(macro[1].replace("\\", " ").split()) if macro else found.name
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        head = re.split(r"[;{]", text, maxsplit=1)[0]
        at = re.search(rf"\b{re.escape(found.name)}\s*\(", head)
        if at:
            depth, end = 0, len(head)
            for number, letter in enumerate(head[at.start() :], at.start()):
                depth += {"(": 1, ")": -1}.get(letter, 0)
                if letter == ")" and not depth:
                    end = number + 1
                    break
            head = head[:end]
        words = re.sub(r"\b(?:extern|static|inline|__always_inline|__must_check|asmlinkage)\b", " ", head)
        return " ".join(words.split()).replace("( ", "(")

    def is_tag(self, found: Found) -> bool:
        """Return whether a name is that of a struct, union or enum, used with this word only."""
        # Not a function that returns one: its declaration begins with the word, too.
        tag = rf"(?:struct|union|enum)\s+{re.escape(found.name)}\b"
        return bool(re.match(tag, self._lines(found.file)[found.line - 1]))

    def conditions(self, found: Found) -> list[str]:
        """Return the preprocessor's conditions that a definition stands under, outer ones first, without the guard
        against a second #include."""
        stack: list[str] = []
        lines = self._lines(found.file)[: found.line]
        for number, line in enumerate(lines):
            match = re.match(r"#[ \t]*(ifdef|ifndef|if|elif|else|endif)\b[ \t]*(.*?)[ \t]*(?:/\*.*)?$", line)
            if match is None:
                continue
            word, said = match.groups()
            if word == "endif":
                del stack[-1:]
            elif word == "else" and stack:
                stack[-1] = f"not {stack[-1]}"
            elif word == "elif" and stack:
                stack[-1] = f"#if {said}"
            else:
                guard = word == "ifndef" and re.match(
                    rf"#[ \t]*define[ \t]+{re.escape(said)}\b", lines[number + 1 :][0]
                )
                stack.append("" if guard else f"#{word} {said}")
        return [said for said in stack if said]

    def _lines(self, file: str) -> list[str]:
        return (self.source / file).read_text(errors="replace", encoding="utf-8").splitlines()

    def resembling(self, name: str, count: int = 2, *, function: bool = False) -> list[Found]:
        """Return the names most like a missing one, best first; empty if none is similar.

        Args:
            name: the missing name.
            count: the most names to return.
            function: whether the name is called, so that no struct can be meant.
        """
        words = _words(name)
        if len(name) < 5 or not words:
            return []
        shared: dict[str, int] = defaultdict(int)
        for word in words:
            for other in self._by_word.get(word, ()):
                shared[other] += 1
        near = {other for other, number in shared.items() if number * 2 >= len(words)}
        near |= {other for other in self._by_start.get(name[:START], ()) if abs(len(other) - len(name)) < 4}
        rated = [(_likeness(name, words, other), other) for other in near - {name}]
        best = sorted(
            (rating for rating in rated if rating[0] >= ALIKE and _may_stand_for(name, *rating)), reverse=True
        )
        found = (place for _, other in best if (place := self.named(other)))
        return list(itertools.islice((place for place in found if not function or not self.is_tag(place)), count))

    def files(self, header: str) -> list[str]:
        """Return the headers that resemble a missing one, as an `#include` names them: those whose path has the same
        words (`asm/a/b.h` for `asm/a_b.h`), or else the same name elsewhere, or a similar one in the same folder."""
        folder, _, base = header.rpartition("/")
        names = {Found("", file, 0).include for file in self._files}
        words = re.split(r"[/_.-]", header)
        moved = sorted(name for name in names if re.split(r"[/_.-]", name) == words)
        same = sorted(name for name in names if name.rpartition("/")[2] == base)
        if moved or same:
            return (moved or same)[:3]
        beside = {name.rpartition("/")[2]: name for name in names if name.rpartition("/")[0] == folder}
        return [beside[other] for other in difflib.get_close_matches(base, beside, 2, ALIKE)]

    def members(self, struct: str, name: str) -> tuple[Found, list[str]] | None:
        """Return the struct's definition and its members that resemble a name; None if no header defines the struct."""
        defined = self._struct(struct)
        if defined is None:
            return None
        found, body = defined
        plain = sorted({match[1] or match[2] for match in MEMBER.finditer(body)})
        words = _words(name)
        alike = sorted(((_likeness(name, words, other), other) for other in plain), reverse=True)
        return found, [other for likeness, other in alike if likeness >= 0.7][:3]

    def member(self, struct: str, name: str) -> Found | None:
        """Return a struct's member; None if no header defines the struct with it."""
        defined = self._struct(struct)
        if defined is None:
            return None
        found, body = defined
        match = next((match for match in MEMBER.finditer(body) if name in match.groups()), None)
        if match is None:
            return None
        lines = body.count("\n", 0, match.start(match.lastindex or 0))
        return Found(name, found.file, found.line + lines)

    def _struct(self, name: str) -> tuple[Found, str] | None:
        """Return a struct's definition and the text between its brackets, each comment as its line ends; None if no
        header defines it."""
        found = self.named(name)
        if found is None:
            return None
        text = "\n".join(self._lines(found.file)[found.line - 1 :])
        begin = re.match(rf"struct {re.escape(found.name)}\s*\{{", text)
        if begin is None:
            return None
        body = re.split(r"^\}", text[begin.end() :], maxsplit=1, flags=re.MULTILINE)[0]
        uncommented = re.sub(
            r"/\*.*?\*/|//[^\n]*", lambda comment: "\n" * comment[0].count("\n"), body, flags=re.DOTALL
        )
        return found, uncommented

    @cached_property
    def _by_start(self) -> dict[str, list[str]]:
        by_start: dict[str, list[str]] = defaultdict(list)
        for name in self._index:
            by_start[name[:START]].append(name)
        return by_start

    @cached_property
    def _by_word(self) -> dict[str, list[str]]:
        by_word: dict[str, list[str]] = defaultdict(list)
        for name in self._index:
            for word in _words(name):
                by_word[word].append(name)
        return by_word

    @cached_property
    def _files(self) -> list[str]:
        return sorted({place.file for places in self._index.values() for place in places})

    @cached_property
    def _index(self) -> dict[str, list[Found]]:
        index: dict[str, list[Found]] = defaultdict(list)
        kept = home.room("headers") / f"{self.key}-{self.arch}-{VERSION}"
        if not kept.is_file():
            with home.lock(f"headers-{kept.name}"):
                home.replace_text(kept, "".join(f"{f.name}\t{f.file}\t{f.line}\n" for f in self._read()))
        for line in kept.read_text(encoding="utf-8").splitlines():
            name, file, number = line.split("\t")
            index[name].append(Found(name, file, int(number)))
        return index

    def _read(self) -> list[Found]:
        found = []
        for folder in FOLDERS:
            for path in sorted((self.source / folder.format(arch=self.arch)).rglob("*.h")):
                if "dt-bindings" in path.parts:
                    # Constants of boards: as many as all other names together, and not used by drivers' code.
                    continue
                text = path.read_text(errors="replace", encoding="utf-8")
                file = str(path.relative_to(self.source))
                line, at = 1, 0
                for match in DEFINITION.finditer(text):
                    name = next(filter(None, match.groups()), "")
                    line, at = line + text.count("\n", at, match.start()), match.start()
                    if len(name) > SHORT and name not in NO_NAMES and name.isascii() and not GUARD.fullmatch(name):
                        found.append(Found(name, file, line))
        return found


@lru_cache(maxsize=2)
def of(source: Path, arch: str, key: str) -> Headers:
    """Return the headers of a kernel, read once in a process."""
    return Headers(source, arch, key)


def _preference(found: Found) -> tuple[bool, bool, int, str]:
    inner = found.include
    return ("asm-generic/" in inner or "/uapi/" in found.file, not inner.startswith("linux/"), len(inner), inner)


@lru_cache(maxsize=64)
def _words(name: str) -> frozenset[str]:
    return frozenset(word for word in name.lower().split("_") if len(word) > 1)


def _may_stand_for(name: str, likeness: float, other: str) -> bool:
    """Return whether a similar name can be the new one: not one of the opposite meaning, nor of another subsystem."""
    before, after = _words(name), _words(other)
    if any(a in before and b in after and a not in after for pair in OPPOSITES for a, b in (pair, pair[::-1])):
        return False
    first = next((word for word in name.lower().split("_") if len(word) > 1), "")
    return first in after or len(before) == 1 or likeness > NEARLY_THE_SAME


def _likeness(name: str, words: frozenset[str], other: str) -> float:
    """Return 1.0 for the same words in another order, otherwise difflib's ratio."""
    if words and words == _words(other):
        return 1.0
    return difflib.SequenceMatcher(None, name, other, autojunk=False).ratio()
