# SPDX-License-Identifier: MIT
"""An incomplete manifest means a kernel that is not ready, and never an error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from r4l.kernel import debian, manifest, own, stock
from r4l.toolchain import Toolchain

STOCK = {"release": "7.2.1-amd64", "version": "7.2.1-1", "arch": "x86_64"}
OWN = {**STOCK, "name": "minimal", "source": "/", "recipe": "abc", "steps": 1000, "toolchain": {}}


@pytest.fixture
def toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    monkeypatch.setenv("R4L_HOME", str(tmp_path))
    (tmp_path / "toolchain/key").mkdir(parents=True)
    return Toolchain(tmp_path / "toolchain/key", "key")


def broken(whole: dict[str, Any]) -> list[str]:
    text = json.dumps(whole)
    return ["", text[: len(text) // 2], "[]", "{}", "\0" * len(text)]


def test_debians_kernel(tmp_path: Path, toolchain: Toolchain) -> None:
    ready = tmp_path / "kernels/7.2.1-amd64_7.2.1-1/key"
    ready.mkdir(parents=True)
    manifest.write(ready, STOCK)
    assert [kernel.release for kernel in stock.all_ready(toolchain)] == ["7.2.1-amd64"]
    for text in broken(STOCK):
        (ready / "kernel.json").write_text(text)
        assert stock.all_ready(toolchain) == []


def test_debians_kernel_is_made_ready_again(
    tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "kernels/7.2.1-amd64_7.2.1-1"
    (folder / "key").mkdir(parents=True)
    (folder / "key/kernel.json").write_text('{"release": "7.')
    monkeypatch.setattr(stock, "_make_ready", lambda *_: STOCK)
    release = debian.PackagedKernel("7.2.1-amd64", "7.2.1-1", "")
    assert stock.prepare(folder, release, "x86_64", toolchain).release == "7.2.1-amd64"


def test_a_kernel_from_source(tmp_path: Path, toolchain: Toolchain) -> None:
    folder = tmp_path / "builds/minimal-x86_64"
    folder.mkdir(parents=True)
    manifest.write(folder, OWN)
    assert [kernel.name for kernel in own.all_ready(toolchain)] == ["minimal"]
    for text in broken(OWN):
        (folder / "kernel.json").write_text(text)
        assert own.all_ready(toolchain) == []
        assert own.ready("minimal", "x86_64", toolchain) is None


def test_its_content_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append((tmp_path / "kernel.json").exists()))
    manifest.write(tmp_path, STOCK)
    assert synced == [False]
    assert manifest.read(tmp_path) == STOCK
