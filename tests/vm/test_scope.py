# SPDX-License-Identifier: MIT
"""`r4l scope`: the e1000's driver at work, recorded in a VM."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.net.interface import Interface
from r4l.pci.recording import Recorder, check
from r4l.vm import VM

pytestmark = pytest.mark.vm


def contents(page: str) -> dict[str, Any]:
    """The recording of a page's first device."""
    found = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])["devices"][0]
    return data


def test_a_ping_is_served_while_it_happens_and_to_the_end(e1000: BuiltModule) -> None:
    words = [sys.executable, "-m", "r4l", "scope", str(e1000.path), "--", "ping", "-c1", "-W5", "10.0.2.2"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        try:
            url = next(line.split()[1] for line in program.stderr if line.startswith("scope:"))
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
            assert any("1 packets received" in line for line in program.stdout)
            with urllib.request.urlopen(url, timeout=30) as answer:
                data = contents(answer.read().decode())
        finally:
            program.send_signal(2)
            program.wait(60)
    assert not check(
        data | {"events": [{k: v for k, v in one.items() if k not in ("frame", "ends")} for one in data["events"]]}
    )
    told = [one["frame"] for one in data["events"] if one["kind"].startswith("frame")]
    assert any("echo request" in one for one in told)
    assert any("echo reply" in one for one in told)
    assert program.returncode == 0


@pytest.mark.machine(nics=[Nic("python:e1000")])
def test_the_rings_are_those_of_the_driver(vm: VM, e1000: BuiltModule) -> None:
    card = vm.cards[0]
    recorder = Recorder(card)
    vm.insmod(e1000)
    name = vm.run(f"ls /sys/bus/pci/devices/{card.address}/net", check=True).stdout.strip()
    Interface(lambda command, timeout=30.0: vm.run(command, timeout=timeout, check=True).stdout, name).up()
    vm.run("ping -c2 -W5 10.0.2.2", check=True)
    data = recorder.as_data()
    assert not check(json.loads(json.dumps(data)))
    # Each frame that was sent was in a descriptor, which the card has reported as done.
    done = [
        index
        for one in data["events"]
        if one["kind"] == "dma-write"
        for change in one.get("rings", [])
        if change["ring"] == 0
        for index, descriptor in change["entries"]
        if bytes.fromhex(descriptor)[12] & 1
    ]
    sent = sum(one["kind"] == "frame-sent" for one in data["events"])
    assert sent >= 2
    assert len(done) == sent
    assert len(recorder.as_data()["events"]) == len(
        [one for one in card.trace if one.number >= data["events"][0]["number"]]
    )
