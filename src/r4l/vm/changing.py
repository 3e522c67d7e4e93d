# SPDX-License-Identifier: MIT
"""Functions of Python's libraries whose results no key contains, as they change by themselves or cannot be watched.

A preparation that calls one is refused (`r4l.vm.fingerprint`). `time.monotonic` and `time.sleep` are no such functions:
they serve to wait.
"""

from __future__ import annotations

import datetime
import importlib
import os
import random
import runpy
import secrets
import time
import types
import uuid

TIME = "the time, which is another at each call (to wait, use time.monotonic)"
CHANCE = "chance, which is another at each call (random.Random(1) repeats itself)"
_FUNCTIONS = {
    **dict.fromkeys((time.time, time.time_ns, time.localtime, time.gmtime, time.ctime, time.strftime), TIME),
    **dict.fromkeys((os.urandom, os.getrandom, random.SystemRandom, uuid.uuid1, uuid.uuid4), CHANCE),
    **dict.fromkeys((getattr(secrets, name) for name in secrets.__all__ if name != "compare_digest"), CHANCE),
}
_UNWATCHED = {
    getattr(os, name): f"os.{name} under a name of its own, which cannot be watched (call it as os.{name})"
    for name in ("stat", "lstat", "access", "readlink", "statvfs", "getcwd")
}
"""Functions without an audit event, which are watched where they are attributes of `os` (`r4l.vm.watching`)."""
_UNNAMED = {
    function: f"{function.__module__}.{function.__name__}, whose module the code does not name (use `import`)"
    for function in (importlib.import_module, importlib.reload, runpy.run_path, runpy.run_module)
}
"""Functions that give the user's modules to code that does not name them."""
OWNERS = (datetime.datetime, datetime.date)
"""Classes with methods that return the time."""
_METHODS = ("now", "today", "utcnow")
_SHARED = random.random.__self__  # type: ignore[attr-defined]
"""The object whose methods are the functions of the module random."""


def why_unwatched(value: object) -> str:
    """Return a clause that says why the use of a value cannot be seen; empty for other values."""
    return _UNWATCHED.get(value, "") if isinstance(value, types.BuiltinFunctionType) else ""


def why_unnamed(value: object) -> str:
    """Return a clause that says why a function's result cannot be followed; empty for other values."""
    return _UNNAMED.get(value, "") if isinstance(value, types.FunctionType) else ""


def why_changing(value: object) -> str:
    """Return a clause that says what a function's result depends on; empty for other values."""
    if isinstance(value, types.BuiltinMethodType | types.MethodType):
        owner = value.__self__
        if owner is _SHARED and value.__name__ != "seed":
            return CHANCE
        if isinstance(owner, type) and issubclass(owner, OWNERS) and value.__name__ in _METHODS:
            return TIME
    if isinstance(value, types.BuiltinFunctionType | types.FunctionType | types.MethodType | type):
        return _FUNCTIONS.get(value, "")
    return ""
