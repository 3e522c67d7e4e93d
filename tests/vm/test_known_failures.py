# SPDX-License-Identifier: MIT
"""The known failures: each is provoked in a real build or load, and must be explained with cause and remedy."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from r4l import home, resources
from r4l.cli import build
from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.kernel.kdir import explain_kdir
from r4l.module import BuiltModule, Module
from r4l.module.paths_in import whole
from r4l.toolchain import Grant

FIXTURES = Path(__file__).parents[1] / "fixtures"
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "known/cases.toml").read_text())["case"]
HELLO = resources.rust("drivers/hello/hello.rs")

METADATA = {"no-metadata", "no-core", "not-prepared", "no-kernel-crate", "no-target-json", "rust-off"}
"""Row A11: a kernel without Rust support or without Rust metadata."""


def rows_of(case: dict[str, Any]) -> list[pytest.MarkDecorator]:
    if case["error"] in METADATA:
        return [pytest.mark.row("A11")]
    if any("expected: " in words for words in case["cause"]):
        return [pytest.mark.row("A12")]
    return [pytest.mark.row("D1")] if case["error"] == "compiler-differs" else []


def parameters(*, note: bool) -> list[Any]:
    """The cases; the first of each error shows it, the others vary it."""
    found, seen = [], set[str]()
    for case in CASES:
        if case.get("note", False) == note:
            marks = [*rows_of(case), *([pytest.mark.thorough] if case["error"] in seen else [])]
            found.append(pytest.param(case, id=case["error"], marks=marks))
            seen.add(case["error"])
    return found


@pytest.fixture
def kdirs(kernel: Kernel) -> Iterator[Path]:
    """A folder beside the kernels' own (the same disk, for hard links), removed afterwards."""
    folder = home.home() / f"kdirs-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def rewrite(file: Path, text: str) -> None:
    """Replace a file that is a hard link to the kernel's own."""
    file.unlink(missing_ok=True)
    file.write_text(text)


def changed_kernel(case: dict[str, Any], kernel: Kernel, kdirs: Path) -> Kernel:
    """The kernel with a copy of its build folder, broken as the case describes."""
    arguments = (*kernel.make_arguments, *case.get("make", []))
    if not {"remove", "lost", "replace", "replace_pattern"} & set(case):
        return dataclasses.replace(kernel, make_arguments=arguments)
    build = kdirs / "build"
    subprocess.run(["cp", "-al", kernel.build, build], check=True)
    makefile = build / "Makefile"
    rewrite(makefile, makefile.read_text().replace(str(kernel.build), str(build)))
    for pattern in [*case.get("remove", []), *case.get("lost", [])]:
        found = list(build.glob(pattern))
        assert found, f"{pattern} is not in the kernel's build folder"
        for path in found:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, old, new in case.get("replace", []):
        file = build / name
        before = file.read_text() if file.exists() else ""
        assert old in before
        rewrite(file, before.replace(old, new) if old else new)
    if "replace_pattern" in case:
        name, pattern, new = case["replace_pattern"]
        text, count = re.subn(pattern, lambda _match: new, (build / name).read_text())
        assert count, pattern
        rewrite(build / name, text)
    return dataclasses.replace(kernel, build=build, make_arguments=arguments)


def module_folder(case: dict[str, Any], folder: Path, crates: Path) -> Path:
    """The module that the case describes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if "driver" in case:
        shutil.copytree(resources.rust("drivers", case["driver"]), folder)
        if "driver_append" in case:
            name, text = case["driver_append"]
            (folder / name).write_text((folder / name).read_text() + text)
        return folder
    folder.mkdir()
    for name, text in case.get("around", {}).items():
        file = Path(os.path.normpath(folder / name))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "Kbuild").write_text(case.get("kbuild", "obj-m := x.o\n").replace("CRATES", str(crates)))
    if "c" in case:
        (folder / "x.c").write_text(case["c"])
        return folder
    text = HELLO.read_text()
    for old, new in case.get("edit", []):
        assert old in text
        text = text.replace(old, new)
    (folder / "x.rs").write_text(text + case.get("append", ""))
    return folder


def rustc(kernel: Kernel, folder: Path, name: str, text: str, *arguments: str, host: bool = False) -> Path:
    """Compile a crate to metadata, for the kernel's target or for the host."""
    source, out = folder / f"{name}.rs", folder / f"lib{name}.rmeta"
    source.write_text(text)
    target = [
        f"--target={kernel.build / 'scripts/target.json'}",
        "--sysroot=/dev/null",
        f"-L{kernel.build / 'rust'}",
        "-Zunstable-options",
        "-Cpanic=abort",
    ]
    common = ["--edition=2021", "--crate-type=rlib", "--emit=metadata", f"--crate-name={name}"]
    kernel.toolchain.run(
        ["rustc", *common, "-o", out, source, *([] if host else target), *arguments],
        Grant("test", writes=(folder,), reads=(kernel.build,)),
        env={"RUSTC_BOOTSTRAP": "1"},
    )
    return out


LOWER = "#![no_std]\npub fn f() -> u8 {\n    1\n}\n"
UPPER = "#![no_std]\npub fn g() -> u8 {\n    lower::f()\n}\n"


def other_rustc(kernel: Kernel, folder: Path) -> None:
    """Real metadata whose header's version line claims another rustc."""
    made = rustc(kernel, folder, "lower", LOWER)
    data = made.read_bytes()
    changed, count = re.subn(rb"rustc 1\.(\d)(\d)", rb"rustc 1.\g<1>0", data, count=1)
    assert count == 1
    assert changed != data
    made.write_bytes(changed)


def for_the_host(kernel: Kernel, folder: Path) -> None:
    rustc(kernel, folder, "lower", LOWER, host=True)


def stale(kernel: Kernel, folder: Path) -> None:
    lower = rustc(kernel, folder, "lower", LOWER)
    rustc(kernel, folder, "upper", UPPER, f"--extern=lower={lower}")
    rustc(kernel, folder, "lower", LOWER.replace("u8", "u16"))


CRATES: dict[str, Callable[[Kernel, Path], None]] = {
    "other_rustc": other_rustc,
    "for_the_host": for_the_host,
    "stale": stale,
}


def prepared(
    case: dict[str, Any], kernel: Kernel, tmp_path: Path, kdirs: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Module, Kernel]:
    crates = tmp_path / "crates"
    crates.mkdir()
    if "crates" in case:
        CRATES[case["crates"]](kernel, crates)
    if "lost" in case:
        # Whoever looks into the folder only sees that much; the words of rustc and make must do by themselves.
        monkeypatch.setattr(importlib.import_module("r4l.module.diagnose"), "explain_kdir", lambda *_: None)
    return Module(module_folder(case, tmp_path / case.get("folder", "x"), crates)), changed_kernel(case, kernel, kdirs)


@pytest.mark.parametrize("case", parameters(note=False))
def test_a_failing_build_is_explained(
    case: dict[str, Any], kernel: Kernel, tmp_path: Path, kdirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, changed = prepared(case, kernel, tmp_path, kdirs, monkeypatch)
    with pytest.raises(BuildError) as caught:
        module.build_all(changed)
    error = caught.value
    assert error.known == case["error"], f"{error.cause}\n{error.detail}"
    for words in case["cause"]:
        assert words.replace("{release}", kernel.release) in error.cause
    assert len(error.remedy) > 20
    assert all(words in error.remedy for words in case.get("remedy", []))
    assert error.log is not None
    log = error.log.read_text()
    assert error.detail
    code = re.search(r"^error\[E\d+\]: .*\n.*\n", log, re.MULTILINE)
    if code:
        shown = whole(code[0], module.folder)
        assert shown in error.detail + "\n", "rustc's error stays as rustc shows it, but for the whole path"


@pytest.mark.parametrize("case", parameters(note=True))
def test_a_warning_of_a_good_build_is_explained(
    case: dict[str, Any], kernel: Kernel, tmp_path: Path, kdirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, changed = prepared(case, kernel, tmp_path, kdirs, monkeypatch)
    if "newer" in case:
        tomorrow = time.time() + 86400
        os.utime(module.folder / "x.rs", (tomorrow, tomorrow))
    [built] = module.build_all(changed)
    notes = {note.name: note for note in built.notes}
    assert case["error"] in notes
    for words in case["cause"]:
        assert words in notes[case["error"]].cause
    assert notes[case["error"]].remedy
    assert notes[case["error"]].text in module.log(changed).read_text()


@pytest.mark.row("D1")
def test_a_good_build_with_the_same_compiler_has_no_notes(kernel: Kernel, tmp_path: Path, kdirs: Path) -> None:
    folder = module_folder({}, tmp_path / "x", tmp_path)
    checked = dataclasses.replace(kernel, make_arguments=(*kernel.make_arguments, "DEBIAN_KERNEL_NO_CC_VERSION_CHECK="))
    assert Module(folder).build(checked).notes == ()


def test_an_error_of_the_modules_own_is_not_taken_for_another_kernels_api(kernel: Kernel, tmp_path: Path) -> None:
    own = """
trait Own {
    fn one(&self, value: u8);
}
impl Own for Hello {
    fn one(&self) {}
}
"""
    folder = module_folder({"append": own}, tmp_path / "x", tmp_path)
    with pytest.raises(BuildError, match=r"error\[E0050\]") as caught:
        Module(folder).build(kernel)
    assert caught.value.known == ""


@pytest.mark.row("A13")
def test_a_module_of_another_machine_is_refused_before_boot(kernel: Kernel, hello: BuiltModule, tmp_path: Path) -> None:
    hello.check(kernel)
    source = tmp_path / "arm.c"
    source.write_text(
        f'static const char info[] __attribute__((section(".modinfo"), used)) = "vermagic={kernel.vermagic}";\n'
    )
    other = tmp_path / "arm.ko"
    argv: list[str | Path] = ["clang", "--target=aarch64-linux-gnu", "-c", source, "-o", other]
    kernel.toolchain.run(argv, Grant("test", writes=(tmp_path,)))
    with pytest.raises(BuildError, match=r"arm.ko is for another machine \(EM_AARCH64\)") as caught:
        BuiltModule(other).check(kernel)
    assert kernel.arch in caught.value.cause


OTHER_APIS = {
    "E0050": (
        [["fn init(_module:", "fn init(_name: &'static CStr, _module:"]],
        "lib.rs",
        "fn init(module: &'static ThisModule) -> ",
        "fn init(name: &'static CStr, module: &'static ThisModule) -> ",
        "`fn init(name: &'static CStr, module: &'static ThisModule) -> ",
    ),
    "E0053": (
        [["_module: &'static ThisModule", "_module: &'static core::ffi::CStr"]],
        "lib.rs",
        "fn init(module: &'static ThisModule) -> ",
        "fn init(module: &'static CStr) -> ",
        "`fn init(module: &'static CStr) -> ",
    ),
    "E0107": (
        [["Ok(Hello)", "let _v = Vec::<u8>::new();\n        Ok(Hello)"]],
        "alloc/kvec.rs",
        "pub struct Vec<T, A: Allocator>",
        "pub struct Vec<T, A: Allocator = Kmalloc>",
        "`pub struct Vec<T, A: Allocator = Kmalloc>` (rust/kernel/alloc/kvec.rs:",
    ),
    "E0599": (
        [["Ok(Hello)", "let mut v = KVec::<u8>::new();\n        v.attach(1u8)?;\n        Ok(Hello)"]],
        "alloc/kvec.rs",
        "pub fn push(&mut self,",
        "pub fn attach(&mut self,",
        "`pub fn attach(&mut self, v: T, flags: Flags) -> Result<(), AllocError>` (rust/kernel/alloc/kvec.rs:",
    ),
    "E0432": (
        [["use kernel::prelude::*;", "use kernel::prelude::*;\nuse kernel::sync::BetterArc;"]],
        "sync.rs",
        "\nmod arc;",
        "\npub use arc::Arc as BetterArc;\nmod arc;",
        "BetterArc",
    ),
}
"""An edit of hello.rs, a difference in a file of rust/kernel of the other kernel, and the expected explanation."""


@pytest.mark.row("A12")
@pytest.mark.parametrize("code", OTHER_APIS)
def test_the_kernel_whose_api_a_module_expects_is_named(
    code: str, kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Build and error are real; the other kernel is this one's source with one change."""
    edit, name, old, new, told = OTHER_APIS[code]
    shutil.copytree(kernel.source / "rust/kernel", tmp_path / "other/rust/kernel")
    changed = 0
    for file in (tmp_path / "other/rust/kernel").rglob("*.rs" if "fn init" in old else Path(name).name):
        text = file.read_text()
        changed += old in text
        file.write_text(text.replace(old, new))
    assert changed
    other = dataclasses.replace(kernel, release="6.0.0-other", source=tmp_path / "other")
    monkeypatch.setattr("r4l.module.make_runs._others", lambda _kernel: [other])
    with pytest.raises(BuildError) as caught:
        Module(module_folder({"edit": edit}, tmp_path / "x", tmp_path)).build(kernel)
    assert code in caught.value.detail
    assert "the module expects another kernel's API: " in caught.value.cause
    assert ", as Linux 6.0.0-other has it: " in caught.value.cause
    assert told in caught.value.cause
    assert f"Linux {kernel.release}" in caught.value.cause
    assert "`--kernel 6.0.0-other`" in caught.value.remedy


@pytest.mark.row("A12")
def test_no_kernel_is_named_that_would_not_take_the_module_either(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other kernel has the same API in other words."""
    shutil.copytree(kernel.source / "rust/kernel", tmp_path / "other/rust/kernel")
    for file in (tmp_path / "other/rust/kernel").rglob("*.rs"):
        file.write_text(file.read_text().replace("module: &'static ThisModule", "this: &'static crate::ThisModule"))
    other = dataclasses.replace(kernel, release="6.0.0-other", source=tmp_path / "other")
    monkeypatch.setattr("r4l.module.make_runs._others", lambda _kernel: [other])
    folder = module_folder({"edit": OTHER_APIS["E0053"][0]}, tmp_path / "x", tmp_path)
    with pytest.raises(BuildError) as caught:
        Module(folder).build(kernel)
    assert caught.value.known == "trait-method-type"
    assert "the module does not fit the kernel's API: " in caught.value.cause
    assert "none of the other kernels here (6.0.0-other) has either" in caught.value.cause
    assert "6.0.0-other" not in caught.value.remedy


@pytest.mark.row("D1")
def test_the_command_shows_the_note_with_its_meaning(
    kernel: Kernel, tmp_path: Path, kdirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(case for case in CASES if case["error"] == "compiler-differs")
    module, changed = prepared(case, kernel, tmp_path, kdirs, monkeypatch)
    monkeypatch.setattr("r4l.cli.build.set_up", lambda *_rest, **_more: changed)
    done = CliRunner().invoke(build.command, [str(module.folder)])
    assert done.exit_code == 0, done.output
    assert "note:   the C compiler differs from the one that built the kernel" in done.stderr
    assert (
        "warning: the compiler differs from the one used to build the kernel\n  The kernel was built by" in done.stderr
    )
    assert done.stdout.strip().endswith("/x.ko")
    done = CliRunner().invoke(build.command, [str(module.folder), "--json"])
    [note] = json.loads(done.stdout)["notes"]
    assert note["name"] == "compiler-differs"
    assert note["cause"].startswith("the C compiler differs")
    assert note["remedy"]


@pytest.mark.row("A11")
def test_real_build_folders_are_seen_for_what_they_are(kernel: Kernel) -> None:
    assert explain_kdir(kernel.build, kernel.toolchain) is None
    headers = kernel.source.parent / f"packages/usr/src/linux-headers-{kernel.release}"
    wrong = explain_kdir(headers, kernel.toolchain)
    assert wrong is not None
    assert wrong.name == "no-metadata"
    assert f"the kernel {kernel.release} in {headers}" in wrong.cause
    source = explain_kdir(kernel.source, kernel.toolchain)
    assert source is not None
    assert source.name == "not-configured"
    with pytest.raises(BuildError, match="has no Rust metadata") as caught:
        Kernel.get(headers)
    assert caught.value.known == "no-metadata"
