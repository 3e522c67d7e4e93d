# SPDX-License-Identifier: MIT
"""Modules that a guest's kernel refuses: each refusal is explained with cause and remedy."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.toolchain import Grant
from r4l.vm import VM
from r4l.vm.loading import ModuleRefused

pytestmark = pytest.mark.vm

FIXTURES = Path(__file__).parents[1] / "fixtures"
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "known/loads.toml").read_text())["case"]
CASES = [case for case in CASES if "do" in case]
ROWS = {"other-version-magic": "A13", "signature-enforced": "A26", "lockdown": "A26"}

GIVER = """\
// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
int given_value(void);
int given_value(void)
{
	return 1;
}
EXPORT_SYMBOL_GPL(given_value);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("exports a symbol");
"""
TAKER = """\
// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
int given_value(void);
static int code;
module_param(code, int, 0);
static int __init taker_init(void)
{
	return given_value() - 1 + code;
}
module_init(taker_init);
static void __exit taker_exit(void)
{
}
module_exit(taker_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("needs that symbol");
"""


@pytest.fixture(scope="module")
def files(kernel: Kernel, hello: BuiltModule, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the .ko files named in loads.toml."""
    source = tmp_path_factory.mktemp("source")
    (source / "Kbuild").write_text("obj-m := giver.o taker.o\n")
    (source / "giver.c").write_text(GIVER)
    (source / "taker.c").write_text(TAKER)
    folder = tmp_path_factory.mktemp("modules")
    for built in Module(source).build_all(kernel):
        (folder / built.path.name).write_bytes(built.path.read_bytes())
    (folder / "text.ko").write_text("this is no module\n")
    magic = f'const char info[] __attribute__((section(".modinfo"), used)) = "vermagic={kernel.vermagic}";\n'
    (folder / "arm.c").write_text(magic)
    argv: list[str | Path] = ["clang", "--target=aarch64-linux-gnu", "-c", folder / "arm.c", "-o", folder / "arm.ko"]
    kernel.toolchain.run(argv, Grant("test", writes=(folder,)))
    other = kernel.vermagic.replace(kernel.release, "9.9.9-other".ljust(len(kernel.release), "r"))
    data = hello.path.read_bytes()
    assert data.count(kernel.vermagic.encode()) == 1
    (folder / "other.ko").write_bytes(data.replace(kernel.vermagic.encode(), other.encode()))
    return folder


def do(vm: VM, files: Path, what: str) -> None:
    command, name, *pairs = what.split()
    if command == "rmmod":
        vm.rmmod(name)
    else:
        vm.insmod(files / name, **dict(pair.split("=", 1) for pair in pairs))


def refused(vm: VM, files: Path, case: dict[str, Any]) -> None:
    for step in case.get("first", []):
        do(vm, files, step)
    with pytest.raises(ModuleRefused) as caught:
        do(vm, files, case["do"])
    assert caught.value.known == case["error"], str(caught.value)
    for words in case["cause"]:
        assert words.replace("{release}", vm.kernel.release) in caught.value.cause
    assert len(caught.value.remedy) > 20


def marks_of(case: dict[str, Any]) -> list[pytest.MarkDecorator]:
    """The rows of a case; one of the two that boot for themselves is enough for the default."""
    rows = [pytest.mark.row(ROWS[case["error"]])] if case["error"] in ROWS else []
    return [*rows, *([pytest.mark.thorough] if case["error"] == "lockdown" else [])]


@pytest.mark.parametrize("case", [pytest.param(case, id=case["error"], marks=marks_of(case)) for case in CASES])
def test_a_refused_load_is_explained(case: dict[str, Any], kernel: Kernel, files: Path, tmp_path: Path) -> None:
    append = case.get("append", "")
    if "c" in case:
        (tmp_path / "Kbuild").write_text("obj-m := x.o\n")
        (tmp_path / "x.c").write_text("// SPDX-License-Identifier: GPL-2.0-only\n" + case["c"])
        files = Module(tmp_path).build(kernel).path.parent
    with VM(kernel, append=append, snapshot=not append) as vm:
        refused(vm, files, case)
