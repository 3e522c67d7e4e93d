# SPDX-License-Identifier: MIT
"""`r4l watch` on a terminal: saves go in, verdicts come out."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from r4l import resources

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
LIMIT = 300.0
OOPS = """
        // SAFETY: nothing makes this safe, it is the test's oops.
        unsafe { core::ptr::null_mut::<u32>().write_volatile(1) };
"""
HELLO = """
def test_hello(vm, module):
    vm.insmod(module)
    vm.klog.wait_for("Hello, world")
    vm.rmmod(module.name)
"""


def verdict(watching: Any) -> str:
    """Return the next verdict with all output before it, without colours."""
    shown: str = watching.until(r"after the save \(.*\)")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A driver's folder with a test."""
    shutil.copytree(resources.rust("drivers/hello"), tmp_path / "hello", ignore=shutil.ignore_patterns("tests"))
    (tmp_path / "hello/pytest.ini").write_text("[pytest]\n")
    (tmp_path / "hello/test_hello.py").write_text(HELLO)
    return tmp_path / "hello"


def save_by_rename(file: Path, text: str) -> None:
    """Save a file as vim does."""
    fresh = file.with_name("4913")
    fresh.write_text(text)
    fresh.rename(file)


def test_from_save_to_verdict(on_terminal: Callable[..., Any], folder: Path) -> None:
    source = folder / "hello.rs"
    good = source.read_text()
    watching = on_terminal("watch", str(folder))
    first = verdict(watching)
    assert "1 passed" in first
    assert "✓ passed" in first

    source.write_text(good.replace("Ok(Hello)", 'Ok("hello")'))
    shown = verdict(watching)
    assert "error[E0308]: mismatched types" in shown
    assert "hello.rs:22:" in shown
    assert "✗ does not build" in shown
    assert "\x1b[" in watching.raw.partition("mismatched types")[0].rpartition("error")[2], "rustc's own colours"

    save_by_rename(
        source, good.replace("#![forbid(unsafe_code)]", "").replace("        Ok(Hello)", f"{OOPS}        Ok(Hello)")
    )
    shown = verdict(watching)
    assert "NULL pointer dereference" in shown
    assert "4913" not in shown, "the editor's trial file is of no interest"
    assert "in init_module [hello]" in shown, "the place: rustc puts init into it"
    assert "✗ failed" in shown

    save_by_rename(source, good)
    assert "✓ passed" in verdict(watching)

    test = folder / "test_other.py"
    test.write_text("def test_nothing():\n    pass\n")
    shown = verdict(watching)
    assert "test_other.py" in shown
    assert "1 passed" in shown, "that file, and no other"

    test.write_bytes(b"\xff\xfe")
    assert "✗" in verdict(watching), "a file that is no text"
    test.unlink()
    watching.type("\x03")
    assert watching.wait() == 130


def test_tests_import_modules_of_the_folder(
    on_terminal: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under `r4l test`; modules of the folder that the command is called in are not imported."""
    stranger = folder.parent / "stranger"
    stranger.mkdir()
    (stranger / "multiprocessing.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(stranger)
    (folder / "helper.py").write_text("import os\nSAFE = os.environ.get('PYTHONSAFEPATH')\n")
    (folder / "test_hello.py").unlink()
    (folder / "tests").mkdir()
    (folder / "tests/test_own.py").write_text("import helper\n\ndef test_own():\n    assert helper.SAFE is None\n")
    watching = on_terminal("watch", str(folder))
    assert "1 passed" in verdict(watching)
    watching.type("\x03")
    assert watching.wait() == 130


@pytest.mark.thorough
def test_a_save_in_a_run_begins_anew(on_terminal: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    (folder / "test_hello.py").write_text(
        "import os, pathlib, time\n\n\ndef test_long(vm):\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(f'{{os.getpid()}} {{vm.pid}}')\n    time.sleep(3600)\n"
    )
    watching = on_terminal("watch", str(folder))
    end = time.monotonic() + LIMIT
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
        assert time.monotonic() < end, watching.raw
        time.sleep(0.1)
    pids = (tmp_path / "pid").read_text().split()
    (folder / "test_hello.py").write_text(HELLO)
    watching.until("started again")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "the run and its VM are gone"
    assert "1 passed" in verdict(watching)


@pytest.mark.thorough
def test_without_tests_the_module_is_loaded(on_terminal: Callable[..., Any], folder: Path) -> None:
    (folder / "test_hello.py").unlink()
    source = folder / "hello.rs"
    watching = on_terminal("watch", str(folder))
    shown = verdict(watching)
    assert "Hello, world" in shown
    assert "Goodbye" in shown
    assert "✓ passed" in shown
    source.write_text(source.read_text().replace("Ok(Hello)", "Err(EINVAL)"))
    shown = verdict(watching)
    assert "did not load hello.ko" in shown
    assert "✗ failed" in shown


@pytest.mark.thorough
def test_a_folder_that_is_removed_meanwhile(on_terminal: Callable[..., Any], folder: Path) -> None:
    watching = on_terminal("watch", str(folder))
    verdict(watching)
    (folder / "Kbuild").rename(folder / "Kbuild.away")
    (folder / "Makefile").unlink()
    assert "holds no module" in verdict(watching)
    folder.rename(folder.with_name("away"))
    watching.until("is gone")
    shutil.copytree(resources.rust("drivers/hello"), folder, ignore=shutil.ignore_patterns("tests"))
    assert "✓ passed" in verdict(watching)
    watching.type("\x03")
    assert watching.wait() == 130


@pytest.mark.thorough
def test_a_commit_that_the_build_asks_git_for(on_terminal: Callable[..., Any], tmp_path: Path) -> None:
    """No file of the folder changes, and the module's version does."""
    folder = tmp_path / "tagged"
    folder.mkdir()
    (folder / "Makefile").write_text(
        "obj-m := tagged.o\nVERSION := $(shell git -C $(src) describe --always)\nccflags-y += -DVERSION=$(VERSION)\n"
    )
    (folder / "tagged.c").write_text(
        '#include <linux/module.h>\n#include <linux/stringify.h>\nMODULE_LICENSE("GPL");\n'
        'static int __init begin(void)\n{\n\tpr_info("version %s\\n", __stringify(VERSION));\n\treturn 0;\n}\n'
        "static void __exit end(void)\n{\n}\nmodule_init(begin);\nmodule_exit(end);\n"
    )

    def git(*words: str) -> None:
        who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    git("tag", "-am", "x", "first")
    watching = on_terminal("watch", str(folder))
    assert "version first" in verdict(watching)
    git("tag", "-d", "first")
    git("tag", "-am", "x", "second")
    assert "version second" in watching.until("version second")
    watching.type("\x03")
    assert watching.wait() == 130


@pytest.mark.thorough
def test_a_header_outside_of_the_folder(on_terminal: Callable[..., Any], tmp_path: Path) -> None:
    """Also one that the build has failed for."""
    folder, header = tmp_path / "driver", tmp_path / "common/ver.h"
    for place in (folder, header.parent):
        place.mkdir()
    (folder / "Kbuild").write_text("obj-m := driver.o\nTOP := $(src)/..\nccflags-y += -I$(TOP)/common\n")
    (folder / "driver.c").write_text(
        '#include <linux/module.h>\n#include <ver.h>\nMODULE_LICENSE("GPL");\n'
        'static int __init begin(void)\n{\n\tpr_info("version %s\\n", VERSION);\n\treturn 0;\n}\n'
        "static void __exit end(void)\n{\n}\nmodule_init(begin);\nmodule_exit(end);\n"
    )
    header.write_text('#define VERSION "first \\x1b]0;mine\\x07"\n')
    watching = on_terminal("watch", str(folder))
    shown = verdict(watching)
    assert "version first \\x1b]0;mine\\x07" in shown, "no terminal obeys it"
    header.write_text("#error unfinished\n")
    shown = verdict(watching)
    assert "ver.h" in shown
    assert "✗ does not build" in shown
    header.write_text('#define VERSION "second"\n')
    assert "version second" in verdict(watching)
    watching.type("\x03")
    assert watching.wait() == 130


def test_a_folder_without_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "r4l", "watch", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "holds no module" in done.stderr
