# SPDX-License-Identifier: MIT
"""The plugin itself (entry point `pytest11`): pytest's hooks, each delegated to another file."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from r4l import inuse
from r4l.testing import again, options, results, verdict
from r4l.testing.fixtures import (
    device,
    devices,
    guest,
    interface,
    kernel,
    klog,
    kselftest,
    kunit,
    leaks,
    module,
    modules,
    nic,
    vm,
    wire,
)
from r4l.testing.machine import WORDS, spec_of

__all__ = [
    "device",
    "devices",
    "guest",
    "interface",
    "kernel",
    "klog",
    "kselftest",
    "kunit",
    "leaks",
    "module",
    "modules",
    "nic",
    "vm",
    "wire",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    options.add(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and the writer for the results."""
    results.register(config)
    options.use_mirror(config)
    # Needed if pytest was started directly; r4l's command line has done this already.
    inuse.hold_environment()
    config.pluginmanager.register(verdict.FailureCount())
    if config.getoption("--r4l-again"):
        config.pluginmanager.register(again.OnceMore())
    config.addinivalue_line(
        "markers",
        f"machine({', '.join(WORDS)}): the virtual machine of a test",
    )
    config.addinivalue_line(
        "markers",
        "klog_allow(pattern, reason): complaints of the kernel that are no failure of this test, and why",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each of its kernels."""
    if "kernel" not in metafunc.fixturenames:
        return
    spec = spec_of(metafunc.definition)
    arch = spec.arch or metafunc.config.getoption("--arch")
    names = spec.kernels or tuple(options.kernels(metafunc.config))
    if spec.kernels or spec.arch or len(names) > 1:
        metafunc.parametrize("kernel", [(name, arch) for name in names], indirect=True, ids=names, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Report errors of devices' models before any other failure of the set-up."""
    with verdict.models_first(lambda: verdict.machine(item), "its set-up"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Report errors of devices' models that came since the end of the test, however it ended."""
    with verdict.models_first(lambda: verdict.machine(item), "its teardown"):
        yield
    verdict.check_models(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Report the kernel's complaints, and errors of devices' models, as failure of the test, not of its teardown."""
    with verdict.models_first(lambda: verdict.machine(item), "the test itself"):
        yield
    verdict.check(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the evidence to a failed test's report."""
    outcome = yield
    verdict.report(item, outcome)
    verdict.excuse(item, call, outcome)
    if outcome.failed and outcome.when == "call":
        verdict.offer_shell(item)
    return outcome
