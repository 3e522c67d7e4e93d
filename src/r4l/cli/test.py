# SPDX-License-Identifier: MIT
"""`r4l test`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import click

from r4l.cli.commands import PytestCommand
from r4l.cli.json_option import json_option
from r4l.cli.options import config_option, kernels_option
from r4l.cli.run import modules_of
from r4l.cli.screen import show_warnings
from r4l.foreground import run_here
from r4l.module import built_by
from r4l.paths import require_folder
from r4l.setup import set_up
from r4l.stages import Stages, is_quiet
from r4l.testing.exitcodes import EXIT_CODES


@click.command(
    cls=PytestCommand,
    epilog="Examples: r4l test;  r4l test my_driver --kernel debug;  r4l test -- -x -k ping --r4l-shell-on-failure",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- PYTEST_ARGUMENTS...]")
@config_option
@kernels_option
@json_option("Print the results as JSON; what pytest prints goes to stderr.")
def command(
    folder: Path | None,
    pytest_arguments: tuple[str, ...],
    config: dict[str, str],
    kernel_names: tuple[str, ...],
    arch: str,
    as_json: bool,
) -> None:
    """Run the tests of a driver's folder: pytest, with r4l's fixtures.

    FOLDER is by default the current one. Its tests run as you, outside the sandbox. Words after `--` are given to
    pytest. Exit code 123: a test failed; 121: the driver does not build, which is reported once and not by each test.
    """
    where = folder or Path()
    require_folder(where, "name the folder of the driver")
    elsewhere = any(argument.startswith("--r4l-module") for argument in pytest_arguments)
    if built_by(where) and not elsewhere:
        with Stages() as stages:
            built = [
                module
                for name in kernel_names or (None,)
                for module in modules_of(where, set_up(stages, name, arch=arch), stages, config)
            ]
        show_warnings(module.warnings for module in built)
    argv = [sys.executable, "-m", "pytest", "--arch", arch, *(f"--kernel={name}" for name in kernel_names)]
    argv += [f"--r4l-config={name}={value}" for name, value in config.items()]
    argv += ["-q"] if is_quiet() else []
    if not as_json:
        raise SystemExit(EXIT_CODES.get(run_here([*argv, *pytest_arguments], where), 120))
    with tempfile.TemporaryDirectory(prefix="r4l-test-") as place:
        file = Path(place) / "results.json"
        argv += [*pytest_arguments, f"--r4l-json={file}"]
        code = EXIT_CODES.get(run_here(argv, where, output=sys.stderr), 120)
        # pytest may have refused its arguments.
        tests = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    counted = Counter(test["outcome"] for test in tests)
    sums = {name: counted[name] for name in ("passed", "failed", "skipped", "error")}
    kernels = list(kernel_names) or ["stock"]
    click.echo(json.dumps({"exit_code": code, "kernels": kernels, "arch": arch, **sums, "tests": tests}, indent=1))
    raise SystemExit(code)
