# SPDX-License-Identifier: MIT
"""Cards and back ends as QEMU's arguments."""

from __future__ import annotations

import pytest

from r4l.errors import UsageError
from r4l.net import Nic
from r4l.net.backends.tap import TUN
from r4l.vm.cables import ISOLATED, isolated


def test_a_card_that_is_cut_off_needs_no_network() -> None:
    assert Nic().needs_network
    assert not Nic(options={"restrict": True}).needs_network
    assert Nic(options={"restrict": True, "hostfwd": [{"str": "tcp::0-:22"}]}).needs_network
    assert not any(Nic(backend=other).needs_network for other in ("hub", "socket", "tap", "none"))


def test_what_is_the_users_own_is_in_the_hosts_network() -> None:
    """Regression: QEMU had no network, in which it could find a tap or a socket by its address."""
    inet = {"type": "inet", "host": "127.0.0.1", "port": "5000"}
    unix = {"type": "unix", "path": "/run/x"}
    tap = Nic(backend="tap", options={"ifname": "t0"})
    assert tap.needs_network
    assert tap.host_devices == ((TUN,) if TUN.exists() else ())
    assert not Nic(backend="tap").host_devices
    assert Nic(backend="socket", options={"type": "stream", "server": True, "addr": inet}).needs_network
    assert Nic(backend="socket", options={"type": "dgram", "local": inet, "remote": inet}).needs_network
    assert Nic(backend="socket", options={"type": "stream", "addr": {**unix, "abstract": True}}).needs_network
    assert not Nic(backend="socket", options={"type": "stream", "addr": unix}).needs_network


def test_a_guest_that_is_cut_off_has_nothing_of_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ISOLATED, "1")
    stream = {"type": "stream", "addr": {"type": "inet", "host": "127.0.0.1", "port": "5000"}}
    own = [Nic(), Nic(backend="tap", options={"ifname": "t0"}), Nic(backend="socket", options=stream)]
    assert not any(nic.needs_network or nic.host_devices for nic in isolated(own))


def test_each_place_has_its_own_address() -> None:
    assert [Nic().address(i) for i in range(3)] == ["52:54:00:12:34:56", "52:54:00:12:34:57", "52:54:00:12:34:58"]
    assert Nic(mac="02:00:00:00:00:AB").address(5) == "02:00:00:00:00:ab"


def test_back_ends() -> None:
    assert Nic().netdev(1) == {"id": "net1", "type": "user"}
    assert Nic(backend="hub", hub=3).netdev(0) == {"id": "net0", "type": "hubport", "hubid": 3}
    tap = Nic(backend="tap", options={"ifname": "t0"}).netdev(0)
    assert tap == {"id": "net0", "type": "tap", "ifname": "t0", "script": "no", "downscript": "no"}
    stream = Nic(backend="socket", options={"type": "stream", "server": True}).netdev(0)
    assert stream == {"id": "net0", "type": "stream", "server": True}
    assert Nic(backend="none").netdev(0) is None
    assert "netdev" not in Nic(backend="none").qemu_device(0)


def test_settings_of_the_device_win() -> None:
    assert Nic(device={"addr": "0x10"}).qemu_device(0)["addr"] == "0x10"


def test_mistakes_are_named_at_once() -> None:
    with pytest.raises(UsageError, match="MAC"):
        Nic(mac="52:54:00:12:34")
    with pytest.raises(UsageError, match="back end"):
        Nic(backend="bridge")
    with pytest.raises(UsageError, match="type"):
        Nic(backend="socket", options={"server": True})


def test_cables_are_descriptors() -> None:
    assert [nic.has_cable for nic in (Nic(), Nic(backend="socket"), Nic(backend="tap"))] == [False, True, True]
    assert not Nic(backend="tap", options={"ifname": "t0"}).has_cable
    socket = Nic(backend="socket").netdev(0, 7)
    assert socket == {"id": "net0", "type": "dgram", "local": {"type": "fd", "str": "7"}}
    assert Nic(backend="tap").netdev(2, 8) == {"id": "net2", "type": "tap", "fd": "8"}
