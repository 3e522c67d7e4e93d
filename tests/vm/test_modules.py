# SPDX-License-Identifier: MIT
"""Module folders of all kinds: built, refused, loaded; with r4l and with plain make."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from r4l import home, resources
from r4l.errors import BuildError, UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.toolchain import Grant
from r4l.vm import VM
from r4l.vm.loading import ModuleRefused

pytestmark = pytest.mark.vm

MAKEFILE = """# SPDX-License-Identifier: GPL-2.0-only
KDIR ?= /lib/modules/`uname -r`/build

default:
\t$(MAKE) -C $(KDIR) M=$$PWD
"""


@pytest.fixture
def template(kernel: Kernel, tmp_path: Path) -> Path:
    """The kernel's own sample in the form of the out-of-tree template: Makefile, Kbuild, one .rs."""
    folder = tmp_path / "rust out of tree 模块" / "minimal"
    folder.mkdir(parents=True)
    shutil.copy(kernel.source / "samples/rust/rust_minimal.rs", folder)
    (folder / "Kbuild").write_text("obj-m := rust_minimal.o\n")
    (folder / "Makefile").write_text(MAKEFILE)
    return folder


def plain_folder(template: Path, tmp_path: Path) -> Path:
    """The template in a folder usable by make: the kernel's Makefile refuses paths with spaces."""
    plain = tmp_path / "minimal"
    shutil.copytree(template, plain)
    return plain


def test_the_template_builds_and_loads_unchanged(kernel: Kernel, template: Path, tmp_path: Path) -> None:
    folder = plain_folder(template, tmp_path)
    before = sorted(path.name for path in folder.iterdir())
    module = Module(folder).build(kernel)
    assert sorted(path.name for path in folder.iterdir()) == before, "the folder stays clean"
    with VM(kernel, snapshot=True) as vm:
        vm.insmod(module)
        vm.rmmod(module.name)
        vm.klog.sync()
        log = vm.klog.text()
        assert "rust_minimal: Rust minimal sample (init)" in log
        assert "rust_minimal: My numbers are [72, 108, 200]" in log
        assert "rust_minimal: Rust minimal sample (exit)" in log
        vm.klog.check()


def test_a_path_that_make_cannot_take(kernel: Kernel, template: Path) -> None:
    with pytest.raises(UsageError, match="has a space in its path") as caught:
        Module(template).build(kernel)
    assert "another folder" in caught.value.remedy


def plain_make(kernel: Kernel, folder: Path, *variables: str) -> subprocess.CompletedProcess[bytes]:
    """Build a folder of the project with the kernel's make alone."""
    arguments: list[str | Path] = ["make", "-C", kernel.build, f"M={folder}", f"R4L_KIT={resources.kit()}", "-j2"]
    return kernel.toolchain.run(
        [*arguments, *variables, "modules"],
        Grant("test", writes=(folder,), reads=(kernel.source, kernel.build, resources.kit())),
        check=False,
    )


OURS = ["alloc_demo", "c_from_rust", "capture", "cicv", "completion", "e1000"]
"""Drivers besides hello, which are built in the same way."""


@pytest.mark.parametrize("name", ["hello", *(pytest.param(name, marks=pytest.mark.thorough) for name in OURS)])
def test_plain_make_builds_our_folders_too(kernel: Kernel, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    shutil.copytree(resources.rust("drivers", name), folder)
    done = plain_make(kernel, folder)
    assert done.returncode == 0, done.stderr.decode()
    built = list(folder.glob("*.ko"))
    assert len(built) == 1
    BuiltModule(built[0]).check(kernel)


KILLED = r"""#!/bin/sh
while [ "$1" != -o ]; do shift; done
echo "pub struct half_of_" >"$2"
kill -9 "$(cut -d" " -f4 /proc/$PPID/stat)" $PPID $$
"""
"""A bindgen that is killed half-way, together with the make that started it, which would remove its output."""


def test_a_bindgen_that_is_killed_leaves_no_half_of_its_output(kernel: Kernel, tmp_path: Path) -> None:
    """Partial output would be newer than the headers, and never be made again."""
    folder = tmp_path / "c_from_rust"
    shutil.copytree(resources.rust("drivers/c_from_rust"), folder)
    killed = folder / "killed"
    killed.write_text(KILLED)
    killed.chmod(0o755)
    assert plain_make(kernel, folder, f"BINDGEN={killed}").returncode != 0
    assert not list(folder.rglob("c_bindings.rs"))
    done = plain_make(kernel, folder)
    assert done.returncode == 0, done.stderr.decode()


def test_an_unchanged_module_is_not_built_again(kernel: Kernel, e1000: BuiltModule) -> None:
    before = e1000.path.stat().st_mtime_ns
    assert Module(resources.rust("drivers/e1000")).build(kernel).path.stat().st_mtime_ns == before


@pytest.mark.thorough
def test_a_changed_source_is_built_though_the_clock_was_set_back(kernel: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "hello"
    shutil.copytree(resources.rust("drivers") / "hello", folder)
    module = Module(folder)
    before = module.build(kernel).path
    tomorrow = time.time() + 24 * 3600
    for file in (*module.output(kernel).rglob("*"), *folder.rglob("*")):
        if file.is_file():
            os.utime(file, (tomorrow, tomorrow))
    source = folder / "hello.rs"
    source.write_text(source.read_text(encoding="utf-8").replace("world", "tomorrow"), encoding="utf-8")
    after = module.build(kernel)
    assert b"Hello, tomorrow" in after.path.read_bytes()
    assert (after.path, after.notes) == (before, ())
    # And a second time, when nothing is of the future any more.
    source.write_text(source.read_text(encoding="utf-8").replace("tomorrow", "today"), encoding="utf-8")
    assert b"Hello, today" in module.build(kernel).path.read_bytes()


def test_a_rust_error_is_shown_as_rustc_shows_it(kernel: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(resources.rust("drivers/hello"), folder)
    source = folder / "hello.rs"
    source.write_text(source.read_text() + "\nfn wrong() -> u32 {\n    missing_value\n}\n")
    with pytest.raises(BuildError, match=r"error\[E0425\]: cannot find value `missing_value`") as caught:
        Module(folder).build(kernel)
    assert "hello.rs:" in caught.value.detail
    assert "|     missing_value\n" in caught.value.detail
    assert "^^^^^^^^^^^^^ not found in this scope" in caught.value.detail
    assert caught.value.log is not None
    assert caught.value.log.exists()


@pytest.mark.row("B6")
def test_c_is_called_from_rust_through_own_bindings_and_helpers(kernel: Kernel) -> None:
    module = Module(resources.rust("drivers/c_from_rust")).build(kernel)
    bindings = next(module.path.parent.rglob("c_bindings.rs")).read_text()
    assert "fn c_from_rust_hweight32" in bindings, "the helper's symbol is in the module's own bindings"
    with VM(kernel, snapshot=True) as vm:
        vm.insmod(module)
        vm.klog.sync()
        assert "c_from_rust: hweight32(0xf0f0) = 8" in vm.klog.text()
        assert "c_from_rust: sum of 2 values = 42" in vm.klog.text()
        vm.rmmod(module.name)
        vm.klog.check()


@pytest.mark.thorough
@pytest.mark.row("A26")
def test_an_unsigned_module_taints_and_is_refused_where_signatures_are_enforced(
    kernel: Kernel, hello: BuiltModule
) -> None:
    with VM(kernel, snapshot=True) as vm:
        vm.insmod(hello)
        taint = int(vm.run("cat /proc/sys/kernel/tainted").stdout)
        assert taint & (1 << 13), "TAINT_UNSIGNED_MODULE"
    with VM(kernel, append="module.sig_enforce=1", snapshot=True) as vm:
        with pytest.raises(ModuleRefused, match=r"enforces signatures") as caught:
            vm.insmod(hello)
        assert "module.sig_enforce" in caught.value.remedy
        assert "hello" not in vm.run("cat /proc/modules").stdout


def test_an_init_that_fails_runs_once(kernel: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "refuses"
    shutil.copytree(resources.rust("drivers/hello"), folder, ignore=shutil.ignore_patterns("tests"))
    source = folder / "hello.rs"
    source.write_text(source.read_text().replace("        Ok(Hello)\n", "        Err(EINVAL)\n"))
    module = Module(folder).build(kernel)
    with VM(kernel, snapshot=True) as vm:
        with pytest.raises(ModuleRefused, match=r"Invalid argument"):
            vm.insmod(module)
        vm.klog.sync()
        assert vm.klog.text().count("Hello, world") == 1, vm.klog.text()
        said = vm.run(["insmod", "/no/such.ko"])
        assert (said.exit_code, said.stderr) == (1, "insmod: can't open '/no/such.ko': No such file or directory\n")
        vm.put(__file__, "/not.ko")
        assert vm.run(["insmod", "/not.ko"]).stderr == "insmod: can't insert '/not.ko': invalid module format\n"


def test_a_parameter_may_have_spaces_and_a_module_may_be_compressed(kernel: Kernel, hello: BuiltModule) -> None:
    with VM(kernel, snapshot=True) as vm:
        with pytest.raises(ModuleRefused, match="hello has no parameter words"):
            vm.insmod(hello, words="two words")
        vm.klog.sync()
        # The kernel says what it was given, where the module has no such parameter: one, not two.
        assert vm.klog.text().count("unknown parameter") == 1
        assert "unknown parameter 'words' ignored" in vm.klog.text()
        vm.rmmod("hello")
        assert vm.run("gzip -c /lib/modules/r4l/hello.ko >/hello.ko.gz").ok
        assert vm.run(["insmod", "/hello.ko.gz"], check=True).ok
        assert "hello" in vm.run("cat /proc/modules").stdout


@pytest.mark.thorough
def test_a_module_follows_a_header_outside(kernel: Kernel, tmp_path: Path) -> None:
    """Regression: make compares times, and one that was replaced by an older one was as old as before to it."""
    folder, header = tmp_path / "repo/mod", tmp_path / "repo/inc/v.h"
    folder.mkdir(parents=True)
    header.parent.mkdir()
    (folder / "Kbuild").write_text("obj-m := m.o\n")
    (folder / "m.c").write_text(
        '#include <linux/module.h>\n#include "../inc/v.h"\nMODULE_DESCRIPTION(TEXT);\nMODULE_LICENSE("GPL");\n'
    )
    for text, when in (("first", 10**9), ("other", 10**9), ("third", 10**9 - 1)):
        new = tmp_path / "new"
        new.write_text(f'#define TEXT "{text}"\n')
        os.utime(new, (when, when))
        new.replace(header)
        assert text.encode() in Module(folder).build(kernel).path.read_bytes()
    before = Module(folder).build(kernel).path.stat()
    assert Module(folder).build(kernel).path.stat().st_mtime_ns == before.st_mtime_ns, "nothing is built anew"


LARGE = 'asm(".pushsection .note.large,\\"\\"\\n.rept 6000000\\n.byte 1\\n.endr\\n.popsection");\n'
"""Text that the assembler works on for a second."""


def test_a_build_that_was_interrupted_goes_on(kernel: Kernel, tmp_path: Path) -> None:
    """Regression: make was killed while the assembler had an empty object open, and took that for up to date."""
    folder = tmp_path / "interrupted"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := it.o\n")
    source = '#include <linux/module.h>\nstatic int go(void) { return 0; }\nmodule_init(go);\nMODULE_LICENSE("GPL");\n'
    (folder / "it.c").write_text(source)
    module = Module(folder)
    made = module.build(kernel).path.with_suffix(".o")

    def interrupt(line: str) -> None:
        until = time.monotonic() + 60
        while line.endswith("it.o") and time.monotonic() < until:
            if made.exists() and not made.stat().st_size:
                raise KeyboardInterrupt
            time.sleep(0.01)

    (folder / "it.c").write_text(source + LARGE)
    with pytest.raises(KeyboardInterrupt):
        module.build(kernel, say=interrupt)
    assert not made.stat().st_size
    try:
        assert module.build(kernel).path.stat().st_size > 6_000_000
    finally:
        home.remove(made.parents[1])
