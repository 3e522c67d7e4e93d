# SPDX-License-Identifier: MIT
"""`r4l graft` itself, and the folders that it accepts as drivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from r4l import resources
from r4l.graft import driver, graft

E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


def test_the_command(
    tree: Path, tmp_path: Path, texts: Callable[[Path], dict[str, str]], original: dict[str, str]
) -> None:
    def r4l(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "r4l", "graft", *arguments, "--into", str(tree)]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = r4l(str(HELLO), "--json")
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    assert said["symbol"] == "SAMPLE_RUST_HELLO"
    assert said["new"] == ["samples/rust/hello.rs"]
    assert said["changed"] == ["samples/rust/Kconfig", "samples/rust/Makefile"]
    again = r4l(str(HELLO), "--json")
    assert again.returncode == 2
    assert "already" in json.loads(again.stdout)["cause"]
    out = r4l("hello", "--remove")
    assert out.returncode == 0, out.stderr
    assert "- samples/rust/hello.rs" in out.stderr
    assert texts(tree) == original
    assert r4l(str(HELLO), "--commit", "--patch", "x").returncode == 2
    assert r4l("hello", "--remove", "--as", "x").returncode == 2
    assert r4l(str(E1000), "--series", "out", "--patch", "x").returncode == 2
    assert "series.toml" in r4l(str(HELLO), "--series", "out").stderr
    assert not (tmp_path / "out").exists()


def test_what_a_driver_is() -> None:
    e1000 = driver.read_driver(E1000)
    assert (e1000.name, e1000.root, e1000.kit, e1000.single) == ("r4l_e1000", "main.rs", True, False)
    assert {"pci", "device", "sync"} <= e1000.uses()
    assert e1000.description == "Intel 82540, 82544, 82545, 82546 Gigabit Ethernet, in Rust"
    assert driver.read_driver(resources.rust("drivers", "c_from_rust")).bindgen


def test_a_patch_goes_where_a_link_or_a_pipe_leads(tree: Path, tmp_path: Path) -> None:
    real, link, pipe = (tmp_path / each for each in ("real", "link", "pipe"))
    real.write_text("old")
    link.symlink_to(real)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for patch in (link, pipe):
        graft(HELLO, tree, patch=patch)
    read = os.read(reader, 1 << 16).decode()
    os.close(reader)
    assert link.is_symlink()
    assert pipe.is_fifo()
    assert read.partition("\nSubject:")[2] == real.read_text().partition("\nSubject:")[2] != ""
