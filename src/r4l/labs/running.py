# SPDX-License-Identifier: MIT
"""pytest over a lab's checks, in processes of its own: what hangs is ended there, and nothing of it stays in this one.

It is begun before the module is built, because Python, too, takes a second to be ready, and waits for the module before
its first check (`r4l.labs.checkpoints`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from r4l.errors import R4LError
from r4l.kernel import Kernel
from r4l.labs.checkpoints import MODULE, RESULTS
from r4l.labs.lab import Lab

LOG = "pytest.log"


class Checks:
    """The checks of a lab, begun. As a context manager they are gone on exit.

    Args:
        lab: whose.
        kernel: on which.
        hidden: folders with more.
        evidence: where the results, the console logs and the captures go; an empty folder.
        work: the folder with the student's files and the lab's, which the module is built from.
    """

    def __init__(self, lab: Lab, kernel: Kernel, hidden: Sequence[Path], evidence: Path, work: Path) -> None:
        # Whoever begins them may be killed, and their machines are to go with them.
        argv = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "pytest", str(lab.checks), *map(str, hidden)]
        argv += ["-q", "-p", "r4l.labs.checkpoints", "-p", "no:cacheprovider", "--import-mode=importlib"]
        argv += ["-c", os.devnull, "--rootdir", str(lab.checks), "--confcutdir", str(lab.checks)]
        argv += ["--timeout", str(lab.timeout), "--kernel", kernel.name, "--arch", kernel.arch]
        argv += ["--lab-results", str(evidence), "--lab-work", str(work)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        self.evidence = evidence
        with (evidence / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                argv, cwd=lab.checks, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def run(self, module: Path | None) -> dict[str, dict[str, Any]]:
        """Have them run, to their end: what each checkpoint's checks saw.

        Args:
            module: the .ko under test; None where the kernel itself is.

        Raises:
            R4LError: they did not run.
        """
        partial = self.evidence / f"{MODULE}.partial"
        partial.write_text(str(module or ""))
        partial.rename(self.evidence / MODULE)
        self.process.wait()
        try:
            found: dict[str, dict[str, Any]] = json.loads((self.evidence / RESULTS).read_text())
        except FileNotFoundError:
            said = (self.evidence / LOG).read_text(errors="replace")
            raise R4LError("the lab's checks did not run", detail=said[-3000:]) from None
        return found

    def __enter__(self) -> Checks:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
