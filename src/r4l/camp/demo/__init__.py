# SPDX-License-Identifier: MIT
"""The demo: from the present state of the machine to a Rust driver that pings, with a verdict and a report."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from r4l import resources
from r4l.camp import rows
from r4l.camp.demo import endings
from r4l.camp.demo.rig import NETWORK, Rig
from r4l.camp.demo.scenario import STEPS
from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.net import Nic
from r4l.report import model
from r4l.setup import set_up
from r4l.stages import Stages, side_by_side
from r4l.vm import VM, accel

TITLE = "A Rust driver for the e1000 on Debian's unmodified kernel"

Tell = Callable[[model.Step], None]
"""Function called at the end of each step."""


@dataclass
class Demo:
    """One run of the demo.

    Args:
        folder: existing folder for console log, pcap, result.json and report.html.
        stages: display of the preparations.
        tell: called for each finished step.
    """

    folder: Path
    stages: Stages
    tell: Tell
    result: model.Result = field(default_factory=model.Result)
    _begin: float = 0.0

    def run(self) -> model.Result:
        """Prepare, boot and run all steps. The result is saved in any case.

        Raises:
            R4LError: a preparation failed: no network, a driver that does not build, a VM that does not boot. A failed
                step is recorded in the result and raises nothing.
        """
        self._begin = time.monotonic()
        self.result.r4l = importlib.metadata.version("r4l")
        self.result.title = TITLE
        self.result.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.result.verdict = "failed"
        try:
            self._run()
        finally:
            self._save()
        return self.result

    def _now(self) -> float:
        return round(time.monotonic() - self._begin, 3)

    def _run(self) -> None:
        kernel = set_up(self.stages)
        self._describe_kernel(kernel)
        hello, driver = self._build(kernel)
        with ExitStack() as machines:
            vm = VM(kernel, nics=[Nic("e1000", options=NETWORK)], workdir=self.folder)
            self.result.accelerator = model.Accelerator(vm.accel.name, vm.accel.reason)
            with self.stages.stage("booting"):
                machines.enter_context(vm)
            self.result.files.pcaps = [path.name for path in vm.captures.values()]
            # The second VM only tests halting, in parallel with the steps in the first one.
            side_by_side(
                lambda: self._steps(Rig(vm, kernel, hello, driver)),
                lambda: self._halt(VM(kernel, cpus=1)),
            )
        self.result.verdict = "passed" if all(step.ok for step in self.result.steps) else "failed"

    def _describe_kernel(self, kernel: Kernel) -> None:
        symbols = kernel.manifest["rust_symbols"]
        self.result.kernel = model.KernelFacts(
            kernel.release,
            kernel.version,
            kernel.arch,
            model.RustSymbols(symbols["exported"], symbols["matching"]),
            kernel.manifest["toolchain"],
        )

    def _build(self, kernel: Kernel) -> tuple[BuiltModule, BuiltModule]:
        def build(name: str) -> BuiltModule:
            with self.stages.stage(f"building {name}") as say:
                return Module(resources.rust("drivers", name)).build(kernel, say=say)

        def try_accelerator() -> None:
            with self.stages.stage("accelerator (trial)"):
                accel.choose(kernel)

        hello, driver, _ = side_by_side(lambda: build("hello"), lambda: build("e1000"), try_accelerator)
        assert isinstance(hello, BuiltModule)
        assert isinstance(driver, BuiltModule)
        self.result.module = model.ModuleFacts(
            driver.name,
            driver.path.name,
            driver.vermagic,
            driver.modinfo.get("license", [""])[0],
            driver.modinfo.get("description", [""])[0],
        )
        return hello, driver

    def _halt(self, spare: VM) -> None:
        def boot_and_halt() -> str:
            with spare:
                return endings.halt(spare)

        self._step("A22", "halt (a second VM)", "reboot: System halted; the VM stays", boot_and_halt, None)

    def _steps(self, rig: Rig) -> None:
        for step in STEPS:
            rig.begin()
            self._step(" ".join(step.rows), step.title, step.expected, partial(step.check, rig), rig)
            if not rig.vm.running:
                break
        rig.begin()
        self._step("A22", "poweroff", "the VM process exits 0, a clean log", partial(endings.poweroff, rig.vm), rig)

    def _step(self, row: str, title: str, expected: str, check: Callable[[], str], rig: Rig | None) -> model.Step:
        items = "; ".join(rows.table()[name].item for name in row.split())
        entry = model.Step(row, title, expected, start=self._now(), ok=False, requirement=items)
        self.result.steps.append(entry)
        entry.console_begin = rig.console_lines() if rig else None
        try:
            entry.seen = check()
            entry.ok = True
        except R4LError as error:
            entry.error = str(error)
            entry.seen = error.cause
        finally:
            entry.seconds = round(self._now() - (entry.start or 0), 3)
            if rig:
                entry.console_end = rig.console_lines()
                entry.commands = list(rig.commands)
            self.tell(entry)
        return entry

    def _save(self) -> None:
        self.result.seconds = self._now()
        origin = self._begin
        self.result.stages = [
            model.StageTime(stage.name, round(max(0.0, stage.begin - origin), 3), round(stage.seconds, 3), stage.ok)
            for stage in self.stages.done
        ]
        self.result.save(self.folder)


def rows_of(steps: Sequence[model.Step]) -> list[str]:
    """Return the rows that steps prove, in order, without repetition."""
    return list(dict.fromkeys(row for step in steps for row in step.row.split()))
