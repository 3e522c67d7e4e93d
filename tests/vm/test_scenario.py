# SPDX-License-Identifier: MIT
"""The camp's scenario, each step in a fresh VM, with the functions that the demo runs too."""

from __future__ import annotations

import pytest

from r4l.camp.demo import endings, scenario
from r4l.camp.demo.rig import Rig, StepFailed
from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.net import PacketsLost
from r4l.vm import VM

pytestmark = pytest.mark.vm


@pytest.mark.thorough
@pytest.mark.row("A4")
def test_without_a_driver_there_is_only_lo(rig: Rig) -> None:
    scenario.no_driver(rig)


@pytest.mark.row("A10")
def test_the_card_is_on_the_bus_without_a_driver(rig: Rig) -> None:
    scenario.card_on_the_bus(rig)


@pytest.mark.row("A8")
def test_hello_says_its_line(rig: Rig) -> None:
    assert "hello" in scenario.hello(rig)


@pytest.mark.row("A5", "E5")
def test_insmod_makes_an_interface(rig: Rig) -> None:
    scenario.driver_loads(rig)


@pytest.mark.row("A6")
def test_broadcast_without_an_address_is_invalid(loaded: Rig) -> None:
    scenario.invalid_address(loaded)


@pytest.mark.row("A7", "E5")
def test_ping(loaded: Rig) -> None:
    assert " 0% packet loss" in scenario.ping(loaded)


@pytest.mark.row("E6")
def test_behind_the_gateway(online: Rig) -> None:
    scenario.route(online)


@pytest.mark.row("A9", "A24")
def test_down_and_up_again(online: Rig) -> None:
    assert "napi_disable" in online.driver.undefined, "stop has to disable NAPI"
    scenario.up_and_down(online)


@pytest.mark.row("A13")
def test_module_of_another_kernel(rig: Rig) -> None:
    scenario.foreign_module(rig)
    assert rig.driver.vermagic.startswith(rig.run("uname -r").strip())


@pytest.mark.row("A22")
def test_poweroff_ends_the_vm_and_halt_does_not(kernel: Kernel) -> None:
    with VM(kernel, snapshot=True) as vm:
        assert endings.poweroff(vm) == "QEMU ended with exit code 0"
        assert not vm.running
    with VM(kernel, snapshot=True) as vm:
        endings.halt(vm)
        assert vm.running
    assert not vm.running


@pytest.mark.row("A32")
def test_the_phy_is_an_m88_behind_mdic(rig: Rig) -> None:
    rig.load(rig.driver)
    rig.logged("PHY_ID1 0x0141")


def test_a_step_that_fails_says_what_was_seen(loaded: Rig) -> None:
    with pytest.raises(StepFailed, match="interfaces: eth0 lo"):
        scenario.no_driver(loaded)
    with pytest.raises(PacketsLost, match="Network is unreachable"):
        loaded.ping("10.0.2.2", count=1)
    with pytest.raises(StepFailed, match="no line like"):
        loaded.logged("a line that is never logged")


def test_symbols_that_nobody_exports(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rig.hello.__dict__, "undefined", ["no_such_symbol"])
    with pytest.raises(BuildError, match="needs symbols that nothing exports: no_such_symbol"):
        rig.hello.check(rig.kernel)
