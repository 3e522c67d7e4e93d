# SPDX-License-Identifier: MIT
"""Demangle Rust's v0 symbol names, which the kernel prints mangled.

Grammar: https://doc.rust-lang.org/rustc/symbol-mangling/v0.html. The output equals rustc-demangle's alternate form: no
crate hashes, no types of integer constants.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from r4l.klog.demangle.cursor import DEPTH_LIMIT, Cursor, Invalid

SYMBOL = re.compile(r"\b(__pfx_|__cfi_)?(_R[A-Za-z0-9_]{3,})")
"""A v0 name. `__pfx_` and `__cfi_` mark the padding before a function; a frame can point into it."""

BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize", "j": "usize",
    "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_", "s": "i16", "t": "u16", "u": "()", "v": "...",
    "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
UNSIGNED = "htmyoj"
SIGNED = "aslxni"


def demangle(symbol: str) -> str:
    """Return the path that a symbol stands for, or the symbol itself if it is no v0 name."""
    core = re.split(r"[.$]", symbol, maxsplit=1)[0]
    if not core.startswith("_R") or not core.isascii():
        return symbol
    parser = _Parser(core[2:])
    try:
        parser.path(value=True)
        if parser.peek() and parser.peek().isupper():
            parser.silently(lambda: parser.path(value=False))
        if parser.position != len(parser.text):
            return symbol
    except (Invalid, RecursionError):
        return symbol
    return "".join(parser.out)


def demangle_text(text: str) -> str:
    """Return the text with every v0 name in it demangled."""
    if "_R" not in text:
        return text
    return SYMBOL.sub(lambda match: (match[1] or "") + demangle(match[2]), text)


class _Parser(Cursor):
    """Parser for the grammar of v0 names."""

    bound_lifetimes = 0

    # -- paths ----------------------------------------------------------------------------------------------------

    def path(self, *, value: bool) -> None:
        self.enter()
        tag = self.next()
        if tag == "C":
            self.say(self.identifier()[0])
        elif tag == "N":
            self.nested(value)
        elif tag in "MX":
            self.silently(self.impl_path)
            self.qualified(tag == "X")
        elif tag == "Y":
            self.qualified(True)
        elif tag == "I":
            self.path(value=value)
            self.say("::<" if value else "<")
            self.listed(self.generic_argument)
            self.say(">")
        elif tag == "B":
            self.backref(lambda: self.path(value=value))
        else:
            raise Invalid
        self.depth -= 1

    def nested(self, value: bool) -> None:
        namespace = self.next()
        if not namespace.isalpha():
            raise Invalid
        self.path(value=value)
        name, disambiguator = self.identifier()
        if namespace.isupper():
            what = {"C": "closure", "S": "shim"}.get(namespace, namespace)
            self.say(f"::{{{what}{':' + name if name else ''}#{disambiguator}}}")
        elif name:
            self.say(f"::{name}")

    def impl_path(self) -> None:
        self.optional("s")
        self.path(value=False)

    def qualified(self, with_trait: bool) -> None:
        self.say("<")
        self.type()
        if with_trait:
            self.say(" as ")
            self.path(value=False)
        self.say(">")

    def listed(self, item: Callable[[], None]) -> int:
        """Parse items up to the closing `E`, print commas between them, and return their number."""
        count = 0
        while not self.eat("E"):
            if count:
                self.say(", ")
            item()
            count += 1
        return count

    def generic_argument(self) -> None:
        if self.eat("L"):
            self.lifetime(self.base62())
        elif self.eat("K"):
            self.const()
        else:
            self.type()

    def lifetime(self, index: int) -> None:
        if index == 0:
            self.say("'_")
            return
        depth = self.bound_lifetimes - index
        if depth < 0:
            raise Invalid
        self.say(f"'{chr(ord('a') + depth)}" if depth < 26 else f"'_{depth}")

    # -- types ----------------------------------------------------------------------------------------------------

    def type(self) -> None:
        self.enter()
        tag = self.next()
        if tag in BASIC:
            self.say(BASIC[tag])
        elif tag in "RQ":
            self.say("&")
            if self.eat("L") and (index := self.base62()):
                self.lifetime(index)
                self.say(" ")
            self.say("mut " if tag == "Q" else "")
            self.type()
        elif tag in "PO":
            self.say("*const " if tag == "P" else "*mut ")
            self.type()
        elif tag in "AS":
            self.say("[")
            self.type()
            if tag == "A":
                self.say("; ")
                self.const()
            self.say("]")
        elif tag == "T":
            self.say("(")
            count = self.listed(self.type)
            self.say(",)" if count == 1 else ")")
        elif tag == "F":
            self.in_binder(self.function)
        elif tag == "D":
            self.dyn()
        elif tag == "B":
            self.backref(self.type)
        else:
            self.position -= 1
            self.path(value=False)
        self.depth -= 1

    def in_binder(self, work: Callable[[], None]) -> None:
        count = self.optional("G")
        if count > DEPTH_LIMIT:
            raise Invalid
        if count:
            self.say("for<")
            for number in range(count):
                self.bound_lifetimes += 1
                self.say(", " if number else "")
                self.lifetime(1)
            self.say("> ")
        work()
        self.bound_lifetimes -= count

    def function(self) -> None:
        if self.eat("U"):
            self.say("unsafe ")
        if self.eat("K"):
            abi = "C" if self.eat("C") else self.plain_identifier().replace("_", "-")
            self.say(f'extern "{abi}" ')
        self.say("fn(")
        self.listed(self.type)
        self.say(")")
        if not self.eat("u"):
            self.say(" -> ")
            self.type()

    def dyn(self) -> None:
        self.say("dyn ")
        self.in_binder(self.bounds)
        if not self.eat("L"):
            raise Invalid
        index = self.base62()
        if index:
            self.say(" + ")
            self.lifetime(index)

    def bounds(self) -> None:
        first = True
        while not self.eat("E"):
            self.say("" if first else " + ")
            first = False
            self.bound()

    def bound(self) -> None:
        opened = self.path_maybe_open()
        while self.eat("p"):
            self.say(", " if opened else "<")
            opened = True
            self.say(self.plain_identifier() + " = ")
            self.type()
        if opened:
            self.say(">")

    def path_maybe_open(self) -> bool:
        """Parse a trait's path; return True if its generic arguments are left open for associated types."""
        if self.eat("B"):
            opened = False

            def work() -> None:
                nonlocal opened
                opened = self.path_maybe_open()

            self.backref(work)
            return opened
        if self.eat("I"):
            self.path(value=False)
            self.say("<")
            self.listed(self.generic_argument)
            return True
        self.path(value=False)
        return False

    # -- constants ------------------------------------------------------------------------------------------------

    def const(self) -> None:
        self.enter()
        tag = self.next()
        if tag == "p":
            self.say("_")
        elif tag == "B":
            self.backref(self.const)
        elif tag in UNSIGNED or tag in SIGNED:
            negative = tag in SIGNED and self.eat("n")
            self.say(("-" if negative else "") + str(self.hexadecimal()))
        elif tag == "b":
            value = self.hexadecimal()
            if value > 1:
                raise Invalid
            self.say("true" if value else "false")
        elif tag == "c":
            value = self.hexadecimal()
            if value > 0x10FFFF or 0xD800 <= value < 0xE000:
                raise Invalid
            self.say(_quoted(chr(value), "'"))
        else:
            self.position -= 1
            self.structural()
        self.depth -= 1

    def hexadecimal(self) -> int:
        digits = ""
        while not self.eat("_"):
            letter = self.next()
            if letter not in "0123456789abcdef" or len(digits) > 32:
                raise Invalid
            digits += letter
        return int(digits, 16) if digits else 0

    def structural(self) -> None:
        tag = self.next()
        if tag == "e":
            self.say("*")
            self.string()
        elif tag in "RQ":
            if tag == "R" and self.eat("e"):
                self.string()
                return
            self.say("&mut " if tag == "Q" else "&")
            self.const()
        elif tag == "A":
            self.say("[")
            self.listed(self.const)
            self.say("]")
        elif tag == "T":
            self.say("(")
            count = self.listed(self.const)
            self.say(",)" if count == 1 else ")")
        elif tag == "V":
            self.variant()
        else:
            raise Invalid

    def string(self) -> None:
        digits = ""
        while not self.eat("_"):
            digits += self.next()
        try:
            self.say(_quoted(bytes.fromhex(digits).decode(), '"'))
        except ValueError:
            raise Invalid from None

    def variant(self) -> None:
        self.path(value=True)
        shape = self.next()
        if shape == "T":
            self.say("(")
            self.listed(self.const)
            self.say(")")
        elif shape == "S":
            self.say(" { ")
            self.listed(self.field)
            self.say(" }")
        elif shape != "U":
            raise Invalid

    def field(self) -> None:
        self.say(self.identifier()[0] + ": ")
        self.const()


def _quoted(text: str, quote: str) -> str:
    escapes = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0", "\\": "\\\\", quote: "\\" + quote}
    shown = (escapes.get(c, c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text)
    return quote + "".join(shown) + quote
