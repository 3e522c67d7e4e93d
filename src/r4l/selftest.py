# SPDX-License-Identifier: MIT
"""The project's own tests, part by part, each a command that can be run by hand too."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from r4l import home, resources
from r4l.errors import EnvironmentFault
from r4l.process import end_group, run_here
from r4l.setup import set_up
from r4l.stages import Stages

PYTHON = sys.executable


LINT = {
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "--diff", "."]],
    "types": [["mypy"]],
}
"""Parts that read the code only: Python modules and their arguments."""

DRIVERS = ("rust/drivers", "tests/vm/test_scenario.py", "tests/vm/test_capture.py")
"""The tests of the drivers, which pass on every kernel."""

MAIN = ("rust/drivers/e1000", "rust/drivers/hello", "tests/vm/test_scenario.py")
"""Those of the main job."""

C_FROM_RUST = "tests/vm/test_modules.py::test_c_is_called_from_rust_through_own_bindings_and_helpers"
GDB = "tests/vm/test_debug.py::test_the_init_of_a_module"
SHORT = ("-k", "not flood and not hundred")
"""Without a minute of flood and a hundred reloads, which `drivers-arm64` has."""

TWO = ("-n", "2", "--dist", "loadfile")
"""Two at a time: much of a test is waiting, or has one thread."""

TESTS = {
    "unit": ["tests/unit", *TWO],
    "rust": ["tests/rust"],
    "vm": ["tests/vm", "rust/drivers", *TWO],
    "hostile": ["tests/hostile"],  # What its fixtures make is for all of it.
    "labs": ["tests/labs"],  # The checks of a lab are several processes already.
    "editor": ["tests/editor", *TWO],
    "arm64": ["tests/arm64", *MAIN, "tests/vm/test_background.py", C_FROM_RUST, GDB, "--arch", "arm64", *SHORT, *TWO],
    "kernels": ["tests/kernels/test_minimal.py", "tests/kernels/test_menuconfig.py", *TWO],
    "builds": [
        "tests/kernels/test_configuration.py",
        "tests/kernels/test_graft.py",
        "tests/kernels/test_lab_kernel.py",
        "tests/kernels/test_lab_configure.py",
    ],
    "drivers-arm64": [*DRIVERS, "--arch", "arm64", *TWO],
    "debug": ["tests/debug", *DRIVERS, "--kernel", "debug", *TWO],
    "mutants": ["tests/mutants"],
    "images": ["tests/images"],
    "setup": ["tests/setup", *TWO],
}
"""Parts that run tests: the arguments of pytest. Some run those of the drivers elsewhere."""

PARTS = (*LINT, *TESTS)
SEPARATE = ("builds", "drivers-arm64", "debug", "mutants", "images")
"""Parts that run only where they are asked for: they would take the whole beyond an hour on two cores."""
DEFAULT = tuple(part for part in PARTS if part not in SEPARATE)

STOCK = ("stock", "x86_64")
KERNELS = {
    "rust": STOCK,
    "vm": STOCK,
    "hostile": STOCK,
    "labs": STOCK,
    "editor": STOCK,
    "arm64": ("stock", "arm64"),
    "kernels": ("minimal", "x86_64"),
    "builds": ("minimal", "x86_64"),
    "drivers-arm64": ("stock", "arm64"),
    "debug": ("debug", "x86_64"),
    "mutants": STOCK,
}
"""The kernel that a part needs, made ready before it, where one sees it happen."""


def commands(part: str, pytest_arguments: Sequence[str]) -> list[list[str]]:
    """The command lines of a part."""
    if part in LINT:
        return [[PYTHON, "-m", *words] for words in LINT[part]]
    return [[PYTHON, "-m", "pytest", *TESTS[part], *pytest_arguments]]


class Ahead:
    """A kernel from source, made while the parts before it run: tests of drivers leave a fifth of the processors idle.

    As a context manager what still runs is ended on exit. Whether it came to be is for `set_up` to find, which goes on
    from there and tells what is wrong.
    """

    def __init__(self) -> None:
        self._made: subprocess.Popen[bytes] | None = None

    def begin(self, parts: Sequence[str]) -> None:
        """Begin with the first that these parts need, unless that was done."""
        name, arch = next((KERNELS[part] for part in parts if KERNELS.get(part, STOCK)[0] != "stock"), STOCK)
        if self._made or name == "stock":
            return
        low = ["setpriv", "--pdeathsig", "TERM", "nice", "-n", "19"]
        argv = [*low, PYTHON, "-m", "r4l", "setup", "--kernel", name, "--arch", arch]
        log = home.home() / "logs/selftest-ahead.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._made = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def wait_for(self, stages: Stages) -> None:
        """Wait for its end, where it has not come yet."""
        if self._made and self._made.poll() is None:
            with stages.stage("kernel from source, begun during the tests before"):
                self._made.wait()

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        if self._made:
            end_group(self._made)


def run(parts: Sequence[str], pytest_arguments: Sequence[str] = ()) -> int:
    """Run parts one after the other, all of them even when one fails.

    Returns:
        0, or the first exit code that was not 0.

    Raises:
        EnvironmentFault: this is no checkout.
    """
    checkout = resources.checkout()
    if checkout is None:
        raise EnvironmentFault("the tests are not in the installed package", "run `./r4l selftest` in a checkout")
    console = Console(stderr=True, highlight=False)
    first = 0
    results: list[tuple[str, int, float]] = []
    with Ahead() as ahead:
        for index, part in enumerate(parts):
            begin = time.monotonic()
            if part in KERNELS:
                name, arch = KERNELS[part]
                with Stages() as stages:
                    if name != "stock":
                        ahead.wait_for(stages)
                    set_up(stages, name, arch=arch)
                ahead.begin(parts[index + 1 :])
            code = 0
            for command in commands(part, pytest_arguments):
                console.rule(f"[bold]{part}[/]: {escape(' '.join(Path(word).name for word in command))}")
                code = run_here(command, checkout) or code
            results.append((part, code, time.monotonic() - begin))
            first = first or code
    console.rule()
    for part, code, seconds in results:
        console.print(f"{'[green]✓[/]' if code == 0 else '[red]✗[/]'} {part:<8} {seconds:7.1f} s")
    return first
