# SPDX-License-Identifier: MIT
"""`r4l log` on a machine's console, with the module that it complains of: frames get file and line."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

from r4l.cli.log import command
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.klog import Splat
from r4l.module import BuiltModule, Module
from r4l.toolchain import Grant
from r4l.vm import VM

pytestmark = pytest.mark.vm

FIXTURE = Path(__file__).parents[1] / "fixtures" / "oops_init"


@pytest.fixture(scope="module")
def module(kernel: Kernel) -> BuiltModule:
    return Module(FIXTURE).build(kernel)


@pytest.fixture(scope="module")
def console(kernel: Kernel, module: BuiltModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel's report of an oops in the module's init."""
    file = tmp_path_factory.mktemp("log") / "console.log"
    with VM(kernel) as vm:
        with pytest.raises(Splat):
            vm.insmod(module, kind="null")
        file.write_bytes((vm.workdir / "console.log").read_bytes())
    return file


def only_debug(kernel: Kernel, ko: Path, folder: Path) -> Path:
    """The module's debug file, as distributions ship it."""
    file = folder / "oops_init.ko.debug"
    grant = Grant("complaints: lines", writes=(folder,), reads=(ko.parent,))
    kernel.toolchain.run(["llvm-objcopy", "--only-keep-debug", ko, file], grant)
    return file


@pytest.mark.parametrize("form", ["ko", "xz", "debug", "zst"])
def test_frames_of_the_module_name_file_and_line(
    kernel: Kernel, module: BuiltModule, console: Path, tmp_path: Path, form: str
) -> None:
    file = module.path
    if form == "xz":
        file = tmp_path / "oops_init.ko.xz"
        file.write_bytes(lzma.compress(module.path.read_bytes()))
    elif form == "zst":
        file = tmp_path / "oops_init.ko.zst"
        file.write_bytes(zstandard.compress(module.path.read_bytes()))
    elif form == "debug":
        file = only_debug(kernel, module.path, tmp_path)
    done = CliRunner().invoke(command, [str(console), "--module", str(file), "--json"])
    assert done.exit_code == 123
    ((complaint,),) = [entry["complaints"] for entry in json.loads(done.stdout)]
    assert (complaint["kind"], complaint["fatal"]) == ("oops", True)
    assert (complaint["culprit"]["symbol"], complaint["culprit"]["module"]) == ("crash_init", "oops_init")
    source = (FIXTURE / "oops_init.c").read_text(encoding="utf-8").splitlines()
    assert complaint["culprit"]["file"].endswith("/oops_init.c")
    assert "*" in source[complaint["culprit"]["line"] - 1]


def test_a_module_that_is_none(console: Path, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    done = CliRunner().invoke(command, [str(console), "--module", str(tmp_path / "x.txt")])
    assert isinstance(done.exception, UsageError)
