# SPDX-License-Identifier: MIT
"""Options of the plugin, from the command line, the environment and pytest.ini."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from r4l.arch import DEFAULT
from r4l.debian import choice
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module, built_by
from r4l.module.named import SHIPPED, named
from r4l.settings import Settings
from r4l.vm.cables import ISOLATED


def add(parser: pytest.Parser) -> None:
    """Add the plugin's options to pytest."""
    group = parser.getgroup("r4l", "kernel drivers in virtual machines")
    group.addoption(
        "--kernel",
        action="append",
        help="the kernel to test on, by any name that `r4l run --kernel` takes; repeated, each test runs on each "
        "(default: R4L_KERNEL, the project file's, or stock)",
    )
    group.addoption(
        "--arch",
        default=os.environ.get("R4L_ARCH") or settings(Path.cwd()).arch or DEFAULT,
        help=f"its architecture (default: R4L_ARCH, the project file's, or {DEFAULT})",
    )
    group.addoption(
        "--r4l-shell-on-failure",
        action="store_true",
        help="a shell in the guest where a test has failed, as it is then",
    )
    group.addoption(
        "--r4l-module",
        metavar="FOLDER",
        help="the module under test instead of the nearest: a folder, or a .ko that is built; "
        f"{SHIPPED}NAME is one that the kernel comes with",
    )
    group.addoption(
        "--r4l-config",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="option of Kconfig that the module under test is built with, as in `r4l build --config`; may be repeated",
    )
    group.addoption(
        "--r4l-card",
        metavar="MODEL",
        help="the network card instead of QEMU's e1000, in all tests that have one: QEMU's name of another, "
        "python:e1000 for r4l's own, or FILE.py:CLASS",
    )
    group.addoption(
        "--r4l-again",
        action="store_true",
        help="run a test once more that this computer has kept from its verdict",
    )
    group.addoption("--r4l-ktap", metavar="FILE", help="write the results as KTAP, the kernel's format")
    group.addoption("--r4l-json", metavar="FILE", help="write the results as JSON, a list with an entry for each test")
    parser.addini(
        "r4l_module",
        "the folder of the module under test (default: the nearest above the test with a Kbuild), "
        f"or {SHIPPED}NAME for one that the kernel comes with",
    )


@cache
def settings(folder: Path) -> Settings:
    """Return what the project file near a folder says; nothing while a lab is checked, whose folders are a student's.

    Raises:
        pytest.UsageError: the file says what it cannot say.
    """
    if os.environ.get(ISOLATED):
        return Settings()
    try:
        return Settings.near(folder)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def use_mirror(config: pytest.Config) -> None:
    """Use the mirror of the project file, unless the environment names one.

    Raises:
        pytest.UsageError: the file's mirror is not an address.
    """
    try:
        choice.prefer(settings(config.invocation_params.dir))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def kernels(config: pytest.Config) -> list[str]:
    """Return the names of the kernels for tests that name none of their own."""
    named: list[str] = config.getoption("--kernel") or os.environ.get("R4L_KERNEL", "").split()
    return named or list(settings(config.invocation_params.dir).kernel) or ["stock"]


def module(config: pytest.Config, test: Path, kernel: Kernel) -> BuiltModule:
    """Return the module under test, building it unless the kernel ships it or the option names a .ko file.

    Raises:
        pytest.UsageError: no module is found for the test.
        UsageError: the folder has several modules, or the kernel has no such module.
        BuildError: the module does not build.
    """
    found = modules(config, test, kernel)
    if len(found) != 1:
        raise UsageError(
            f"{found[0].path.parent.name} has several modules: {', '.join(one.name for one in found)}",
            "use the fixture `modules`, which has them in the order in which they can be loaded",
        )
    return found[0]


def modules(config: pytest.Config, test: Path, kernel: Kernel) -> list[BuiltModule]:
    """Return the modules of the folder under test, in the order in which they can be loaded.

    Raises:
        pytest.UsageError: no module is found for the test.
        UsageError: the kernel has no such module.
        BuildError: the module does not build.
    """
    given = dict(pair.partition("=")[::2] for pair in config.getoption("--r4l-config"))
    wanted = {**settings(config.invocation_params.dir).config, **given}
    on_command_line: str | None = config.getoption("--r4l-module")
    name: str = on_command_line or config.getini("r4l_module")
    base = config.invocation_params.dir if on_command_line else config.rootpath
    if name.startswith(SHIPPED) or (name.endswith(".ko") and (base / name).is_file()):
        return [named(kernel, name, base)]
    if name:
        return Module(base / name, wanted).build_all(kernel)
    folder = next((folder for folder in test.parents if built_by(folder)), None)
    if folder is None:
        raise pytest.UsageError(
            f"no folder above {test} has a Kbuild with obj-m; name the module's with r4l_module = FOLDER"
        )
    return Module(folder, wanted).build_all(kernel)
