# SPDX-License-Identifier: MIT
"""The pytest plugin, as a driver's author uses it: a folder of one's own with a Kbuild and a test file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import resources

pytestmark = pytest.mark.vm
OOPS = Path(__file__).parents[1] / "fixtures/oops_init"


def run(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a test file in a folder with a plain pytest."""
    (folder / "test_it.py").write_text(f"import pytest\n\n{test}")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A driver's folder outside of everything, with an ini file that stops pytest's search there."""
    shutil.copytree(resources.rust("drivers/hello"), tmp_path / "mine")
    (tmp_path / "mine/pytest.ini").write_text("[pytest]\n")
    return tmp_path / "mine"


@pytest.fixture
def oops(tmp_path: Path) -> Path:
    """The same with a module that does what it is told: `kind=warn` complains."""
    shutil.copytree(OOPS, tmp_path / "oops")
    (tmp_path / "oops/pytest.ini").write_text("[pytest]\n")
    return tmp_path / "oops"


def test_each_test_has_a_pristine_guest(folder: Path) -> None:
    done = run(
        folder,
        """
@pytest.mark.parametrize("number", range(3))
def test_hello(vm, module, klog, guest, number):
    assert vm.run("test -e /tmp/mine").exit_code == 1
    guest.put(b"x", "/tmp/mine")
    vm.insmod(module)
    klog.wait_for("Hello, world")


@pytest.mark.machine(nics=["e1000"], memory=320)
def test_with_a_card(vm, nic):
    assert nic.model == "e1000"
    assert "0x100e" in vm.run("cat /sys/bus/pci/devices/*/device").stdout
    assert int(vm.run("awk '/MemTotal/ {print $2}' /proc/meminfo").stdout) > 270_000
""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_what_the_kernel_complains_of_fails_the_test(oops: Path) -> None:
    done = run(oops, "def test_warn(vm, module):\n    vm.insmod(module, kind='warn')\n")
    assert done.returncode == 1
    assert "FAILED test_it.py::test_warn" in done.stdout, "a failure of the test, not an error of its teardown"
    assert "WARNING" in done.stdout
    assert "oops_init" in done.stdout.partition("kernel log")[2]


def test_what_a_test_allows_does_not_fail_it_and_its_report_says_so(oops: Path) -> None:
    done = run(
        oops,
        """
@pytest.mark.klog_allow("WARNING: .*oops_init", reason="warning is what it is for")
def test_allowed(vm, module):
    vm.insmod(module, kind="warn")


@pytest.mark.klog_allow("WARNING: .*oops_init", reason="warning is what it is for")
def test_something_else(vm, module):
    vm.insmod(module, kind="refcount")
""",
        "-rPf",
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "FAILED test_it.py::test_something_else - r4l.klog.splat.Splat" in done.stdout
    said = done.stdout.partition("allowed complaints of the kernel")[2]
    assert "did not come: WARNING: .*oops_init — warning is what it is for" in done.stdout
    assert re.search(r"^came: WARNING: .*oops_init.* — warning is what it is for$", said, re.MULTILINE)


def test_an_allowance_needs_a_reason(folder: Path) -> None:
    done = run(folder, "@pytest.mark.klog_allow('WARNING')\ndef test_x(vm):\n    pass\n")
    assert done.returncode == 1
    assert "say what is allowed and why" in done.stdout


def test_the_evidence_of_a_failed_test_is_kept_and_of_others_not(folder: Path) -> None:
    done = run(
        folder,
        "def test_good(vm):\n    print('good', vm.workdir)\n\n\n"
        "def test_bad(vm, module):\n    vm.insmod(module)\n    assert vm.run('true').exit_code == 1\n",
        "-rP",
    )
    assert "1 failed, 1 passed" in done.stdout
    kept = re.search(r"- evidence -+\n(\S+)", done.stdout)
    assert kept is not None
    assert "Hello, world" in (Path(kept[1]) / "console.log").read_text(errors="replace")
    gone = re.search(r"^good (\S+)", done.stdout, re.MULTILINE)
    assert gone is not None
    assert not Path(gone[1]).exists()
    assert "--r4l-shell-on-failure" in done.stdout


def test_words_that_a_marker_does_not_have(folder: Path) -> None:
    done = run(folder, "@pytest.mark.machine(memroy=1)\ndef test_x(vm):\n    pass\n")
    assert done.returncode != 0
    assert "the marker machine has no memroy" in done.stdout + done.stderr


def test_a_folder_without_a_module(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run(tmp_path, "def test_x(module):\n    pass\n")
    assert done.returncode == 1
    assert "has a Kbuild with obj-m" in done.stdout
