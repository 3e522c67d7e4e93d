# SPDX-License-Identifier: MIT
"""Tests that only apply to the other architecture: `pytest tests/arm64 --arch arm64`."""

from __future__ import annotations

import pytest

from r4l import pci
from r4l.camp.demo.rig import NETWORK, Rig
from r4l.kernel import Kernel
from r4l.kernel.describe import describe
from r4l.module import BuiltModule
from r4l.net import Nic
from r4l.pci import read
from r4l.pci.models.edu import Edu
from r4l.vm import VM

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _on_arm64(kernel: Kernel) -> None:
    assert kernel.arch == "arm64", "these tests need --arch arm64"


@pytest.mark.row("B2")
def test_the_image_boots_with_rust(kernel: Kernel, hello: BuiltModule) -> None:
    assert kernel.config["CONFIG_RUST"] == "y"
    (image,) = describe(kernel).images
    assert image.kind == "Image"
    with VM(kernel) as vm:
        assert vm.run("uname -m").stdout.strip() == "aarch64"
        assert vm.run("cat /proc/device-tree/compatible").stdout.startswith("linux,dummy-virt")
        vm.insmod(hello)
        vm.klog.check()


@pytest.mark.row("B14")
def test_a_second_card_beside_virtio(kernel: Kernel, hello: BuiltModule, e1000: BuiltModule) -> None:
    nics = [Nic("virtio-net-pci"), Nic("e1000", options=NETWORK)]
    with VM(kernel, nics=nics, modules=["virtio_net"]) as vm:
        rig = Rig(vm, kernel, hello, e1000)
        rig.begin()
        rig.run("modprobe virtio_net")
        rig.load(e1000)
        drivers = rig.run("for i in eth0 eth1; do basename $(readlink /sys/class/net/$i/device/driver); done").split()
        assert drivers == ["virtio_net", "r4l_e1000"]
        rig.up("10.0.2.20/24", "eth1")
        rig.ping("10.0.2.2")
        sent = int(rig.run("cat /sys/class/net/eth1/statistics/tx_packets"))
        assert sent >= 4
        assert int(rig.run("cat /sys/class/net/eth0/statistics/tx_packets")) == 0
        vm.klog.check()


@pytest.mark.machine(devices=[Edu])
def test_a_device_in_python_is_there_from_the_boot_on(vm: VM, device: Edu) -> None:
    """The machine boots for it, since its bus takes no device later."""
    assert not vm.restored
    folder = f"/sys/bus/pci/devices/{device.address}"
    vm.run(f"echo 1 > {folder}/enable; devmem $(head -n1 {folder}/resource | cut -d' ' -f1)", check=True)
    device.trace.expect(read(Edu.ID, kind=0xED))


class OnExpress(pci.Device):
    """A device of PCI Express; the bus of this machine is one."""

    vendor_id = 0x1234
    device_id = 0xE01
    bars = (pci.Bar(0x1000),)
    capabilities = (
        pci.Express(),
        pci.AdvancedErrors(),
        pci.SerialNumber(0x0011_2233_4455_6677),
        pci.ExtendedVendor(b"r4l!", id=7, writable=b"\xff"),
    )


@pytest.mark.machine(devices=[OnExpress])
def test_the_kernel_sees_the_extended_configuration_space(vm: VM, device: OnExpress) -> None:
    path = f"/sys/bus/pci/devices/{device.address}/config"
    data = bytes.fromhex("".join(vm.run(f"od -An -v -tx1 {path}", check=True).stdout.split()))
    assert len(data) == 4096
    found, place = [], 0x100
    while place:
        head = int.from_bytes(data[place : place + 4], "little")
        found.append((head & 0xFFFF, place))
        place = head >> 20
    assert sorted(number for number, _ in found if number) == [1, 3, 0xB]
    places = dict(found)
    assert data[places[3] + 4 : places[3] + 12] == bytes.fromhex("7766554433221100")
    vendor = places[0xB] + 8
    assert data[vendor : vendor + 4] == b"r4l!"
    device.config["AER_CORRECTABLE_STATUS"] = 0x41
    for offset, value in ((vendor, r"\x55"), (places[1] + 0x10, r"\x01")):
        vm.run(f"printf '{value}' | dd of={path} bs=1 seek={offset} conv=notrunc", check=True)
    device.trace.expect(pci.config_write(places[1] + 0x10, 1))
    assert device.config["AER_CORRECTABLE_STATUS"] == 0x40
    assert vm.run(f"od -An -v -tx1 -j {vendor} -N 4 {path}", check=True).stdout.split() == ["55", "34", "6c", "21"]
