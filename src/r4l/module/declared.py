# SPDX-License-Identifier: MIT
"""Calls, arguments and callbacks that the kernel's declarations do not allow, for which no table has an entry.

The compiler has the facts: they are told in the words of the kernel's header, with its place, and nothing is guessed.
"""

from __future__ import annotations

import re
from pathlib import Path

from r4l.kernel import Kernel
from r4l.known import Explanation, c_messages
from r4l.known.c_messages import WrongFunction
from r4l.module.headers import Found, Headers
from r4l.paths import leads_to_file

CALLED = re.compile(r"\b([A-Za-z_]\w+)\s*\(")
NOTE = re.compile(
    r"^(?P<file>\S.*?):\d+:\d+: note: "
    r"(?:.*(?:declared|defined) here|passing argument to parameter|expected '.* but argument)",
    re.MULTILINE,
)
"""A note that points to the declaration."""


USED = re.compile(
    r"note: (?:in expansion of|in definition of|expanded from) macro '(\w+)'(?:\n *\d+ \| (.*))?", re.MULTILINE
)
"""A macro that an error is in; for gcc with the line that uses it."""


def explain(error: str, index: Headers, kernel: Kernel) -> Explanation | None:
    """Return what the kernel declares for the function, macro or callback of an error.

    Returns:
        An explanation `c-call` (another number of arguments), `c-argument` (another type of one), `c-result` (the
            function returns nothing) or `c-callback` (a function of another type is wanted); None for other errors,
            and for functions that are the module's own.
    """
    error = c_messages.normal(error)
    head = error.partition("\n")[0]
    callback = c_messages.wrong_function(error)
    if callback:
        return _callback(callback, head)
    if c_messages.COUNT.search(head):
        return _call(error, head, index, kernel)
    if c_messages.ARGUMENT.search(head):
        return _argument(error, head, index, kernel)
    return _result(error, head, index, kernel) if c_messages.VOID.search(head) else None


def _callback(wrong: WrongFunction, head: str) -> Explanation:
    name = f"`.{wrong.member}`" if wrong.member else "the pointer"
    cause = f"{name} takes a function of another type: wanted is `{wrong.wanted}`, given `{wrong.given}`"
    result, given = wrong.wanted.partition("(*)"), wrong.given.partition("(*)")
    written = f"`{result[0].rstrip()} {wrong.member or 'function'}{result[2]}`".replace("* ", "*")
    if result[0].strip() == "void" and result[2] == given[2]:
        return Explanation("c-callback", cause, f"let it return nothing: {written}", head)
    remedy = f"give the function this type: {written} (a cast would only hide the difference)"
    return Explanation("c-callback", cause, remedy, head)


def _call(error: str, head: str, index: Headers, kernel: Kernel) -> Explanation | None:
    found = _declared(error, index, kernel)
    if found is None:
        return None
    cause = f"`{_name(found)}` is called with other arguments than Linux {kernel.release} declares"
    return Explanation("c-call", cause, f"write the call as it is declared: {_written(found, index)}", head)


def _argument(error: str, head: str, index: Headers, kernel: Kernel) -> Explanation | None:
    found = _declared(error, index, kernel)
    types = c_messages.wrong_argument(error)
    if found is None or types is None:
        return None
    wanted, given = types
    cause = f"`{_name(found)}` of Linux {kernel.release} takes a `{wanted}` where the module gives a `{given}`"
    return Explanation("c-argument", cause, f"write the call as it is declared: {_written(found, index)}", head)


def _result(error: str, head: str, index: Headers, kernel: Kernel) -> Explanation | None:
    for name in CALLED.findall(c_messages.source_line(error)):
        found = index.named(name)
        if found and index.declaration(found).startswith("void ") and "*" not in index.declaration(found)[:6]:
            cause = f"`{name}` of Linux {kernel.release} returns nothing"
            return Explanation("c-result", cause, f"do not look at its result: {_written(found, index)}", head)
    return None


def _declared(error: str, index: Headers, kernel: Kernel) -> Found | None:
    """Return the kernel's function or macro that the module's line calls; None if it is not the kernel's."""
    places = [match["file"] for match in NOTE.finditer(error)]
    if not any(_of_kernel(place, kernel) for place in places):
        return None
    headers = {Path(place).name for place in places}
    used = USED.findall(error)
    if used and _of_kernel(error.partition(":")[0], kernel):
        # In the body of a macro the error names a function that the module never wrote: the macro counts.
        written = CALLED.findall(used[-1][1])
        macro = next((found for name, _ in reversed(used) if name in written and (found := index.named(name))), None)
        if macro:
            return macro
    for name in [*c_messages.called(error), *CALLED.findall(c_messages.source_line(error))]:
        for header in sorted(headers):
            found = index.named(name, header)
            if found:
                return found
    return None


def _of_kernel(place: str, kernel: Kernel) -> bool:
    path = Path(place)
    return path.is_relative_to(kernel.source) or (not path.is_absolute() and leads_to_file(kernel.source / path))


def _name(found: Found) -> str:
    """Return the name that modules write: functions that allocate are macros around an inner one."""
    return found.name.removesuffix(c_messages.NOPROF)


def _written(found: Found, index: Headers) -> str:
    return f"`{index.declaration(found)}` (the kernel's {found.file}:{found.line})"
