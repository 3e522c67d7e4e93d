# SPDX-License-Identifier: MIT
"""Lab 2 on its own kernel: the reference answer gets full marks, the starter does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import pytest

from r4l.camp.labs import matrix
from r4l.camp.labs.check import Check
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.matrix import Variant
from r4l.camp.labs.workspace import Workspace
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.kernel.config import read_config
from r4l.kernel.copy import UNFINISHED, Copy, borrowed
from r4l.kernel.trial import Trial

PLACE = PurePosixPath("drivers/misc/camp_greeter")

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def lab() -> Lab:
    return Lab.named("configure")


@pytest.mark.row("A3", "B3", "C2", "C3")
def test_the_answer_has_the_full_mark_and_the_starter_has_not(lab: Lab, minimal: Kernel) -> None:
    for kind in ("answer", "starter"):
        (judged,) = matrix.run([lab], lambda _: [minimal], only=kind, exactly=True)
        assert judged.fine, judged.said


@pytest.mark.row("A3", "C2")
def test_the_machine_agrees_with_the_keys(
    lab: Lab, minimal: Kernel, ask_the_machine: Callable[[Kernel, Sequence[Lab]], None]
) -> None:
    ask_the_machine(minimal, [lab])


def test_the_original_is_as_it_was(minimal: Kernel) -> None:
    """The copy shares the source's files by hard links, so the original must not have changed."""
    with borrowed(minimal, "lab-configure") as copy:
        for name in ("drivers/misc/Makefile", "drivers/misc/Kconfig"):
            ours, theirs = copy.source / name, minimal.source / name
            assert "camp_greeter" in ours.read_text()
            assert "camp_greeter" not in theirs.read_text()
        assert not (minimal.source / "drivers/misc/camp_greeter").exists()
        assert copy.config == (minimal.build / ".config").read_text()


def test_a_trial_says_what_the_whole_tree_says(lab: Lab, minimal: Kernel) -> None:
    text = (lab.answer / "Kconfig").read_text()
    with borrowed(minimal, "lab-configure") as copy:
        trial = Trial.of(minimal, copy.folder / "trial", copy.config, PLACE / "Kconfig", text)
        assert "camp_greeter" in (copy.source / PLACE.parent / "Kconfig").read_text(), "a check has put it there"
        copy.put(PLACE / "Kconfig", text)
        for rust, value in (("y", "m"), ("n", "n")):
            wanted = {"CONFIG_RUST": rust, "CONFIG_CAMP_GREETER": "m"}
            whole = read_config(copy.settled("whole", wanted))
            tried = trial.settled(wanted)
            for config in (whole, tried):
                assert {option: config.get(option, "n") for option in wanted} == {
                    **wanted,
                    "CONFIG_CAMP_GREETER": value,
                }


def test_what_was_killed_while_it_built_is_done_by_the_next(lab: Lab, minimal: Kernel, tmp_path: Path) -> None:
    workspace = Workspace.start(lab, tmp_path / "work")
    Variant(lab.name, "answer", "answer", "").write(workspace.folder, lab)
    # A list that nobody reads makes it another Makefile, which has to be built.
    makefile = workspace.folder / "Makefile"
    makefile.write_text(f"{makefile.read_text()}obj-n += x{os.urandom(8).hex()}.o\n")
    with borrowed(minimal, "lab-configure") as copy:
        linked = copy.build / "vmlinux.o"
        before = linked.stat().st_mtime_ns
    argv = [sys.executable, "-m", "r4l", "lab", "check", str(workspace.folder)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as check:
        while check.poll() is None and not (linked.exists() and linked.stat().st_mtime_ns != before):
            time.sleep(0.05)
        os.killpg(check.pid, signal.SIGKILL)
    assert (copy.folder / UNFINISHED).exists()
    verdict = Check(workspace, [minimal]).run()
    assert [outcome.id for outcome in verdict.outcomes if outcome.kind == "checkpoint" and not outcome.passed] == []
    assert not (copy.folder / UNFINISHED).exists()


def test_a_kernel_that_was_not_built_here_is_refused(kernel: Kernel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="was not built from source here"):
        Copy.make_at(tmp_path / "copy", kernel)
