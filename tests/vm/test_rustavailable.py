# SPDX-License-Identifier: MIT
"""The kernel's own check of the tools: passed by the toolchain, and explained if it fails."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from r4l.cli import doctor
from r4l.kernel import Kernel
from r4l.kernel.rustavailable import rust_available
from r4l.kernel.tools import Tool, tools

FIXTURES = Path(__file__).parents[1] / "fixtures"
CASES: list[dict[str, Any]] = tomllib.loads((FIXTURES / "known/rustavailable.toml").read_text())["case"]


@pytest.mark.row("A1")
def test_rust_is_available(kernel: Kernel) -> None:
    check = rust_available(kernel.source, kernel.toolchain)
    assert check.ok
    assert "Rust is available!" in check.text
    assert check.explanation is None


@pytest.mark.row("B7")
@pytest.mark.parametrize("case", CASES, ids=[case["error"] for case in CASES])
def test_a_tool_that_will_not_do_is_named(case: dict[str, Any], kernel: Kernel, tmp_path: Path) -> None:
    arguments = ["LLVM=1", *case.get("make", [])]
    if "tool" in case:
        variable, text = case["tool"]
        program = tmp_path / variable.lower()
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        arguments.append(f"{variable}={program}")
    check = rust_available(kernel.source, kernel.toolchain, arguments, readable=[tmp_path], env=case.get("env"))
    assert check.ok == case.get("ok", False), check.text
    assert check.explanation is not None, check.text
    assert check.explanation.name == case["error"]
    for words in case["cause"]:
        assert words in check.explanation.cause
    assert check.explanation.remedy


@pytest.mark.row("A1")
@pytest.mark.row("B7")
def test_the_toolchain_has_what_the_kernel_asks_for(kernel: Kernel) -> None:
    found = {tool.name: tool for tool in tools(kernel.source, kernel.toolchain, kernel.arch)}
    assert set(found) == {"rustc", "bindgen", "llvm"}
    assert all(tool.ok for tool in found.values())
    script = (kernel.source / "scripts/min-tool-version.sh").read_text()
    for tool in found.values():
        assert f"echo {tool.wanted}\n" in script
    for name in ("rustc", "bindgen"):
        assert found[name].found in kernel.toolchain.packages[name]


@pytest.mark.parametrize(
    ("found", "wanted", "ok"),
    [("0.71.1", "0.71.1", True), ("0.9.9", "0.71.1", False), ("1.100.0", "1.85.0", True), ("does not run", "1", False)],
)
def test_versions_are_compared_by_number(found: str, wanted: str, ok: bool) -> None:
    assert Tool("bindgen", found, wanted).ok is ok


@pytest.mark.row("B7")
def test_doctor_names_the_found_and_the_wanted_version(kernel: Kernel) -> None:
    done = CliRunner().invoke(doctor.command, ["--json"])
    findings = {finding["name"]: finding for finding in json.loads(done.output)}
    for tool in tools(kernel.source, kernel.toolchain, kernel.arch):
        finding = findings[tool.name]
        assert finding["ok"]
        assert (finding["version"], finding["wanted"]) == (tool.found, tool.wanted)
        assert f"{tool.found} found, Linux {kernel.release} wants {tool.wanted} or newer" in finding["found"]
    assert "bindgen-cli" in findings["bindgen"]["found"]
    assert findings["rustavailable"]["found"] == "make LLVM=1 rustavailable: Rust is available!"
