# SPDX-License-Identifier: MIT
"""No thread of r4l ends in silence: those who rely on it are told of the exception that ended it."""

from __future__ import annotations

import ast
import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import r4l
from r4l.errors import EnvironmentFault, GuestTimeout
from r4l.threads import guarded, thread_failure
from r4l.vm.blame import host_fault

SOURCE = Path(r4l.__file__).parent
SAFE = {
    "vm/spawn.py": "hands every exception to the thread that asked",
    "vm/qmp.py": "asyncio hands every exception to the future that is waited for",
}
"""Files with a thread whose loop has no exception of its own, with the reason."""


def unguarded(tree: ast.Module) -> Iterator[str]:
    """Yield the threads and timers of a file whose work is not in `guarded`."""
    names = {
        node.targets[0].id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and is_guarded(node.value, set())
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := ast.unparse(node.func).rpartition(".")[2]) in ("Thread", "Timer"):
            work = next((word.value for word in node.keywords if word.arg in ("target", "function")), None)
            if name == "Timer" and len(node.args) > 1:
                work = node.args[1]
            # Timers of other kinds have no function to begin with: pci/timers.py.
            if work is not None and not is_guarded(work, names):
                yield f"line {node.lineno}: {ast.unparse(work)}"


def is_guarded(work: ast.expr, names: set[str]) -> bool:
    """True for a call of `guarded`, or a variable that holds one."""
    if isinstance(work, ast.Name):
        return work.id in names
    return isinstance(work, ast.Call) and ast.unparse(work.func) == "guarded"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("threading.Thread(target=f, daemon=True)", 1),
        ("Thread(target=lambda: f())", 1),
        ("threading.Timer(1.0, f)", 1),
        ("threading.Timer(1.0, function=f)", 1),
        ("w = partial(f)\nthreading.Thread(target=w)", 1),
        ("threading.Thread(target=guarded(f, g))", 0),
        ("w = guarded(f, g)\nthreading.Thread(target=w)", 0),
        ("threading.Timer(1.0, guarded(f, g))", 0),
        ("Timer(clock.now(), action)", 1),
    ],
)
def test_what_counts(line: str, found: int) -> None:
    assert len(list(unguarded(ast.parse(line)))) == found


def test_each_thread_has_somebody_told_of_its_end() -> None:
    found = {}
    for file in SOURCE.rglob("*.py"):
        if bare := list(unguarded(ast.parse(file.read_text(encoding="utf-8")))):
            found[file.relative_to(SOURCE).as_posix()] = bare
    assert found.keys() - {"pci/timers.py"} == SAFE.keys(), found


def test_an_exception_is_handed_on_with_its_cause() -> None:
    told: list[BaseException] = []

    def divide(number: int) -> float:
        return 1 / number

    thread = threading.Thread(target=guarded(divide, told.append), args=(0,))
    thread.start()
    thread.join()
    assert isinstance(told[0], ZeroDivisionError)
    failure = thread_failure("counting", told[0])
    assert failure.cause == "counting has failed: ZeroDivisionError: division by zero"
    assert "1 / number" in failure.detail
    assert failure.exit_code == 125
    own = GuestTimeout("it took too long")
    assert thread_failure("counting", own) is own


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.ENOMEM])
def test_a_shortage_of_the_host_is_told_as_one(number: int) -> None:
    failure = thread_failure("keeping the console", OSError(number, "none left"))
    assert isinstance(failure, EnvironmentFault) == (number != errno.ENOMEM)
    assert host_fault(failure)
