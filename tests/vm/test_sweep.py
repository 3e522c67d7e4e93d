# SPDX-License-Identifier: MIT
"""`r4l sweep`: a driver with a mistake of each kind, and each verdict."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from r4l import home
from r4l.errors import UsageError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.module.named import named
from r4l.sweep import Baseline, Results, SweepCell, SweptDriver, find_model, machines, subject
from r4l.sweep import phases as phase_table
from r4l.sweep.as_test import as_test
from r4l.sweep.run import run_baseline, run_cell, run_cells
from r4l.sweep.subject import Ready
from r4l.vm import VM

pytestmark = pytest.mark.vm

FIXTURE = Path(__file__).parents[1] / "fixtures/swept"
E1000 = Path(__file__).parents[2] / "rust/drivers/e1000"
VALUE = '[ "$(cat $DEVICE/value)" = 42 ] || exit 3'
"""The exercise: a wrong value is no service, and nothing reports it."""


@pytest.fixture(scope="module")
def swept(kernel: Kernel) -> BuiltModule:
    """The driver with the mistakes."""
    return Module(FIXTURE).build(kernel)


@pytest.fixture(scope="module")
def driver(kernel: Kernel, swept: BuiltModule) -> SweptDriver:
    """That driver with its device."""
    return subject(kernel, kernel.release, str(FIXTURE), swept, find_model(str(FIXTURE), swept), VALUE)


@pytest.fixture(scope="module")
def baseline(driver: SweptDriver) -> Baseline:
    """Its life without a fault."""
    return run_baseline(driver)


def test_the_life_without_a_fault(baseline: Baseline) -> None:
    found = {
        (place.phase, place.event, place.name): place.count
        for place in baseline.places
        if place.event != "allocation" and not place.name.startswith("config.")
    }
    assert found == {
        **{("probe", "read", name): 1 for name in ("ID", "READY", "SMALL", "CHECK", "LOCK")},
        ("probe", "write", "LOCK"): 1,
        ("traffic", "read", "VALUE"): 1,
        ("remove", "write", "LOCK"): 1,
    }
    memory = {place.phase: place.count for place in baseline.places if place.event == "allocation"}
    assert memory["traffic"] == 1
    assert memory["probe"] > 10
    # Each access has its line in the driver.
    assert baseline.source(SweepCell.parse("probe:all-ones@SMALL#1")).startswith("swept.c:")
    source = (FIXTURE / "swept.c").read_text().splitlines()

    def line(cell: str) -> str:
        return source[int(baseline.source(SweepCell.parse(cell)).removeprefix("swept.c:").split(":")[0].split()[0]) - 1]

    assert "WARN_ON(readl(regs + SMALL) > 16);" in line("probe:all-ones@SMALL#1")
    assert "readl(regs + LOCK)" in line("probe:unplug@LOCK#1")
    assert "writel(1, regs + LOCK);" in line("probe:lost-write@LOCK#1")
    assert "writel(1, regs + LOCK);" in line("probe:unplug@LOCK#2")
    assert "readl(regs + VALUE)" in line("traffic:unplug@VALUE#1")
    assert not baseline.source(SweepCell.parse("probe:unplug@LOCK#3"))
    # Those to the configuration space have the line of the call into the PCI core.
    assert "pci_enable_device(pdev)" in line("probe:lost-write@config.COMMAND#1")
    # The driver's last call is a jump, which leaves no trace on the stack.
    core = baseline.source(SweepCell.parse("remove:all-ones@config.COMMAND#1"))
    assert re.fullmatch(r"(do_)?pci_disable_device\+0x[0-9a-f]+ of the kernel", core)


@pytest.mark.parametrize(
    ("cell", "verdict", "reason"),
    [
        ("probe:all-ones@ID#1", "handled", "this is another device"),
        ("probe:lost-write@LOCK#1", "handled", "service went on"),
        ("traffic:flipped-bit@VALUE#1 bits=0x4", "degraded", "traffic failed without any report"),
        ("probe:flipped-bit@SMALL#1 bits=0x40", "splat", "WARN_ON(readl(regs + SMALL) > 16)"),
        ("probe:flipped-bit@CHECK#1", "leak", "I/O memory: new: "),
        # Plugged in anew, the device would have its BARs without what the driver still holds in them.
        ("probe:unplug@CHECK#1", "leak", "I/O memory: new: "),
        (
            "probe:flipped-bit@ID#1 bits=0x4",
            "handled",
            "probe failed, and the kernel logged: swept 0000:00:03.0: this is",
        ),
        ("remove:lost-write@LOCK#1", "dead", "after unload and reload, probe fails"),
        ("traffic:unplug@VALUE#1", "degraded", "traffic failed without any report"),
        ("probe:lost-write@LOCK#2", "missed", "did not happen"),
        ("traffic:no-memory#1", "splat", "NULL pointer dereference"),
        ("traffic:no-memory#2", "missed", "did not happen"),
    ],
)
def test_each_verdict(cell: str, verdict: str, reason: str, driver: SweptDriver, baseline: Baseline) -> None:
    result = run_cell((driver, baseline), cell)
    assert (result.verdict, result.cell) == (verdict, cell), result
    assert reason in result.reason
    if "no-memory" in cell:
        assert (" in value_show: __kmalloc" in result.source) == (verdict == "splat")
        assert result.source.startswith("swept.c:") == (verdict == "splat")
    elif verdict != "missed":
        assert cell.partition(":")[2] in result.trace[result.at]
    assert bool(result.splat) == (verdict == "splat")


@pytest.mark.thorough
def test_a_machine_serves_several_cells_while_nothing_is_left_of_them(
    driver: SweptDriver, baseline: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the verdicts are those of machines of their own (`test_each_verdict`)."""
    started: list[VM] = []
    make = machines.machine

    def machine(ready: Ready, cpus: int | None = None) -> VM:
        started.append(make(ready, cpus))
        return started[-1]

    monkeypatch.setattr(machines, "machine", machine)
    wanted = {
        "probe:all-ones@ID#1": "handled",
        "probe:lost-write@LOCK#1": "handled",
        "traffic:flipped-bit@VALUE#1 bits=0x4": "degraded",
        "probe:flipped-bit@SMALL#1 bits=0x40": "splat",
        "probe:flipped-bit@ID#1 bits=0x4": "handled",
    }
    found = run_cells((driver, baseline), list(wanted))
    assert {one.cell: one.verdict for one in found} == wanted
    # One for three; one for the second judgement of the third and the first of the fourth; one for the second of that;
    # one after the splat.
    assert len(started) == 4
    assert not [vm for vm in started if vm.running]


@pytest.mark.thorough
def test_a_hang(driver: SweptDriver, baseline: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel loops in probe; the phase is given up after a shorter time than usual."""
    short = {kind: tuple(replace(one, seconds=10) for one in phases) for kind, phases in phase_table.PHASES.items()}
    monkeypatch.setattr(phase_table, "PHASES", short)
    result = run_cell((driver, replace(baseline, phases=())), "probe:stuck-at-zero@READY#1 times=0")
    assert result.verdict == "hang", result
    assert "the phase probe did not end within 10 s" in result.reason
    assert sum("READY" in line for line in result.trace) > 5


def sweep(*words: str, into: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "r4l", "sweep", str(FIXTURE), "--exercise", VALUE, "--into", str(into), *words]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.thorough
def test_killed_in_the_middle_it_goes_on(kernel: Kernel, swept: BuiltModule, tmp_path: Path) -> None:
    cells = [
        *(f"probe:all-ones@{name}#1" for name in ("ID", "READY", "SMALL", "CHECK", "LOCK")),
        "probe:lost-write@LOCK#1",
    ]
    options = ["--json", "--kernel", kernel.release, "-j", "1", *(word for cell in cells for word in ("--cell", cell))]
    first = sweep(*options, into=tmp_path)
    try:
        until = time.monotonic() + 240
        while len(Results(tmp_path).cells) < 2:
            assert first.poll() is None, first.communicate()
            assert time.monotonic() < until
            time.sleep(0.1)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    before = Results(tmp_path).cells
    assert len(before) >= 2
    done = sweep(*options, into=tmp_path)
    out, err = done.communicate(timeout=280)
    (result,) = json.loads(out)["drivers"]
    # CHECK reads all ones: a leak.
    assert done.returncode == 123, err
    assert result["cells"] == len(result["results"]) == 6
    assert {one["cell"] for one in result["results"]} == set(cells)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    names = [line["cell"]["cell"] for line in lines if "cell" in line]
    assert len(names) == len(set(names)) == 6, "a cell ran twice"
    page = (tmp_path / "sweep.html").read_text()
    assert page.count('class="sq leak" data-cell=') >= 1
    assert "all-ones@CHECK#1" in page
    assert not list((home.room("dask")).glob("**/*.pid"))


def pytest_in(folder: Path, kernel: Kernel, *words: str) -> str:
    """Run the tests of a folder from another one; return what pytest says."""
    argv = [sys.executable, "-m", "pytest", "-q", "-rA", "--kernel", kernel.release, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*argv, *words, str(folder)], capture_output=True, text=True, cwd=folder.parent, check=False, timeout=280
    )
    return done.stdout + done.stderr


@pytest.mark.thorough
def test_a_cell_as_a_test(swept: BuiltModule, baseline: Baseline, kernel: Kernel, tmp_path: Path) -> None:
    """In the driver's own folder, whose model is in `tests`, and started from elsewhere."""
    folder = tmp_path / "mine"
    (folder / "tests").mkdir(parents=True)
    for name, place in {"Kbuild": "", "swept.c": "", "swept_device.py": "tests"}.items():
        (folder / place / name).write_bytes((FIXTURE / name).read_bytes())
    driver = subject(kernel, kernel.release, str(folder), swept, find_model(str(folder), swept), VALUE)
    cells = {
        "probe:flipped-bit@CHECK#1": "leak",
        "probe:all-ones@ID#1": "handled",
        "traffic:no-memory#1": "splat",
        "traffic:flipped-bit@VALUE#1 bits=0x4": "degraded",
        "probe:lost-write@LOCK#2": "missed",
    }
    for number, (cell, verdict) in enumerate(cells.items()):
        text = as_test(driver, SweepCell.parse(cell), verdict, baseline.messages)
        (folder / f"test_{number}.py").write_text(text)
    said = pytest_in(folder, kernel, "--ignore", str(folder / "tests"))
    assert "4 failed, 1 passed" in said, said
    assert "LeakFound: I/O memory: new:" in said
    assert "NULL pointer dereference" in said
    assert "PASSED mine/test_1.py::test_probe_all_ones_id_1" in said
    assert "AssertionError: no service in traffic, and no error reported" in said
    assert "AssertionError: the fault did not come" in said


@pytest.mark.thorough
def test_a_cell_of_a_network_driver_as_a_test(kernel: Kernel, tmp_path: Path) -> None:
    """The printed tests judge as the sweep does."""
    module = Module(E1000).build(kernel)
    driver = subject(kernel, kernel.release, str(E1000), module, "python:e1000", "")
    # The messages of a usual life come before the fault, which is late.
    baseline = Baseline(driver.key, driver.label, (), (), 1.0, ())
    verdicts = {"open:lost-write@RCTL#1": "degraded", "stop:lost-write@RCTL#1": "handled"}
    found = run_cells((driver, baseline), list(verdicts))
    assert {one.cell: one.verdict for one in found} == verdicts, found
    for number, (cell, verdict) in enumerate(verdicts.items()):
        (tmp_path / f"test_{number}.py").write_text(as_test(driver, SweepCell.parse(cell), verdict))
    said = pytest_in(tmp_path, kernel, "--r4l-module", str(E1000))
    assert "1 failed, 1 passed" in said, said
    assert "AssertionError: no service in traffic, and no error reported" in said
    assert "test_1.py::test_stop_lost_write_rctl_1" in said


BASE = """\
// SPDX-License-Identifier: GPL-2.0-only
#include <linux/crc-itu-t.h>
#include <linux/module.h>

static int depth = 1;
module_param(depth, int, 0);

int base_depth(void);
int base_depth(void)
{
	return depth + !crc_itu_t(0, "x", 1);
}
EXPORT_SYMBOL_GPL(base_depth);
MODULE_DESCRIPTION("What the driver needs");
MODULE_LICENSE("GPL");
"""
"""A module of the driver's folder, which needs one of the kernel's own."""
NEEDS = """\
int base_depth(void);
static int width;
module_param(width, int, 0);

static int swept_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int error = base_depth() == 3 && width == 7 ? pci_enable_device(pdev) : -EINVAL;
"""
PROBE = NEEDS[NEEDS.index("static int swept_probe") : NEEDS.index("base_depth() ==")] + "pci_enable_device(pdev);\n"


@pytest.mark.thorough
def test_a_driver_that_needs_other_modules(kernel: Kernel, tmp_path: Path) -> None:
    """The folder's and the kernel's own are loaded first, each with its parameters: in the sweep and in the test."""
    folder = tmp_path / "mine"
    folder.mkdir()
    text = (FIXTURE / "swept.c").read_text()
    assert text.count(PROBE) == 1
    (folder / "swept.c").write_text(text.replace(PROBE, NEEDS))
    (folder / "base.c").write_text(BASE)
    (folder / "Kbuild").write_text("obj-m := swept.o base.o\n")
    (folder / "swept_device.py").write_bytes((FIXTURE / "swept_device.py").read_bytes())
    module = named(kernel, str(folder))
    assert [one.name for one in (*module.needs, module)] == ["crc_itu_t", "base", "swept"]
    parameters = {"depth": "3", "width": "7"}
    spec = find_model(str(folder), module)
    driver = subject(kernel, kernel.release, str(folder), module, spec, VALUE, parameters=parameters)
    assert driver.depends == ("crc_itu_t",)
    assert driver.loads == {"base": {"depth": "3"}, "swept": {"width": "7"}}
    baseline = run_baseline(driver)
    verdicts = {
        "probe:flipped-bit@CHECK#1": "leak",
        "probe:all-ones@ID#1": "handled",
        "traffic:no-memory#1": "splat",
    }
    found = run_cells((driver, baseline), list(verdicts))
    assert {one.cell: one.verdict for one in found} == verdicts, found
    for number, (cell, verdict) in enumerate(verdicts.items()):
        test = as_test(driver, SweepCell.parse(cell), verdict, baseline.messages)
        (folder / f"test_{number}.py").write_text(test)
    said = pytest_in(folder, kernel)
    assert "2 failed, 1 passed" in said, said
    assert "LeakFound: I/O memory: new:" in said
    assert "NULL pointer dereference" in said
    assert "PASSED mine/test_1.py::test_probe_all_ones_id_1" in said


def test_a_parameter_that_the_driver_does_not_have(driver: SweptDriver) -> None:
    wrong = replace(driver, loads={"swept": {"wide": "7"}}, parameters={"wide": "7"})
    with pytest.raises(UsageError, match="swept has no parameter wide"):
        run_baseline(wrong)


@pytest.mark.thorough
def test_faults_of_the_configuration_space(kernel: Kernel, swept: BuiltModule) -> None:
    """Faults come where the kernel accesses it for the driver: probe, suspend and resume, remove."""
    spec = find_model(str(FIXTURE), swept)
    driver = subject(kernel, kernel.release, str(FIXTURE), swept, spec, VALUE, suspend=True)
    assert [phase.name for phase in driver.phases] == ["probe", "traffic", "suspend", "remove"]
    baseline = run_baseline(driver)
    found = {(place.phase, place.event, place.name) for place in baseline.places}
    for phase in ("probe", "suspend", "remove"):
        assert (phase, "read", "config.COMMAND") in found, found
    assert ("probe", "write", "config.COMMAND") in found
    assert ("suspend", "read", "VALUE") in found, "the command of --exercise, after the resume"
    assert not any(name.startswith("config.") for phase, _, name in found if phase == "traffic")
    cells = [
        "probe:all-ones@config.COMMAND#1",
        "probe:lost-write@config.COMMAND#1",
        "suspend:stuck-at-zero@config.COMMAND#1 times=0 bits=0x2",
        "suspend:unplug@config.COMMAND#1",
        "remove:all-ones@config.COMMAND#1",
    ]
    results = {result.cell: result for result in run_cells((driver, baseline), cells)}
    for result in results.values():
        assert result.verdict in ("handled", "degraded"), result
        assert result.cell.partition(":")[2] in result.trace[result.at]
        assert any("config-" in line and "COMMAND" in line for line in result.trace)
    assert "suspend failed" in results["suspend:unplug@config.COMMAND#1"].reason, "the card is gone after the resume"
