# SPDX-License-Identifier: MIT
"""A machine that was booted once and goes on from there."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from r4l import home
from r4l.errors import BootError
from r4l.kernel import Kernel
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.vm import VM

pytestmark = pytest.mark.vm


def states() -> set[Path]:
    return set(home.room("snapshots").glob("*.state"))


def test_twins_start_where_the_first_stood(kernel: Kernel, hello: BuiltModule) -> None:
    moments = []
    append = f"r4l.test={uuid4()}"
    for index in range(2):
        with VM(kernel, nics=[Nic("e1000")], snapshot=True, append=append) as vm:
            assert vm.run("cat /tmp/mine").exit_code == 1, "a fresh guest each time"
            vm.put(f"run {index}".encode(), "/tmp/mine")
            vm.insmod(hello)
            assert vm.run("cat /tmp/mine").stdout == f"run {index}"
            moments.append(vm.run("dmesg | grep Run./init").stdout)
            vm.klog.check()
            assert vm.poweroff() == 0
    assert moments[0] == moments[1] != "", "one boot, to the microsecond"


def test_another_machine_has_another_state(kernel: Kernel) -> None:
    before, mark = states(), uuid4()
    with VM(kernel, snapshot=True, append=f"r4l.test={mark}-one"):
        one = states() - before
    with VM(kernel, snapshot=True, append=f"r4l.test={mark}-two") as vm:
        assert f"r4l.test={mark}-two" in vm.run("cat /proc/cmdline").stdout
    assert len(one) == 1
    assert len(states() - before) == 2


def test_a_state_that_is_no_good_is_removed(kernel: Kernel) -> None:
    before, append = states(), f"r4l.test={uuid4()}"
    with VM(kernel, snapshot=True, append=append):
        (state,) = states() - before
    state.write_bytes(b"no state of any machine")
    with pytest.raises(BootError, match="was removed"), VM(kernel, snapshot=True, append=append):
        pass
    assert not state.exists()
    with VM(kernel, snapshot=True, append=append) as vm:
        assert vm.run("true").exit_code == 0
