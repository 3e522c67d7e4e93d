# SPDX-License-Identifier: MIT
"""Run pytest over a lab's checks in processes of their own, which can be ended when they hang.

The processes are started before the module is built, since Python takes a second to start, and wait for the module
before their first check (`r4l.camp.labs.checkpoints`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from r4l import home, resources
from r4l.camp.labs.checkpoints import MODULE, NO_MEANS_CODE, SHARED, ended, hung, merged_results
from r4l.camp.labs.lab import Lab
from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.process import dying
from r4l.shortage import full_disk
from r4l.vm.blame import host_fault
from r4l.vm.cables import ISOLATED

LOG = "pytest-{}.log"
"""File with a process's output, by its number."""
RESULTS = "results.json"
"""File with the results by checkpoint."""
WORKERS = 4
"""Maximum number of processes that share the checks; each has a machine of up to 512 MiB."""
WHY = re.compile(r"E  +\S|ERROR: \S|!+ \S.*!$|[\w.]+(?:Error|Exception): \S")
"""Lines of pytest's output that give the reason why nothing ran; the last one counts."""
PLUGINS = ("r4l.testing.plugin", "r4l.camp.labs.checkpoints", "pytest_timeout")
"""The only plugins loaded: some others take a second to load."""


def probes() -> Path:
    """The folder of modules that the checks of several labs import, by their plain names."""
    return resources.labs() / "probes"


class DidNotRun(R4LError):
    """The checks of a lab did not run, and no resource of this machine is the reason.

    Args:
        output: of pytest.

    Attributes:
        reason: line of it that says why.
    """

    def __init__(self, output: str) -> None:
        found = [line.removeprefix("E ").strip() for line in output.splitlines() if WHY.match(line)]
        self.reason = (found or output.split("\n")[-1:] or [""])[-1][:300]
        super().__init__(
            f"the lab's checks did not run: {self.reason}", "correct the file that it names", detail=output[-3000:]
        )


class Checks:
    """The started checks of a lab. A context manager that ends them on exit.

    Args:
        lab: the lab.
        kernel: kernel to check on.
        hidden: folders with additional checks.
        evidence: empty folder for the results, the console logs and the captures.
        work: folder with the student's files and the lab's, which the module is built from.
        only: checkpoints to check; None for all.

    Attributes:
        fault: reason why checks without result could not be judged; empty if the student's code is the reason.
    """

    def __init__(
        self,
        lab: Lab,
        kernel: Kernel,
        hidden: Sequence[Path],
        evidence: Path,
        work: Path,
        only: Collection[str] | None = None,
    ) -> None:
        # If this process is killed, the checks and their machines must end with it.
        argv = [*dying("TERM"), sys.executable, "-m", "pytest", str(lab.checks), *map(str, hidden)]
        argv += ["-q", "-p", "no:cacheprovider", *(word for name in PLUGINS for word in ("-p", name))]
        argv += ["--import-mode=importlib", "-c", os.devnull]
        argv += ["--rootdir", str(lab.checks), "--confcutdir", str(lab.checks)]
        argv += ["--timeout", str(lab.timeout), "--kernel", kernel.name, "--arch", kernel.arch]
        argv += ["--lab-results", str(evidence), "--lab-work", str(work)]
        argv += [word for name in only or () for word in ("--lab-only", name)]
        argv += ["--lab-own-kernel"] if lab.config else []
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        path = [str(probes()), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
        environment[ISOLATED] = "1"
        # Checks that build use all processors already.
        workers = min(os.cpu_count() or 1, WORKERS) if lab.builds and not lab.config else 1
        self.evidence = evidence
        self.fault = ""
        self._shared = evidence / SHARED
        self._shared.mkdir()
        self._processes = []
        for number in range(workers):
            command = [*argv, "--lab-worker", str(number)]
            with self._log(number).open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        command, cwd=lab.checks, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                )

    def _log(self, number: int) -> Path:
        return self.evidence / LOG.format(number)

    def run(self, module: Path | None) -> dict[str, dict[str, Any]]:
        """Run the checks to their end, and return the results by checkpoint.

        Args:
            module: the .ko under test; None if the kernel itself is tested.

        Raises:
            DidNotRun: the checks did not run.
        """
        partial = self._shared / f"{MODULE}.partial"
        partial.write_text(str(module or ""), encoding="utf-8")
        partial.rename(self._shared / MODULE)
        self._wait()
        killed = [process.returncode for process in self._processes if process.returncode < 0]
        if killed:
            name = signal.Signals(-killed[0]).name
            self.fault = f"a process of the checks was killed ({name}): this machine may be out of memory"
        elif any(process.returncode == NO_MEANS_CODE for process in self._processes) or (
            not ended(self._shared, len(self._processes)) and full_disk([self.evidence])
        ):
            self.fault = "this machine had no space or memory left during the checks"
        elif not ended(self._shared, len(self._processes)):
            logs = [
                self._log(number).read_text(encoding="utf-8", errors="replace")
                for number in range(len(self._processes))
            ]
            raise DidNotRun(max(logs, key=len))
        self.fault = self.fault or hung(self._shared)
        found = merged_results(self._shared, len(self._processes))
        try:
            home.replace_text(self.evidence / RESULTS, json.dumps(found, indent=1))
        except OSError as error:
            # The results are known, even if they cannot be kept beside the evidence.
            if not host_fault(error):
                raise
            self.fault = self.fault or str(error)
        return found

    def _wait(self) -> None:
        for process in self._processes:
            process.wait()

    def __enter__(self) -> Checks:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        self._wait()
