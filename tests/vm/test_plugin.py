# SPDX-License-Identifier: MIT
"""The pytest plugin, as a driver's author uses it: a folder of one's own with a Kbuild and a test file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from r4l import home, inuse, resources
from r4l.testing import ktap
from r4l.vm import snapshot

pytestmark = pytest.mark.vm
OOPS = Path(__file__).parents[1] / "fixtures/oops_init"


def run(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a test file in a folder with a plain pytest."""
    (folder / "test_it.py").write_text(f"import pytest\n\n{test}")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)


def driver(source: Path, folder: Path) -> Path:
    """A copy of a driver's folder outside of all projects, with an ini file that stops pytest's search."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("tests"))
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def shared_hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A driver that no test changes, built once."""
    return driver(resources.rust("drivers/hello"), tmp_path_factory.mktemp("shared") / "mine")


@pytest.fixture(scope="module")
def shared_oops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A driver folder with a module that complains on request: `kind=warn`."""
    return driver(OOPS, tmp_path_factory.mktemp("shared") / "oops")


def own_tests(shared: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for one test's own file, within a driver's folder."""
    folder = shared / re.sub(r"\W", "_", request.node.name)
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return folder


@pytest.fixture
def folder(shared_hello: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for tests within that of the driver hello."""
    return own_tests(shared_hello, request)


@pytest.fixture
def oops(shared_oops: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for tests within that of the module oops_init."""
    return own_tests(shared_oops, request)


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A driver's folder that the test may change."""
    return driver(resources.rust("drivers/hello"), tmp_path / "mine")


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


def test_what_a_module_needs_of_the_kernel_is_loaded_before_it_and_is_no_leak(tmp_path: Path) -> None:
    needs = driver(Path(__file__).parents[1] / "fixtures/public/needs", tmp_path / "needs")
    done = run(
        needs,
        """
def test_needs(vm, module, leaks):
    with leaks():
        vm.insmod(module)
        vm.rmmod(module.name)
    assert vm.needed == {"mii", "net_failover", "failover"}
""",
    )
    assert "1 passed" in done.stdout, done.stdout


def test_a_driver_that_does_not_build_is_told_once(own_folder: Path) -> None:
    (own_folder / "test_it.py").write_text("def test_one(module):\n    ...\n\n\ndef test_two(module):\n    ...\n")
    (own_folder / "hello.rs").open("a").write("\nfn broken() -> u8 { 256 }\n")
    done = subprocess.run(
        [sys.executable, "-m", "r4l", "test", str(own_folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 121, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("error: aborting due to") == 1
    assert "collected" not in done.stdout
    other = [sys.executable, "-m", "r4l", "test", str(own_folder), "--", "--r4l-module", "kernel:dummy"]
    done = subprocess.run(other, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, "the driver of this folder is not asked for: " + done.stdout + done.stderr


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


@pytest.mark.thorough
def test_the_example_of_the_wire_in_the_documentation(tmp_path: Path) -> None:
    mine = driver(resources.rust("drivers/e1000"), tmp_path / "mine")
    page = (Path(__file__).parents[2] / "docs/testing.md").read_text()
    (example,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "wire" in block]
    done = run(mine, example)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wire_needs_a_card_that_is_free_for_it(folder: Path) -> None:
    done = run(
        folder,
        """
def test_no_card(vm, wire):
    pass


@pytest.mark.machine(nics=[__import__("r4l").Nic(backend="tap")])
def test_other_back_end(vm, wire):
    pass
""",
    )
    assert done.returncode == 1
    assert "test_no_card has no card for its wire" in done.stdout
    assert "test_other_back_end uses `wire` with a card that has a back end of its own" in done.stdout


@pytest.mark.thorough
def test_the_console_of_a_machine_that_does_not_boot_is_kept(folder: Path) -> None:
    done = run(folder, "@pytest.mark.machine(append='rdinit=/no', snapshot=False)\ndef test_x(vm):\n    pass\n")
    assert "1 error" in done.stdout
    log = re.search(r"log: (\S+/console\.log)", done.stdout)
    assert log is not None
    assert "Kernel panic" in Path(log[1]).read_text(errors="replace")


def test_words_that_a_marker_does_not_have(folder: Path) -> None:
    done = run(folder, "@pytest.mark.machine(memroy=1)\ndef test_x(vm):\n    pass\n")
    assert done.returncode != 0
    assert "the marker machine has no memroy" in done.stdout + done.stderr


def test_a_folder_without_a_module(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = run(tmp_path, "def test_x(module):\n    pass\n")
    assert done.returncode == 1
    assert "has a Kbuild with obj-m" in done.stdout


def test_a_prepared_guest_is_prepared_once(folder: Path) -> None:
    done = run(
        folder,
        """
def loaded(vm, module):
    vm.insmod(module)
    vm.put(vm.run("cat /proc/uptime").stdout.encode(), "/tmp/prepared")


pytestmark = pytest.mark.machine(prepare=loaded)
MOMENTS = set()


@pytest.mark.parametrize("number", range(3))
def test_hello(vm, number):
    assert vm.restored
    MOMENTS.add(vm.run("cat /tmp/prepared").stdout)
    assert len(MOMENTS) == 1
    vm.rmmod("hello")
""",
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.thorough
def test_a_module_built_anew_gets_into_a_restored_guest(own_folder: Path) -> None:
    test = "def test_x(vm, module, klog):\n    vm.insmod(module)\n    klog.wait_for({word!r})\n    assert vm.restored\n"
    assert "1 passed" in run(own_folder, test.format(word="Hello, world")).stdout
    source = own_folder / "hello.rs"
    source.write_text(source.read_text().replace("Hello, world", "Good morning"))
    assert "1 passed" in run(own_folder, test.format(word="Good morning")).stdout


def test_what_boots_for_each_test_says_so(folder: Path) -> None:
    test = "def test_x(vm):\n    assert not vm.restored\n"
    done = run(folder, f"@pytest.mark.machine(extra=['-device', 'edu'])\n{test}")
    assert "1 passed" in done.stdout
    assert "boots for each test" in done.stdout


@pytest.mark.thorough
def test_workers_have_guests_of_their_own(folder: Path) -> None:
    done = run(
        folder,
        """
import os


@pytest.mark.parametrize("number", range(4))
def test_it(vm, module, number):
    vm.insmod(module)
    assert vm.run("ls /tmp").stdout == ""
    vm.put(b"x", "/tmp/mine")
    print("worker", os.environ["PYTEST_XDIST_WORKER"])
""",
        "-n2",
        "-rP",
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert {"worker gw0", "worker gw1"} <= set(done.stdout.splitlines())


@pytest.mark.thorough
def test_a_killed_worker_takes_its_guest_with_it(folder: Path) -> None:
    done = run(
        folder,
        """
import os
import signal


def test_killed(vm):
    with open("pid", "w") as file:
        file.write(str(vm.pid))
    os.kill(os.getpid(), signal.SIGKILL)


def test_other(vm):
    assert vm.run("true").exit_code == 0
""",
        "-n1",
    )
    assert "crashed while running" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_a_guest_that_dies_fails_its_test_at_once_and_says_why(folder: Path) -> None:
    done = run(
        folder,
        """
import os
import signal


def test_between(vm):
    os.kill(vm.pid, signal.SIGKILL)
    vm.run("true")


def test_within(vm):
    vm.run("echo c > /proc/sysrq-trigger")


def test_afterwards(vm):
    vm.popen("poweroff -f")
    vm.wait()
""",
    )
    assert "1 failed, 1 passed, 1 error" in done.stdout, done.stdout
    assert "ERROR test_it.py::test_between" in done.stdout, "a QEMU that somebody killed is no failure of the driver"
    assert "SIGKILL" in done.stdout
    assert "sysrq triggered crash" in done.stdout


@pytest.mark.thorough
def test_output_that_is_no_text_and_has_no_end(folder: Path) -> None:
    report, results = folder / "report.xml", folder / "kept/results.ktap"
    done = run(
        folder,
        r"""
def test_noise(vm):
    vm.run(r"printf '<4>\\033[31m\\001\\377 red # not ok 7\\n' > /dev/kmsg; head -c 3000 /dev/urandom > /dev/console")
    assert vm.run("head -c 2000 /dev/urandom").stdout == "x"


@pytest.mark.timeout(10)
def test_without_end(vm):
    vm.run("yes > /dev/console")


def test_skipped():
    pytest.skip("not # today")


def test_good(vm):
    pass
""",
        f"--junitxml={report}",
        f"--r4l-ktap={results}",
    )
    # On a host with four times the work that it can do, nobody knows whether the second would have ended.
    ends = r"2 failed, 1 passed, 1 skipped|1 failed, 1 passed, 1 skipped, 1 error"
    assert re.search(ends, done.stdout), done.stdout
    cases = ElementTree.parse(report).findall(".//testcase")
    assert [case.get("name") for case in cases] == ["test_noise", "test_without_end", "test_skipped", "test_good"]
    read = {result.name: result for result in ktap.parse(results.read_text().splitlines())}
    assert [result.ok for result in read.values()] == [False, False, True, True]
    assert "Timeout" in read["test_it.py::test_without_end"].said


def test_programs_that_print_tap_are_tests_of_their_own(folder: Path) -> None:
    script = folder / "ping.sh"
    script.write_text("#!/bin/sh\necho 1..3\necho ok 1 up\necho '# why'\necho not ok 2 down\nexit 1\n")
    done = run(folder, "def test_ping(kselftest):\n    kselftest('ping.sh')\n")
    assert "test_it.py::test_ping SUBPASSED[up]" in done.stdout
    assert re.search(r"_ test_ping \[down\] _+\nwhy", done.stdout)
    assert "3 tests were announced, 2 came to an end" in done.stdout
    assert done.returncode == 1
    script.write_text("#!/bin/sh\necho no such device\nexit 4\n")
    assert "1 skipped" in run(folder, "def test_ping(kselftest):\n    kselftest('ping.sh')\n").stdout


def test_kunit_where_there_is_none(folder: Path) -> None:
    done = run(folder, "def test_suites(kunit, module):\n    kunit(module)\n")
    assert "1 skipped" in done.stdout
    assert "has no KUnit" in done.stdout


@pytest.mark.thorough
def test_nothing_is_left_of_many_tests(folder: Path) -> None:
    test = "@pytest.mark.parametrize('n', range(10))\ndef test_x(vm, n):\n    assert vm.run('true').exit_code == 0\n"
    done = run(folder, f"{test}\n\ndef test_pid():\n    import os\n\n    print('pid', os.getpid())\n", "-rP")
    assert "11 passed" in done.stdout
    pid = re.search(r"^pid (\d+)", done.stdout, re.MULTILINE)
    assert pid is not None
    # The names of work folders hold the pid of their owner; others make some of theirs at the same time.
    assert not list(home.room("runs").glob(f"*-{pid[1]}-*"))
    # What other processes use, such as this one, stays.
    assert len([state for state in snapshot.folder().glob("*.state") if not inuse.users(state)]) <= snapshot.KEPT


LEAKING = """
import pytest
from r4l.testing import LeakFound


def test_what_is_left_is_named(vm, leaks, module):
    with pytest.raises(LeakFound, match="modules: new: hello"), leaks():
        vm.insmod(module)
    with pytest.raises(LeakFound, match="modules: gone: hello"), leaks():
        vm.rmmod("hello")
    with leaks():
        vm.insmod(module)
        vm.rmmod("hello")


def test_slabs_that_grow(vm, leaks):
    def open_files(times):
        vm.run(f"for i in $(seq {times}); do sleep 10000 & done")

    with pytest.raises(LeakFound, match="keep growing, in rounds of 30: .*task_struct by"):
        leaks.across_rounds(open_files, rounds=3, times=30)
"""


@pytest.mark.row("A25")
def test_leaks_are_found(folder: Path) -> None:
    done = run(folder, LEAKING)
    assert "2 passed" in done.stdout, done.stdout


@pytest.mark.thorough
def test_a_shell_where_a_test_has_failed(own_folder: Path, on_terminal: Callable[..., Any]) -> None:
    (own_folder / "test_it.py").write_text(
        "def test_x(vm):\n    vm.run('echo kept > /tmp/state')\n    assert vm.run('false').exit_code == 0\n"
    )
    pytest_there = on_terminal("test", str(own_folder), "--", "-p", "no:cacheprovider", "--r4l-shell-on-failure")
    pytest_there.until("this is its guest")
    pytest_there.until("/ # ")
    pytest_there.type("cat /tmp/state; exit\n")
    pytest_there.until(r"\nkept")
    pytest_there.until("1 failed")
    assert pytest_there.wait() == 123
