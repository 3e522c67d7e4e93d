# SPDX-License-Identifier: MIT
"""Disk images before their creation: data, keys of the cache, files laid over Debian's."""

from __future__ import annotations

import io
import ipaddress
import os
import stat
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.rootfs import disk, first_stage, install
from r4l.rootfs.disk import DiskImage
from r4l.rootfs.ssh_keys import Keys
from r4l.toolchain import Toolchain, archive_for


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    folder = tmp_path / "ssh"
    folder.mkdir()
    for name in ("id_ed25519", "host_ed25519"):
        (folder / name).write_text(f"secret {name}\n")
        (folder / f"{name}.pub").write_text(f"ssh-ed25519 {name}\n")
    return Keys(folder)


def members(layer: bytes) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            found[member.name] = (member, stream.read() if stream else b"")
    return found


def test_unknown_image_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown image 'gentoo'") as caught:
        DiskImage.get("gentoo", cast(Toolchain, None))
    assert "debian" in caught.value.remedy


def test_layer_holds_the_keys_where_sshd_looks_and_nobody_else(keys: Keys) -> None:
    found = members(disk._layer("debian", keys))
    member, content = found["etc/ssh/ssh_host_ed25519_key"]
    assert (member.mode, content) == (0o600, b"secret host_ed25519\n")
    member, content = found["root/.ssh/authorized_keys"]
    assert (member.mode, content) == (0o600, b"ssh-ed25519 id_ed25519\n")
    assert found["root/.ssh"][0].mode == 0o700
    assert not any(b"secret id_ed25519" in content for _, content in found.values()), "the user's key stays outside"
    assert {(member.uid, member.gid) for member, _ in found.values()} == {(0, 0)}


def test_layer_is_the_same_for_the_same_input_and_another_for_another_key(keys: Keys) -> None:
    layer = disk._layer("debian", keys)
    assert disk._layer("debian", keys) == layer
    keys.host.write_text("another\n")
    assert disk._layer("debian", keys) != layer


def test_nothing_is_both_masked_and_enabled() -> None:
    for name in disk.names():
        recipe = disk.table()[name]
        assert not {*recipe["enable"]} & {*recipe["mask"]}
        assert "r4l-agent.service" in recipe["enable"]


def test_the_script_takes_the_layer_before_it_enables_its_units() -> None:
    commands = disk._commands(disk.table()["debian"])
    script = install._script({"EARLY": ["a.deb"], "REST": ["b.deb", "c.deb"]}, commands)
    assert script.startswith("EARLY=a.deb\nREST='b.deb c.deb'\n")
    places = [script.index(text) for text in ("ssh_host_", "layer.tar", "systemctl enable ", "root.tar")]
    assert places == sorted(places), "the package's keys go before ours come"
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_settings_of_the_new_system_are_readable_whatever_the_umask_is(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    previous = os.umask(0o077)
    try:
        install._prepare(tmp_path, archive_for(), ["/usr/share/doc/*"], [])
    finally:
        os.umask(previous)
    modes = {str(path.relative_to(tmp_path)): stat.S_IMODE(path.lstat().st_mode) for path in tmp_path.rglob("*")}
    assert modes["etc/apt"] == modes["etc/apt/preferences.d"] == modes["usr/sbin/policy-rc.d"] == 0o755
    assert modes["etc/apt/sources.list"] == modes["etc/dpkg/dpkg.cfg.d/r4l"] == 0o644
    assert "keyrings/debian-archive-keyring.gpg" in (tmp_path / "etc/apt/sources.list").read_text()
    assert "path-exclude=/usr/share/doc/*\n" in (tmp_path / "etc/dpkg/dpkg.cfg.d/r4l").read_text()


def test_management_network_is_one_network_and_not_the_one_of_cards_under_test(keys: Keys) -> None:
    entry = disk.table()["management"]
    network = ipaddress.ip_network(entry["network"])
    assert all(ipaddress.ip_address(entry[name]) in network for name in ("host", "dns", "address"))
    assert not network.overlaps(ipaddress.ip_network("10.0.2.0/24"))
    _, resolver = members(disk._layer("debian", keys))["etc/resolv.conf"]
    assert f"nameserver {entry['dns']}".encode() in resolver


def kernel_with(config: dict[str, str], arch: str = "x86_64") -> Kernel:
    return cast(Kernel, SimpleNamespace(release="9.9", arch=arch, config=config))


def test_kernel_that_lacks_what_systemd_needs_is_refused() -> None:
    config = {f"CONFIG_{name}": "m" for name in disk.table()["debian"]["options"]}
    first_stage.require_fit(kernel_with(config), "debian")
    del config["CONFIG_CGROUPS"], config["CONFIG_UNIX"]
    with pytest.raises(EnvironmentFault, match="CONFIG_CGROUPS, CONFIG_UNIX") as caught:
        first_stage.require_fit(kernel_with(config), "debian")
    assert "stock kernel" in caught.value.remedy


def test_kernel_of_another_architecture_is_refused() -> None:
    with pytest.raises(EnvironmentFault, match="the kernel for arm64"):
        first_stage.require_fit(kernel_with({}, "arm64"), "debian")


def test_first_stage_is_told_all_that_it_uses() -> None:
    script: Any = disk._data() / "stage1/init"
    settings = first_stage._settings(disk.table()["debian"])
    for name in ("DRIVERS", "INTERFACE", "MAC", "ADDRESS", "HOST"):
        assert f"${name}" in script.read_text()
        assert f"{name}=" in settings
    assert "DRIVERS='ext4 virtio_blk virtio_net'\n" in settings
    assert "ADDRESS=10.0.3.15/24\n" in settings
