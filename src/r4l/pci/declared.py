# SPDX-License-Identifier: MIT
"""Declarations of a model: calls such as `Register(0x10)`. Their arguments are checked against the signature when
Python executes them, and wrong ones are refused with the model's own line."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import EnumType, Flag
from pathlib import Path
from typing import TYPE_CHECKING, Any

from r4l.errors import UsageError

ROOM = Path(__file__).parent
WORDS = {int: "integer", str: "text", bytes: "bytes", bool: "True or False", Mapping: "dictionary", type(None): "None"}
"""Types of arguments for a reader."""
PACKAGE = "r4l.pci"
LONGEST = 80
"""Characters of a wrong value that an error shows."""


class DefinitionError(UsageError):
    """A model contradicts itself. The cause names the file and the line."""


class DeclaredType(type):
    """The type of the classes of which a model is made."""

    # Invisible to mypy, which would take this signature for that of each class.
    if not TYPE_CHECKING:

        def __call__(cls, *arguments: Any, **words: Any) -> Any:
            """Make a declaration.

            Raises:
                DefinitionError: an argument is missing, unknown or of another type.
            """
            one = cls.__new__(cls, *arguments, **words)
            # Not through the classes, some of which are frozen.
            object.__setattr__(one, "line", caller())
            _require_arguments(one, arguments, words)
            one.__init__(*arguments, **words)
            return one

        @property
        def __signature__(cls) -> inspect.Signature:
            """Signature for help() and editors, which would see that of `__call__`."""
            return _signature(cls)


class Declared(metaclass=DeclaredType):
    """A part of a model that its author declares.

    Attributes:
        line: file and line of the declaration.
    """

    line: str

    @property
    def title(self) -> str:
        """The declaration for a reader: its name in the model, or its class before it has one."""
        return getattr(self, "name", "") or type(self).__name__

    def wrong(self, what: str, remedy: str) -> DefinitionError:
        """Return an error with the place of this declaration.

        Args:
            what: the mistake, after the declaration's name.
            remedy: a sentence that says what to do.
        """
        return DefinitionError(f"{self.line}: {self.title} {what}", remedy)


def caller() -> str:
    """Return file and line of the model that is being defined: the nearest frame outside of this package's files."""
    frame = sys._getframe(1)
    while frame.f_back and Path(frame.f_code.co_filename).parent == ROOM:
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


def place_of(method: Callable[..., Any]) -> str:
    """Return file and line of a method; empty if it is not a function of Python's."""
    code = getattr(method, "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""


def shown(value: object) -> str:
    """Return a wrong value for a reader, on one line."""
    try:
        text = " ".join(repr(value).split())
    except Exception as error:  # noqa: BLE001 (the author's class may raise anything, and its own error is not the mistake)
        text = f"a {type(value).__name__} without a repr ({type(error).__name__})"
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


@functools.cache
def _signature(cls: type) -> inspect.Signature:
    """Return the arguments of a class's `__init__`, without `self`."""
    whole = inspect.signature(cls.__init__)  # type: ignore[misc]
    return whole.replace(parameters=list(whole.parameters.values())[1:], return_annotation=inspect.Signature.empty)


@functools.cache
def _hints(cls: type) -> Mapping[str, Any]:
    """Return the types of the arguments of a class's `__init__`, as far as they are known."""
    try:
        return typing.get_type_hints(cls.__init__)  # type: ignore[misc]
    except NameError:
        # A class of the author's, annotated with names for type checkers only.
        return {}


def _require_arguments(one: Declared, arguments: tuple[Any, ...], words: Mapping[str, Any]) -> None:
    """Refuse arguments that do not fit the signature of a declaration.

    Raises:
        DefinitionError: one is missing, or unknown, or of another type than its annotation.
    """
    cls = type(one)
    signature = _signature(cls)
    parameters = signature.parameters
    by_position = [name for name, its in parameters.items() if its.kind is not its.KEYWORD_ONLY]
    various = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    needed = {name for name, its in parameters.items() if its.default is its.empty and its.kind not in various}
    form = ", ".join(name if name in by_position else f"{name}=…" for name in parameters if name in needed)
    open_ended = any(its.kind in various for its in parameters.values())
    if not open_ended:
        if unknown := [name for name in words if name not in parameters]:
            near = get_close_matches(unknown[0], parameters, 1)
            said = f"write {near[0]}" if near else f"it has {', '.join(parameters) or 'none'}"
            raise one.wrong(f"has no argument {unknown[0]}", said)
        if len(arguments) > len(by_position):
            extra = shown(arguments[len(by_position)])
            by_name = [name for name in parameters if name not in by_position]
            raise one.wrong(
                f"is given {len(arguments)} values without a name, and takes {len(by_position)}: {extra} is too many",
                f"those without a name are {', '.join(by_position) or 'none'}"
                + (f"; write the others by name: {', '.join(by_name)}" if by_name else ""),
            )
        if twice := [name for name in by_position[: len(arguments)] if name in words]:
            raise one.wrong(f"is given {twice[0]} twice, by position and by name", "leave one out")
    given = {**dict(zip(by_position, arguments, strict=False)), **words}
    if missing := [name for name in parameters if name in needed and name not in given]:
        raise one.wrong(f"has no {' and no '.join(missing)}", f"write {cls.__name__}({form})")
    hints = _hints(cls)
    for name, value in given.items():
        if name in hints and not fits(value, hints[name]):
            raise one.wrong(*mismatch(name, value, hints[name]))


def mismatch(name: str, value: object, hint: Any) -> tuple[str, str]:
    """Return cause and remedy for a value of a wrong type.

    Args:
        name: name of the argument or attribute.
        value: its value.
        hint: its annotation.
    """
    wanted = _described(hint)
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    lists = [one for one in options if typing.get_origin(one) is tuple]
    parts = value if isinstance(value, tuple | list) else (value,)
    enums = [one for one in options if isinstance(one, EnumType)]
    if int in options and isinstance(value, str) and _is_number(value):
        remedy = f"write it without quotes: {name}={value.strip()}"
    elif (str in options or lists) and any(isinstance(one, Declared) for one in parts):
        remedy = "give the name in quotes"
    elif enums:
        # The members of a flag are names of the package, too.
        prefix = "" if issubclass(enums[0], Flag) else f"{enums[0].__name__}."
        remedy = f"give one of {', '.join(prefix + one for one in enums[0].__members__)}"
    elif lists and fits(value, typing.get_args(lists[0])[0]):
        remedy = f"write it with a comma: {name}=({shown(value)},)"
    else:
        remedy = f"give {wanted}"
    return f"has the {name} {shown(value)}, which is no {wanted.removeprefix('an ').removeprefix('a ')}", remedy


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _is_number(text: str) -> bool:
    try:
        int(text, 0)
    except ValueError:
        return False
    return True


def fits(value: object, hint: Any) -> bool:
    """Return True if a value is of an annotation's type, or nothing is known about that type."""
    if _is_union(hint):
        return any(fits(value, one) for one in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return isinstance(value, tuple | list) and all(fits(one, inner) for one in value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is bool:
        # 0 and 1 are what a data sheet has.
        return isinstance(value, int) and value in (0, 1)
    kind = float | int if hint is float else origin or hint
    known = kind in WORDS or getattr(kind, "__module__", "").startswith(PACKAGE) or hint is float
    return isinstance(value, kind) if known else True


def _described(hint: Any) -> str:
    """Return the name of an annotation for a reader, with its article."""
    if _is_union(hint):
        return " or ".join(_described(one) for one in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return "a tuple of " + {int: "integers", str: "texts"}.get(inner, f"{getattr(inner, '__name__', inner)}s")
    kind = origin or hint
    word = WORDS.get(kind, getattr(kind, "__name__", str(kind)))
    return word if kind in (bytes, bool, type(None)) else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
