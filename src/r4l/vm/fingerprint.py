# SPDX-License-Identifier: MIT
"""Compute a key of everything that a Python function depends on: its code, its values, and the functions it calls.

Code outside the libraries is followed: global names, attributes of modules, closures, defaults, bound objects, classes.
Libraries (Python's own, installed ones, r4l) count by name and by the stamp of their file. Values count by their
`pickle` state (`object.__reduce_ex__`); a value without such state, a lock or a socket, has no key.
"""

from __future__ import annotations

import builtins
import dis
import functools
import hashlib
import importlib
import importlib.util
import logging
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.vm.changing import OWNERS, why_changing, why_unnamed, why_unwatched

PLAIN = (bool, int, float, complex, str, bytes, bytearray, type(None), type(...), type(NotImplemented))
UNSEEN = frozenset({"eval", "exec", "globals", "locals", "__import__", "input"})
"""Built-in functions that hide their dependencies."""
NO_STATE = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__", "_abc_impl"}
    | {"__dataclass_fields__", "__dataclass_params__", "__annotations__", "__annotations_cache__", "__annotate_func__"}
)
"""Attributes of a class that do not affect its methods, or are contained in them already."""
MOST = 20_000
"""Maximum number of values. A function that depends on more holds a value by mistake."""
ROOTS = tuple(
    Path(path).resolve()
    for path in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        str(Path(os.__file__).parent),
        str(Path(__file__).resolve().parents[1]),
    )
)
ABSENT = object()


class _NoKey(Exception):
    """A value has no key; the argument names the value."""


def fingerprint(function: Callable[..., object]) -> str:
    """Return a key of the function and all its dependencies.

    Raises:
        UsageError: the function depends on a value without a key; the message names it.
    """
    name = getattr(function, "__qualname__", repr(function))
    walk = _Walk()
    try:
        walk.root(function)
    except _NoKey as problem:
        raise UsageError(
            f"{name} cannot prepare a snapshot: {problem}, so a stale snapshot could not be detected",
            "give it plain values (numbers, texts, paths, dataclasses), or start the machine with snapshot=False",
        ) from problem
    except RecursionError as problem:
        raise UsageError(
            f"{name} cannot prepare a snapshot: it holds values that are nested too deeply",
            "give it plain values, or start the machine with snapshot=False",
        ) from problem
    return walk.digest()


class _Walk:
    """A walk through all dependencies of a value, each visited once."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(sys.version.encode())
        self._seen: dict[int, int] = {}
        # Keep temporary values alive, so that their ids are not reused.
        self._kept: list[object] = []

    def digest(self) -> str:
        return self._hash.hexdigest()

    def root(self, function: Callable[..., object]) -> None:
        """Add a function, following its code even in a library."""
        plain = function.__func__ if isinstance(function, types.MethodType) else function
        if isinstance(plain, types.FunctionType):
            self._function(plain, plain.__qualname__)
        self._value(function, getattr(function, "__qualname__", "it"))

    def _say(self, *words: object) -> None:
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass")
            self._hash.update(len(data).to_bytes(8, "little") + data)

    # -- values ---------------------------------------------------------------------------------------------------

    def _value(self, value: Any, where: str) -> None:
        cls = type(value)
        if cls in PLAIN:
            self._say(cls.__name__, value if cls is bytes else repr(value))
            return
        if id(value) in self._seen:
            self._say("again", self._seen[id(value)])
            return
        if len(self._seen) > MOST:
            raise _NoKey(f"{where} holds more than {MOST} values")
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        if isinstance(value, os._Environ) or value is os.getenv:
            raise _NoKey(f"{where} is the environment of this process")
        if why := why_changing(value) or why_unwatched(value) or why_unnamed(value):
            raise _NoKey(f"{where} is {why}")
        # Subclasses of containers by the user have more state than the containers.
        look = _CONTAINERS.get(cls) or next(
            (look for classes, look in _LOOKS if isinstance(value, classes)), _Walk._object
        )
        look(self, value, where)

    def _sequence(self, value: Any, where: str) -> None:
        self._say(type(value).__name__, len(value))
        for index, item in enumerate(value):
            self._value(item, f"{where}[{index}]")

    def _mapping(self, value: Mapping[Any, Any], where: str) -> None:
        self._say("mapping", len(value))
        for key, item in value.items():
            self._value(key, f"a key of {where}")
            self._value(item, f"{where}[{key!r}]")

    def _set(self, value: Any, where: str) -> None:
        found = []
        for item in value:
            part = _Walk()
            part._value(item, f"an element of {where}")
            found.append(part.digest())
        self._say(type(value).__name__, *sorted(found))

    def _built(self, value: BuiltModule, where: str) -> None:
        if not value.path.is_file():
            raise _NoKey(f"{where} names the file {value.path}, which is not there")
        self._say("file", value.path.name, value.path.read_bytes())

    def _object(self, value: Any, where: str) -> None:
        try:
            state = value.__reduce_ex__(4)
        except Exception as error:
            raise _NoKey(f"{where} is a {type(value).__name__}, which has no state that can be compared") from error
        if isinstance(state, str):
            self._say("name", type(value).__module__, state)
            return
        maker, arguments, *rest = state
        self._say("object")
        self._value(maker, f"the class of {where}")
        self._sequence(arguments, where)
        if rest and rest[0] is not None:
            self._state(rest[0], where)
        for items in rest[1:3]:
            self._value(list(items or ()), where)

    def _state(self, state: object, where: str) -> None:
        """Add the state of an instance, by attribute if it is a dictionary."""
        for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
            if isinstance(part, dict):
                self._say("state", len(part))
                for name, item in part.items():
                    self._say(str(name))
                    self._value(item, f"{where}.{name}")
            else:
                self._value(part, where)

    # -- code -----------------------------------------------------------------------------------------------------

    def _callable(self, value: Any, where: str) -> None:
        """Add a function. A library's function counts by name, but may hold values of the user."""
        if is_library(value.__code__.co_filename):
            self._library(value)
            self._held(value, where)
        else:
            self._function(value, where)

    def _function(self, value: types.FunctionType, where: str) -> None:
        self._say("function")
        if attributes := vars(value):
            self._say("attributes")
            self._mapping(attributes, f"the attributes of {where}")
        self._held(value, where)
        self._code(value.__code__, value, where)

    def _held(self, value: types.FunctionType, where: str) -> None:
        """Add the defaults, and the closure's values."""
        self._value(value.__defaults__, f"a default of {where}")
        self._value(value.__kwdefaults__, f"a default of {where}")
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
            try:
                content = cell.cell_contents
            except ValueError:
                content = ABSENT
            self._say("closure", name, content is ABSENT)
            if content is not ABSENT:
                self._value(content, f"{name} of the function around {where}")

    def _code(self, code: types.CodeType, function: types.FunctionType, where: str) -> None:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._say("code", code.co_code, code.co_exceptiontable, *counts)
        self._say(*code.co_names, "of", *code.co_varnames, "of", *code.co_freevars, "of", *code.co_cellvars)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._code(constant, function, where)
            else:
                self._value(constant, f"a constant of {where}")
        for name, value in _named(code, function):
            self._say("names", name, value is ABSENT)
            if value is ABSENT:
                continue
            if name in UNSEEN and value is getattr(builtins, name, None):
                raise _NoKey(f"{where} calls {name}")
            self._value(value, name if where == function.__qualname__ else f"{name} of {where}")

    def _class(self, value: type, where: str) -> None:
        module = sys.modules.get(value.__module__)
        if module is None or is_library(getattr(module, "__file__", None)):
            self._library(value)
            return
        self._say("class", value.__qualname__)
        # What a class does when it is called is its metaclass's.
        self._value(type(value), f"the metaclass of {where}")
        for base in value.__bases__:
            self._value(base, f"a base of {where}")
        for name, item in vars(value).items():
            if name in NO_STATE or isinstance(item, types.MemberDescriptorType | types.GetSetDescriptorType):
                continue
            self._say(name)
            self._value(item, f"{value.__qualname__}.{name}")

    def _library(self, value: Any) -> None:
        """Add a library's object: its name, and its file's stamp, which changes with the version."""
        code = getattr(value, "__code__", None)
        file = code.co_filename if code else getattr(sys.modules.get(value.__module__ or ""), "__file__", None)
        self._say("library", value.__module__, getattr(value, "__qualname__", ""), _stamp(file))

    def _method(self, value: types.MethodType, where: str) -> None:
        self._say("method")
        self._value(value.__func__, where)
        self._value(value.__self__, f"the object of {where}")

    def _partial(self, value: functools.partial[Any], where: str) -> None:
        self._say("partial")
        self._value(value.func, where)
        self._value(value.args, f"an argument of {where}")
        self._value(value.keywords, f"an argument of {where}")

    def _builtin(self, value: Any, where: str) -> None:
        self._say("builtin", value.__qualname__)
        owner = getattr(value, "__self__", None)
        if not isinstance(owner, types.ModuleType | None):
            self._value(owner, f"the object of {where}")

    def _wrapped(self, value: Any, where: str) -> None:
        """Add the functions inside static and class methods, properties and caches."""
        self._say(type(value).__name__)
        for name in ("__func__", "__wrapped__", "fget", "fset", "fdel", "func"):
            if (inner := getattr(value, name, None)) is not None:
                self._value(inner, where)

    def _module(self, value: types.ModuleType, _where: str) -> None:
        self._say("module", value.__name__)
        if is_library(getattr(value, "__file__", None)):
            return
        for name, item in vars(value).items():
            if not (name.startswith("__") and name.endswith("__")):
                self._say(name)
                self._value(item, f"{value.__name__}.{name}")


_CONTAINERS: dict[type, Callable[[_Walk, Any, str], None]] = {
    tuple: _Walk._sequence,
    list: _Walk._sequence,
    dict: _Walk._mapping,
    set: _Walk._set,
    frozenset: _Walk._set,
}
_LOOKS: tuple[tuple[Any, Callable[[_Walk, Any, str], None]], ...] = (
    (types.MappingProxyType, _Walk._mapping),
    (type, _Walk._class),
    (types.FunctionType, _Walk._callable),
    (types.MethodType, _Walk._method),
    ((types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType), _Walk._builtin),
    ((types.MethodWrapperType, types.ClassMethodDescriptorType), _Walk._builtin),
    (functools.partial, _Walk._partial),
    ((staticmethod, classmethod, property, functools.cached_property), _Walk._wrapped),
    (type(functools.lru_cache(_NoKey)), _Walk._wrapped),
    (types.ModuleType, _Walk._module),
    (PurePath, lambda walk, value, _where: walk._say("path", value)),
    (logging.Logger, lambda walk, value, _where: walk._say("logger", value.name)),
    (Kernel, lambda walk, value, _where: walk._say("kernel", value.key)),
    (BuiltModule, _Walk._built),
)
"""Handlers by type; the first match counts."""


def _named(code: types.CodeType, function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the global names that code uses with their values; for modules, the attributes used."""
    names = function.__globals__
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("PUSH_NULL", "EXTENDED_ARG")]
    for index, step in enumerate(steps):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL"):
            name = str(step.argval)
            value = names.get(name, getattr(builtins, name, ABSENT))
            yield from _attributes(name, value, steps[index + 1 :])
        elif step.opname == "IMPORT_NAME":
            level, wanted = steps[index - 2].argval, steps[index - 1].argval
            used = () if wanted else code.co_names
            yield from _imported(str(step.argval), int(level or 0), wanted or (), used, names)


def _attributes(name: str, value: Any, steps: list[dis.Instruction]) -> Iterator[tuple[str, Any]]:
    for step in steps:
        if step.opname not in ("LOAD_ATTR", "LOAD_METHOD") or not (
            isinstance(value, types.ModuleType) or _is_clock(value)
        ):
            break
        owner = value
        name, value = f"{name}.{step.argval}", getattr(value, step.argval, ABSENT)
        if is_library(getattr(owner, "__file__", None)) and not _counts(value):
            return
    yield name, value


def _counts(value: object) -> bool:
    """True if an attribute of a library's module counts by value: plain data, or values that must be refused."""
    return (
        type(value) in (*PLAIN, tuple, list, dict)
        or isinstance(value, types.ModuleType | os._Environ)
        or (value is os.getenv)
        or _is_clock(value)
        or bool(why_changing(value) or why_unnamed(value))
    )


def _is_clock(value: object) -> bool:
    """True for a class with methods that return the time, by identity: the user's values may compare as they like."""
    return any(value is owner for owner in OWNERS)


def _imported(
    name: str, level: int, wanted: tuple[str, ...], used: tuple[str, ...], names: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of an `import` inside a function.

    Args:
        name: of the module.
        level: dots before it.
        wanted: names after `from NAME import`.
        used: for `import NAME`, the attributes that the function uses of any value.
        names: global names of the function.
    """
    try:
        full = importlib.util.resolve_name("." * level + name, names.get("__package__") or "")
        module: Any = importlib.import_module(full)
    except ImportError:
        yield name, ABSENT
        return
    if not wanted:
        yield full, module
        # The code does not tell which of them are this module's: only those matter that must be refused.
        found = ((f"{full}.{attribute}", getattr(module, attribute, ABSENT)) for attribute in used)
        yield from ((attribute, value) for attribute, value in found if why_changing(value) or why_unnamed(value))
    for attribute in wanted:
        value = getattr(module, attribute, ABSENT)
        if not is_library(getattr(module, "__file__", None)) or _counts(value):
            yield f"{full}.{attribute}", value


@functools.cache
def is_library(file: str | None) -> bool:
    """True if a file of Python code is not the user's. Built-in modules have no file."""
    if not file:
        return True
    if file.startswith("<"):
        # Code made by exec: of dataclasses, or of the user.
        return file.startswith("<frozen")
    path = Path(file).resolve()
    return any(path.is_relative_to(root) for root in ROOTS)


def _stamp(file: str | None) -> str:
    if not file or file.startswith("<"):
        return ""
    try:
        status = Path(file).stat()
    except OSError:
        return ""
    return f"{status.st_mtime_ns} {status.st_size}"
