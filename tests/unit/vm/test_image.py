# SPDX-License-Identifier: MIT
"""A machine that starts from an image, as data: disks, the card for ssh, its port."""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path

import pytest

from r4l.errors import BootError, EnvironmentFault, UsageError
from r4l.rootfs.ssh_keys import Keys
from r4l.toolchain import Toolchain
from r4l.vm import Endpoints, Machine, command_line
from r4l.vm.image import management_nic
from r4l.vm.machine import Drive
from r4l.vm.ssh import Ssh, forwarded_port

USERNET = """\
Hub -1 (net1):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  17       127.0.0.1 40119       10.0.3.15    22     0     0
"""


def test_disks_are_never_written_to() -> None:
    drives = (Drive(Path("/a,b/root.qcow2"), "root"), Drive(Path("/m.ext4"), "modules", "raw"))
    argv = command_line(Machine(Path("/k"), Path("/i"), drives=drives), Endpoints(10, 11, 12))
    pairs = list(itertools.pairwise(argv))
    options = [value for name, value in pairs if name == "-drive"]
    assert [dict(word.split("=", 1) for word in option.replace(",,", "\0").split(",")) for option in options] == [
        {
            "if": "none",
            "id": "disk0",
            "format": "qcow2",
            "snapshot": "on",
            "cache": "unsafe",
            "file": "/a\0b/root.qcow2",
        },
        {"if": "none", "id": "disk1", "format": "raw", "snapshot": "on", "cache": "unsafe", "file": "/m.ext4"},
    ]
    devices = [json.loads(value) for name, value in pairs if name == "-device"]
    assert [(d["drive"], d["serial"]) for d in devices if d["driver"] == "virtio-blk-pci"] == [
        ("disk0", "root"),
        ("disk1", "modules"),
    ]


def test_ssh_is_forwarded_from_loopback_only() -> None:
    netdev = management_nic().netdev(1)
    assert netdev is not None
    assert netdev["hostfwd"] == [{"str": "tcp:127.0.0.1:0-10.0.3.15:22"}]


def test_port_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=f"cannot use port {port} on 127.0.0.1 for ssh: Address already"):
            management_nic(port)
    assert management_nic(port).options["hostfwd"] == [{"str": f"tcp:127.0.0.1:{port}-10.0.3.15:22"}]


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_port(port: int) -> None:
    with pytest.raises(UsageError, match="is not a port"):
        management_nic(port)


def test_port_that_the_system_chose() -> None:
    assert forwarded_port(USERNET) == 40119
    with pytest.raises(BootError, match="forwards no port"):
        forwarded_port(USERNET.replace("   22 ", " 2222 "))


def test_ssh_trusts_our_guests_only(tmp_path: Path) -> None:
    door = Ssh.open(40119, Keys(tmp_path / "my keys"), tmp_path, Toolchain(tmp_path, "x", ("image",)))
    config = {line.split(None, 1)[0]: line.split(None, 1)[1] for line in door.config.read_text().splitlines()}
    assert config["Port"] == "40119"
    assert config["StrictHostKeyChecking"] == "yes"
    assert config["IdentityFile"] == f'"{tmp_path}/my keys/id_ed25519"', "a space in the path must not cut it"
    assert door.line == f"ssh -F {door.config} guest"
