# SPDX-License-Identifier: MIT
"""A tap without a VM: the test holds QEMU's descriptor."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from r4l.errors import EnvironmentFault
from r4l.net import Tap
from r4l.net import tap as module

GUEST = "52:54:00:12:34:56"


@pytest.fixture
def tap() -> Iterator[Tap]:
    try:
        tap = Tap("10.7.0.1/24", beyond="10.8.0.1")
    except EnvironmentFault as why:
        pytest.skip(str(why))
    yield tap
    tap.close()


def read(tap: Tap, layer: type) -> Ether:
    """Return the next frame with a layer that the namespace sends."""
    while True:
        assert select.select([tap.plug()], [], [], 10)[0], "nothing came within 10 s"
        packet = Ether(os.read(tap.plug(), 9999))
        if layer in packet:
            return packet


def test_the_kernel_behind_it_answers(tap: Tap) -> None:
    who_has = ARP(hwsrc=GUEST, psrc="10.7.0.15", pdst="10.7.0.1")
    os.write(tap.plug(), bytes(Ether(src=GUEST, dst="ff:ff:ff:ff:ff:ff") / who_has))
    router = read(tap, ARP).src
    for target in ("10.7.0.1", "10.8.0.1"):
        ping = Ether(src=GUEST, dst=router) / IP(src="10.7.0.15", dst=target) / ICMP(id=9)
        os.write(tap.plug(), bytes(ping))
        answer = read(tap, ICMP)
        assert (answer[IP].src, answer[ICMP].type, answer[ICMP].id) == (target, 0, 9)
    assert GUEST in tap.run(["cat", "/proc/net/arp"]).stdout


def test_it_is_in_a_namespace_of_its_own(tap: Tap) -> None:
    inside = {line.split(":")[0].strip() for line in tap.run(["cat", "/proc/net/dev"]).stdout.splitlines()[2:]}
    assert {"lo", "tap0"} <= inside
    assert tap.run(["readlink", "/proc/self/ns/net"]).stdout.strip() != str(Path("/proc/self/ns/net").readlink())


def test_its_holder_ends_with_it(tap: Tap) -> None:
    holder = tap._process.pid
    assert running(holder)
    tap.close()
    assert not running(holder)


@pytest.mark.usefixtures("tap")
def test_its_holder_ends_with_its_owner() -> None:
    owner = "import os\nfrom r4l.net import Tap\nprint(Tap()._process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    holder = int(subprocess.run([sys.executable, "-c", owner], capture_output=True, check=False).stdout)
    until = time.monotonic() + 10
    while running(holder) and time.monotonic() < until:
        time.sleep(0.01)
    assert not running(holder)


def running(pid: int) -> bool:
    """True if a process exists and is no zombie."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.usefixtures("tap")
def test_a_user_has_one_too_who_may_open_the_device() -> None:
    """In a user namespace the process is not root, and may still open its own device."""
    other = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*other, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine has no user namespaces")
    script = (
        "import os\nfrom r4l.net import Tap\nt = Tap()\nprint(os.geteuid(), t.run(['cat', '/proc/net/dev']).stdout)"
    )
    done = subprocess.run([*other, sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("1000 "), done.stderr
    assert "tap0:" in done.stdout


def test_where_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLDER", module.HOLDER.with_name("no_such_program.py"))
    with pytest.raises(EnvironmentFault, match=r"cannot make a tap on this machine: .*(No such file|not permitted)"):
        Tap()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EnvironmentFault, match="`unshare` is not installed"):
        Tap()
