# SPDX-License-Identifier: MIT
"""The server's answers to what QEMU, and whoever says it is QEMU, sends."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from tests.unit.pci.client import Client, Refusal, eventfd, open_files, rung
from tests.unit.pci.conftest import Serve
from tests.unit.pci.models import Model

from r4l.errors import UsageError
from r4l.pci import Reset, Server, Word, happened, read, write
from r4l.pci.protocol import DEVICE_INFO, IRQ_INFO, REGION_INFO, Command, Irq


@pytest.fixture
def device() -> Model:
    return Model()


# -- what QEMU asks first ---------------------------------------------------------------------------------------------


def test_version_and_what_there_is(client: Client) -> None:
    assert client.agree()["max_data_xfer_size"] == 1 << 20
    _, flags, regions, irqs = DEVICE_INFO.unpack(client.call(Command.DEVICE_GET_INFO, DEVICE_INFO.pack(16, 0, 0, 0)))
    assert (flags, regions, irqs) == (3, 9, 5)
    sizes = []
    for index in range(9):
        answer = client.call(Command.DEVICE_GET_REGION_INFO, REGION_INFO.pack(32, 0, index, 0, 0, 0))
        sizes.append(REGION_INFO.unpack(answer)[4])
    assert sizes == [0x1000, 0x20, 0, 0, 0, 0, 0, 4096, 0]
    counts = []
    for index in (Irq.INTX, Irq.MSI, Irq.MSIX):
        counts.append(IRQ_INFO.unpack(client.call(Command.DEVICE_GET_IRQ_INFO, IRQ_INFO.pack(16, 0, index, 0)))[1::2])
    assert counts == [(7, 1), (9, 4), (9, 2)]
    for index in (Irq.ERROR, Irq.REQUEST, 77):
        with pytest.raises(Refusal) as refused:
            client.call(Command.DEVICE_GET_IRQ_INFO, IRQ_INFO.pack(16, 0, index, 0))
        assert refused.value.errno == errno.EINVAL


# -- registers --------------------------------------------------------------------------------------------------------


def test_accesses_by_every_width(client: Client, device: Model) -> None:
    assert client.read(0) == 0xCAFE0001
    assert (client.read(0, 1), client.read(2, 2), client.read(3, 1)) == (0x01, 0xCAFE, 0xCA)
    client.write(0x10, 0x1122334455667788, 8)
    client.write(0x12, 0xABCD, 2)
    assert client.read(0x10, 8) == 0x11223344ABCD7788
    assert client.read(0x14) == 0x11223344
    client.write(0x18, 0x11, 1)
    assert (client.read(0x18, 1), client.read(0x18)) == (0xFF, 0), "an access that is not its width is refused"
    assert client.read(0x30) == 0, "nothing is there"
    assert client.read(0, 1, region=1) == 0x5A
    client.write(0x204, 0x01020304)
    assert client.read(0x206, 2) == 0x0102
    assert device.RAM[4:8] == bytes([4, 3, 2, 1])


def test_an_array_knows_which_of_it_is_meant(client: Client, device: Model) -> None:
    client.write(0x58, 7)
    client.read(0)
    assert device.seen == (3, 7)
    assert list(device.TABLE) == [0, 0, 0, 7]
    device.TABLE[1] = 9
    assert client.read(0x48) == 9
    assert write(Model.TABLE, 7) in device.trace
    assert device.trace.find(write(Model.TABLE))[0].register == "TABLE[3]"
    assert (write(Model.TABLE[3]) in device.trace, write(Model.TABLE[2]) in device.trace) == (True, False)
    with pytest.raises(IndexError):
        write(Model.TABLE[4])
    with pytest.raises(IndexError, match="TABLE has 4 registers"):
        device.TABLE[4]


def test_a_posted_write_has_no_answer_and_comes_before_what_follows(client: Client) -> None:
    for value in range(100):
        client.write(0x10, value, 8, posted=True)
    assert client.read(0x10, 8) == 99


def test_a_write_is_answered_before_it_takes_effect(serve: Serve) -> None:
    class Slow(Model):
        def control(self, old: Word, new: Word) -> None:
            assert released.wait(10)

    released = threading.Event()
    device = Slow()
    client = serve(device)
    client.write(4, 1)  # The answer is here, and the method waits still.
    released.set()
    assert client.read(4) == 1


# -- resets and power -------------------------------------------------------------------------------------------------


def test_a_reset(client: Client, device: Model) -> None:
    client.write(0x10, 5, 8)
    client.write(0x1C, 6)
    client.set_config(4, 7)
    client.call(Command.DEVICE_RESET)
    assert (client.read(0x10, 8), client.read(0x1C), client.config(4, 2)) == (0, 6, 0)
    assert [one.text for one in device.trace.find(happened("reset"))] == ["power on", "bus reset"]


def test_a_function_level_reset(client: Client, device: Model) -> None:
    place = device.config.places[2]
    client.write(0x10, 5, 8)
    client.set_config(place + 8, 0x8000)
    assert client.read(0x10, 8) == 0
    assert client.config(place + 8, 2) & 0x8000 == 0
    assert device.trace[-3].text == Reset.FUNCTION.value


def test_a_function_that_sleeps_answers_nothing_and_wakes_up_new(client: Client, device: Model) -> None:
    place = device.config.places[0]
    client.write(0x10, 5, 8)
    client.set_config(place + 4, 3)
    client.write(0x10, 6, 8)
    assert client.read(0x10, 8) == (1 << 64) - 1
    client.set_config(place + 4, 0)
    assert client.read(0x10, 8) == 0


def test_a_card_that_is_pulled_out_is_gone(client: Client, device: Model) -> None:
    fd = eventfd()
    client.irq(Irq.INTX, [fd])
    device.pull()
    device.raise_irq()
    assert (client.read(0), client.config(0), rung(fd)) == (0xFFFFFFFF, 0xFFFFFFFF, 0)
    client.write(0x10, 1, 8)
    client.read(0)
    assert device.WIDE == 0


# -- sockets and machines ---------------------------------------------------------------------------------------------


def test_a_path_longer_than_a_socket_s_name_can_be(tmp_path: Path, device: Model) -> None:
    folder = tmp_path / ("x" * 120) / ("y" * 120)
    folder.mkdir(parents=True)
    Server(device, folder / "long.sock").close()


def test_one_client_after_the_other(serve: Serve, device: Model, tmp_path: Path) -> None:
    client = serve(device)
    client.write(0x10, 1, 8)
    before = open_files()
    client.close()
    device.trace.expect(happened("unplugged"))
    again = Client(next(tmp_path.glob("*.sock")))
    again.agree()
    assert again.read(0x10, 8) == 0, "power was off meanwhile"
    assert open_files() == before
    again.close()


def test_two_machines_at_once_share_no_state_of_a_model(serve: Serve) -> None:
    devices = [Model(), Model()]
    clients = [serve(device) for device in devices]
    fds = [eventfd(), eventfd()]

    def drive(which: int) -> None:
        client = clients[which]
        client.irq(Irq.INTX, [fds[which]])
        for value in range(200):
            client.write(0x10, value * 2 + which, 8)
            client.write(0x40 + 8 * (value % 4), value + 1000 * which)
            assert client.read(0x10, 8) == value * 2 + which
        client.write(0x200, which + 1)

    threads = [threading.Thread(target=drive, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [int(device.WIDE) for device in devices] == [398, 399]
    assert [list(device.TABLE) for device in devices] == [[196, 197, 198, 199], [1196, 1197, 1198, 1199]]
    assert [client.read(0x200) for client in clients] == [1, 2]
    devices[0].faults.add("all-ones@ID#1 times=0")
    devices[0].raise_irq()
    assert [rung(fd) for fd in fds] == [1, 0]
    assert [client.read(0) for client in clients] == [0xFFFFFFFF, 0xCAFE0001]
    devices[0].pull()
    assert (clients[1].read(0), devices[1].present) == (0xCAFE0001, True)


def test_one_device_is_in_one_machine_at_a_time(device: Model, tmp_path: Path) -> None:
    first = Server(device, tmp_path / "first.sock")
    with pytest.raises(UsageError, match="is in another machine"):
        Server(device, tmp_path / "second.sock")
    assert not (tmp_path / "second.sock").exists()
    first.close()
    first.close()
    Server(device, tmp_path / "second.sock").close()


def test_questions_about_what_has_happened(client: Client, device: Model) -> None:
    client.write(4, 0x51)
    client.read(0)
    device.trace.expect(write(Model.CONTROL.go))
    access = device.trace.expect(read(Model.ID))
    assert (access.register, access.value, access.who, access.size) == ("ID", 0xCAFE0001, "guest", 4)
    assert write(Model.CONTROL, speed=5) in device.trace
    assert write(Model.CONTROL, speed=4) not in device.trace
    assert write(Model.CONTROL.irq) not in device.trace
    assert device.trace.count(read(0)) == 1
    with pytest.raises(AttributeError, match="CONTROL has no field sped"):
        write(Model.CONTROL, sped=5)
    with pytest.raises(TypeError, match="use the class"):
        read(device.CONTROL)
