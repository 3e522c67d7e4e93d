# SPDX-License-Identifier: MIT
"""Character-level reader for Rust v0 symbols: numbers, names and back references, with bounds on depth and output."""

from __future__ import annotations

from collections.abc import Callable

DEPTH_LIMIT = 128
OUTPUT_LIMIT = 8192


class Invalid(Exception):
    """The text is not a valid v0 symbol."""


class Cursor:
    """Position in a symbol, and the output so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.out: list[str] = []
        self.length = 0
        self.depth = 0
        self.silent = False

    # -- letters --------------------------------------------------------------------------------------------------

    def peek(self) -> str:
        """Return the next letter without reading it; empty at the end."""
        return self.text[self.position : self.position + 1]

    def next(self) -> str:
        """Read a letter."""
        letter = self.peek()
        if not letter:
            raise Invalid
        self.position += 1
        return letter

    def eat(self, letter: str) -> bool:
        """Read a letter if it is this one; True if it was."""
        if self.peek() != letter:
            return False
        self.position += 1
        return True

    def say(self, text: str) -> None:
        """Add a text to the output, unless silent."""
        if self.silent:
            return
        self.length += len(text)
        if self.length > OUTPUT_LIMIT:
            raise Invalid
        self.out.append(text)

    def silently(self, work: Callable[[], None]) -> None:
        """Parse without output."""
        before, self.silent = self.silent, True
        try:
            work()
        finally:
            self.silent = before

    # -- numbers and names ----------------------------------------------------------------------------------------

    def base62(self) -> int:
        """Read a <base-62-number>."""
        if self.eat("_"):
            return 0
        value = 0
        while not self.eat("_"):
            letter = self.next()
            if letter.isdigit():
                digit = int(letter)
            elif letter.islower():
                digit = 10 + ord(letter) - ord("a")
            else:
                digit = 36 + ord(letter) - ord("A")
            value = value * 62 + digit
            if value >= 1 << 64:
                raise Invalid
        return value + 1

    def optional(self, tag: str) -> int:
        """Read a tagged number, plus one; 0 if the tag is not next."""
        return self.base62() + 1 if self.eat(tag) else 0

    def identifier(self) -> tuple[str, int]:
        """Read an identifier; return its name and disambiguator."""
        disambiguator = self.optional("s")
        return self.plain_identifier(), disambiguator

    def plain_identifier(self) -> str:
        """Read an identifier without disambiguator; Punycode is decoded."""
        punycode = self.eat("u")
        digits = ""
        while self.peek().isdigit():
            digits += self.next()
            if digits == "0":
                break
        if not digits or len(digits) > 5:
            raise Invalid
        self.eat("_")
        end = self.position + int(digits)
        if end > len(self.text):
            raise Invalid
        name, self.position = self.text[self.position : end], end
        return _unpuny(name) if punycode else name

    def enter(self) -> None:
        """Go one level deeper, up to a limit."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise Invalid

    def backref(self, work: Callable[[], None]) -> None:
        """Parse again from an earlier position. Skipped while silent, which bounds the work."""
        start = self.position - 1
        target = self.base62()
        if target >= start:
            raise Invalid
        if self.silent:
            return
        here, self.position = self.position, target
        self.enter()
        work()
        self.depth -= 1
        self.position = here


def _unpuny(name: str) -> str:
    """Decode punycode whose delimiter is `_`."""
    head, _, tail = name.rpartition("_")
    try:
        return f"{head}-{tail}".encode("ascii").decode("punycode") if head else tail.encode("ascii").decode("punycode")
    except (UnicodeError, IndexError, OverflowError, ValueError):
        raise Invalid from None
