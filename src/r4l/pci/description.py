# SPDX-License-Identifier: MIT
"""The description of a device that QEMU asks for: the protocol's version, the device's regions and interrupts."""

from __future__ import annotations

import errno
import json
import struct

from r4l.pci.device import Device
from r4l.pci.protocol import (
    DEVICE_INFO,
    DEVICE_IS_PCI,
    DEVICE_RESETS,
    IRQ_AUTOMASKED,
    IRQ_EVENTFD,
    IRQ_INFO,
    IRQ_MASKABLE,
    IRQ_NORESIZE,
    IRQS,
    MAJOR,
    MAX_FDS,
    MAX_TRANSFER,
    MINOR,
    PAGE_SIZE,
    REGION_INFO,
    REGION_READABLE,
    REGION_WRITABLE,
    REGIONS,
    Irq,
    Message,
    Refused,
    Region,
    payload_values,
)

IRQ_FLAGS = {
    Irq.INTX: IRQ_EVENTFD | IRQ_MASKABLE | IRQ_AUTOMASKED,
    Irq.MSI: IRQ_EVENTFD | IRQ_NORESIZE,
    Irq.MSIX: IRQ_EVENTFD | IRQ_NORESIZE,
}


class DeviceDescription:
    """Answers to the questions about a device, from which no method of its model is called.

    Args:
        device: device to describe.

    Attributes:
        sizes: bytes of each region by its number; regions that there are not are left out.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        bars = {number: bar.size for number, bar in device.layout.bars.items()}
        self.sizes = {int(Region.CONFIG): device.config.size, **bars}

    def version(self, message: Message) -> bytes:
        """Return the version and the limits of this server.

        Raises:
            Refused: the other side has another major version.
        """
        if len(message.payload) < 4:
            raise Refused(errno.EINVAL, f"VERSION of {len(message.payload)} bytes")
        major, minor = struct.unpack_from("=HH", message.payload)
        if major != MAJOR:
            raise Refused(errno.EPROTONOSUPPORT, f"version {major}.{minor} of the protocol")
        able = {"max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_TRANSFER, "pgsizes": PAGE_SIZE}
        said = json.dumps({"capabilities": able}).encode() + b"\0"
        return struct.pack("=HH", MAJOR, min(minor, MINOR)) + said

    def info(self, message: Message) -> bytes:
        """Return the kind of device, and the numbers of its regions and of its types of interrupts."""
        payload_values(DEVICE_INFO, message)
        return DEVICE_INFO.pack(DEVICE_INFO.size, DEVICE_RESETS | DEVICE_IS_PCI, REGIONS, IRQS)

    def region_info(self, message: Message) -> bytes:
        """Return size and rights of a region.

        Raises:
            Refused: no device has such a region.
        """
        _, _, index, *_ = payload_values(REGION_INFO, message)
        if index >= REGIONS:
            raise Refused(errno.EINVAL, f"region {index}")
        size = self.sizes.get(index, 0)
        flags = REGION_READABLE | REGION_WRITABLE if size else 0
        return REGION_INFO.pack(REGION_INFO.size, flags, index, 0, size, 0)

    def irq_info(self, message: Message) -> bytes:
        """Return number and properties of the interrupts of a type.

        Raises:
            Refused: the device has none of that type.
        """
        _, _, index, _ = payload_values(IRQ_INFO, message)
        if index not in IRQ_FLAGS:
            # QEMU would take any other answer for an offer of error and request interrupts.
            raise Refused(errno.EINVAL, f"interrupts of the type {index}")
        irq = Irq(index)
        return IRQ_INFO.pack(IRQ_INFO.size, IRQ_FLAGS[irq], index, self._device.interrupts.counts[irq])
