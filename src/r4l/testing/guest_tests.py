# SPDX-License-Identifier: MIT
"""Tests that run inside the guest, each reported as a subtest: KUnit suites and kselftests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from r4l.module import BuiltModule
from r4l.testing import ktap
from r4l.vm import VM

KUNIT = "/sys/kernel/debug/kunit"
KSFT_SKIP = 4
"""Exit code of a kselftest that cannot run (tools/testing/selftests/kselftest.h)."""
FOLDER = "/tmp/kselftest"


class KUnit:
    """Runner for KUnit. A module's suites run when it is loaded (Documentation/dev-tools/kunit/run_manual.rst)."""

    def __init__(self, vm: VM, subtests: pytest.Subtests) -> None:
        self._vm = vm
        self._subtests = subtests
        if (
            vm.kernel.config.get("CONFIG_KUNIT") not in ("y", "m")
            or vm.kernel.config.get("CONFIG_KUNIT_DEBUGFS") != "y"
        ):
            pytest.skip(f"{vm.kernel.name} has no KUnit with debugfs; `--kernel debug` has")

    def __call__(self, module: BuiltModule) -> list[ktap.KtapResult]:
        """Load a module with KUnit suites, make each case a subtest, and return the results.

        Raises:
            ModuleRefused: the kernel does not load the module.
        """
        before = self._suites()
        self._vm.insmod(module)
        fresh = sorted(self._suites() - before)
        if not fresh:
            pytest.fail(f"{module.path.name} has no KUnit suite: kunit_test_suites(…) in C, #[kunit_tests(…)] in Rust")
        lines: list[str] = []
        for suite in fresh:
            lines += self._vm.run(["cat", f"{KUNIT}/{suite}/results"], check=True).stdout.splitlines()
        return show(ktap.parse(lines), self._subtests)

    def _suites(self) -> set[str]:
        return set(self._vm.run(["ls", KUNIT]).stdout.split())


class Kselftest:
    """Runner for programs that print TAP or KTAP, as the kernel's selftests do."""

    def __init__(self, vm: VM, subtests: pytest.Subtests) -> None:
        self._vm = vm
        self._subtests = subtests

    def __call__(self, program: Path | str, *arguments: str, timeout: float = 45.0) -> list[ktap.KtapResult]:
        """Run a program of the host in the guest, make each of its results a subtest, and return the results.

        Args:
            timeout: seconds; the default of 45 is that of the kernel's own runner.

        Raises:
            GuestTimeout: the program did not end in time.
        """
        source = Path(program)
        target = f"{FOLDER}/{source.name}"
        self._vm.put(source, target, 0o755)
        done = self._vm.run([target, *arguments], timeout=timeout, cwd=FOLDER)
        if done.exit_code == KSFT_SKIP:
            pytest.skip(f"{source.name}: {done.stdout.strip() or done.stderr.strip()}")
        results = ktap.parse(done.stdout.splitlines())
        said = f"{source.name} ended with exit code {done.exit_code}\n{done.stdout}{done.stderr}"
        if not results or (done.exit_code and all(result.ok or result.skipped for result in results)):
            results.append(ktap.KtapResult(source.name, ok=done.exit_code == 0, said=said))
        return show(results, self._subtests)


def show(results: Iterable[ktap.KtapResult], subtests: pytest.Subtests) -> list[ktap.KtapResult]:
    """Make each result a subtest of the running test, and return the results."""
    every = list(results)
    for result in every:
        with subtests.test(msg=result.name):
            if result.skipped:
                pytest.skip(result.skipped)
            if not result.ok:
                pytest.fail(result.said or "not ok", pytrace=False)
    return every
