# SPDX-License-Identifier: MIT
"""A build takes no more of the machine than it may, and its words do not decide that the machine is at fault."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.hostile.conftest import some

from r4l import home, resources
from r4l.camp.labs.check import Check
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.workspace import Workspace
from r4l.errors import BuildError, EnvironmentFault
from r4l.kernel import Kernel
from r4l.limits import LimitExceeded
from r4l.module import Module
from r4l.vm.blame import host_fault

SMALL = {"R4L_BUILD_MEMORY": "1G", "R4L_BUILD_DISK": "200M", "R4L_BUILD_SECONDS": "60"}
HOLD = "import os, time; f = os.memfd_create('x'); [os.write(f, bytes(1 << 20)) for _ in range(700)]; time.sleep(9)"
"""Python that holds 700 MiB, as much as the limits of one process and one file allow."""
TAKES = {
    "memory that is shared": (f'for i in 1 2; do python3 -c "{HOLD}" & done; wait', "took more than 1 GiB of memory"),
    "memory as files in /tmp": ("head -c 1500M /dev/zero >/tmp/x; sleep 9", "took more than 1 GiB of memory"),
    "the disk, with small files": (
        "for i in 1 2 3 4 5 6 7 8 9; do head -c 50M /dev/zero >f$$i; done",
        "wrote more than 200 MiB in all",
    ),
}
"""Regression: each of them took all that there was."""
WORDS = {
    "a full disk": "No space left on device (os error 28)",
    "a killed compiler": "process didn't exit successfully: rustc (signal: 9, SIGKILL: kill)",
    "a killed program": "make[2]: *** [hello.o] Killed",
    "a sandbox": "bwrap: Creating new namespace failed: Operation not permitted",
    "too little memory": "memory allocation of 4096 bytes failed",
}
"""Words for faults of the host. Regression: those for a full disk were believed."""


@pytest.fixture
def module(kernel: Kernel, tmp_path: Path) -> Iterator[Module]:
    """A module of a folder of its own."""
    folder = tmp_path / "greedy"
    shutil.copytree(resources.rust("drivers/hello"), folder, ignore=shutil.ignore_patterns("tests"))
    made = Module(folder)
    yield made
    home.remove(made.output(kernel).parent)


@pytest.mark.parametrize("what", TAKES)
def test_a_makefile_does_not_take(what: str, module: Module, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    command, said = TAKES[what]
    (module.folder / "Kbuild").write_text(f"obj-m := hello.o\nX := $(shell {command})\n")
    with pytest.raises(LimitExceeded, match=said):
        module.build(kernel)
    assert home.disk_usage(module.output(kernel).parent) < 10 << 20, "what is refused is removed"


@pytest.mark.parametrize("what", some(WORDS, 2))
def test_a_student_is_judged_who_blames(what: str, kernel: Kernel, tmp_path: Path) -> None:
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "blames")
    source = workspace.folder / "hello.rs"
    source.write_text(f'{source.read_text(encoding="utf-8")}\ncompile_error!("{WORDS[what]}");\n', encoding="utf-8")
    done = Check(workspace, [kernel])
    try:
        verdict = done.run()
    finally:
        done.discard()
    assert WORDS[what] in verdict.build
    assert verdict.unjudged == ()
    assert verdict.missed


def test_a_student_is_judged_whose_driver_prints_the_words_of_qemus_fault(kernel: Kernel, tmp_path: Path) -> None:
    """Regression: one printed line excused each failure on an emulated machine."""
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "prints")
    source = workspace.folder / "hello.rs"
    text = source.read_text(encoding="utf-8")
    begin, found, rest = text.partition("-> Result<Self> {\n")
    assert found
    source.write_text(f'{begin}{found}        pr_info!("\\nOops: int3: 0000 [#1]\\n");\n{rest}', encoding="utf-8")
    done = Check(workspace, [kernel])
    try:
        verdict = done.run()
    finally:
        done.discard()
    assert not verdict.build, verdict.build
    assert verdict.unjudged == ()
    assert any("int3" in outcome.seen for outcome in verdict.outcomes), "the line was taken for a complaint"


def test_the_folders_build_goes_on_after_a_refusal(
    module: Module, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = (module.folder / "Kbuild").read_text(encoding="utf-8")
    monkeypatch.setenv("R4L_BUILD_DISK", "50M")
    (module.folder / "Kbuild").write_text(f"{plain}\nX := $(shell head -c 99M /dev/zero >x; touch hello.rs)\n")
    with pytest.raises(BuildError, match="wrote more than 50 MiB"):
        module.build(kernel)
    (module.folder / "Kbuild").write_text(plain, encoding="utf-8")
    assert module.build(kernel).path.is_file()


def test_a_student_is_not_judged_by_a_machine_that_is_too_small(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: each error of a build was a miss, also where the machine's memory was too little for the compiler."""
    workspace = Workspace.start(Lab.named("hello"), tmp_path / "small")
    monkeypatch.delenv("R4L_BUILD_MEMORY", raising=False)
    monkeypatch.setattr("r4l.limits.machine_memory", lambda: 64 << 20)
    monkeypatch.setattr("r4l.watchdog.INTERVAL", 0.02)
    # On a busy machine a look takes so long that the compiler could have ended by the next one.
    monkeypatch.setattr("r4l.watchdog.PART", 1.0)
    done = Check(workspace, [kernel])
    try:
        with pytest.raises(EnvironmentFault, match="this machine is too small") as caught:
            done.run()
        verdict = done.not_judged(host_fault(caught.value))
        assert all(outcome.fault for outcome in verdict.outcomes if outcome.kind == "checkpoint")
    finally:
        done.discard()
