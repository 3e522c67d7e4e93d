# SPDX-License-Identifier: MIT
"""/dev/cicv as a file: the returned bytes move the offset, and ends of file are reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import r4l

Probe = Callable[..., list[str]]

CAPACITY = 4096
pytestmark = pytest.mark.row("C7")


def test_reads_go_on_where_the_last_one_ended(probe: Probe) -> None:
    assert probe("open:rw", "write:0:hello world", "open:r", *["read:1:4"] * 4) == [
        *["0", "11", "0"],
        *["4 hell", "4 o wo", "3 rld", "0"],
    ]


def test_each_open_file_has_an_offset_of_its_own_and_a_copy_shares_it(probe: Probe) -> None:
    said = probe(
        "open:rw", "write:0:abcdef", "open:r", "open:r", "dup:1", "read:1:2", "read:2:3", "read:3:2", "read:1:9"
    )
    assert said[5:] == ["2 ab", "3 abc", "2 cd", "2 ef"]


def test_a_read_for_more_than_there_is(probe: Probe) -> None:
    assert probe("open:rw", "write:0:abc", "lseek:0:0:set", "read:0:100000", "read:0:100000")[3:] == ["3 abc", "0"]


def test_nothing_asked_nothing_done(probe: Probe) -> None:
    assert probe("open:rw", "write:0:", "read:0:0", "fill:0:4096", "write:0:", "size:0")[1:] == [
        *["0", "0", "4096", "0", "4096"]
    ]


def test_a_write_takes_what_there_is_room_for(probe: Probe) -> None:
    assert probe("open:rw", "fill:0:4000", "fill:0:1000", "fill:0:1", "size:0", "lseek:0:0:cur", "read:0:1")[1:] == [
        *["4000", "96", "ENOSPC", "4096", "4096", "0"]
    ]


def test_a_write_of_more_than_the_capacity(probe: Probe) -> None:
    assert probe("open:rw", "fill:0:100000", "fill:0:1", "size:0")[1:] == ["4096", "ENOSPC", "4096"]


def test_busybox_is_told_when_the_device_is_full(cicv: r4l.VM) -> None:
    full = cicv.run("head -c 5000 /dev/zero >/dev/cicv")
    assert "No space left on device" in full.stderr
    assert cicv.run("wc -c </dev/cicv").stdout.strip() == str(CAPACITY)
    copied = cicv.run("head -c 4096 /dev/urandom >/tmp/it; dd if=/tmp/it of=/dev/cicv bs=100; cmp /tmp/it /dev/cicv")
    assert copied.exit_code == 0, copied.stderr
    for size in (1, 7, 1000, 4095, 4096, 9000):
        cicv.run(f"dd if=/dev/cicv bs={size} | cmp - /tmp/it", check=True)


@pytest.mark.parametrize("capacity", [1, 10, 65537])
def test_the_capacity_is_a_parameter(guest_with_probe: r4l.VM, module: r4l.BuiltModule, capacity: int) -> None:
    guest_with_probe.insmod(module, capacity=capacity)
    said = guest_with_probe.run(["/tmp/probe", "open:rw", "capacity:0", "fill:0:100000", "fill:0:1"], check=True).stdout
    assert said.split() == ["0", str(capacity), str(capacity), "ENOSPC"]


def test_a_write_over_what_is_there_leaves_the_rest(probe: Probe) -> None:
    steps = ["open:rw", "write:0:hello world", "pwrite:0:6:W", "lseek:0:0:set", "write:0:J", "pread:0:99:0", "size:0"]
    assert probe(*steps)[2:] == ["1", "0", "1", "11 Jello World", "11"]


def test_pread_and_pwrite_leave_the_offset(probe: Probe) -> None:
    steps = [
        "open:rw",
        "write:0:abcdef",
        "pread:0:2:1",
        "pwrite:0:3:X",
        "lseek:0:0:cur",
        "pread:0:9:6",
        "pread:0:9:99999",
    ]
    assert probe(*steps)[2:] == ["2 bc", "1", "6", "0", "0"]


def test_lseek(probe: Probe) -> None:
    assert probe("open:rw", "write:0:0123456789", "lseek:0:3:set", "read:0:2", "lseek:0:-1:cur", "read:0:1")[2:] == [
        *["3", "2 34", "4", "1 4"]
    ]
    assert probe("open:r", "lseek:0:-2:end", "read:0:9", "lseek:0:0:end")[1:] == ["8", "2 89", "10"]


def test_lseek_where_nothing_can_be(probe: Probe) -> None:
    steps = ["lseek:0:-1:set", "lseek:0:4097:set", "lseek:0:9223372036854775807:cur", "lseek:0:-11:end", "lseek:0:0:no"]
    said = probe("open:rw", "write:0:0123456789", *steps, "lseek:0:0:cur", "lseek:0:4096:set", "write:0:x", "read:0:1")
    assert said[2:] == [*["EINVAL"] * 5, "10", "4096", "ENOSPC", "0"]


@pytest.mark.parametrize("offset", ["4096", "4097", "4294967296", "9223372036854775806"])
def test_an_offset_that_no_byte_has(probe: Probe, offset: str) -> None:
    """pread and pwrite pass an offset that the kernel has not checked."""
    assert probe("open:rw", f"pwrite:0:{offset}:x", f"pread:0:1:{offset}", "size:0")[1:] == ["ENOSPC", "0", "0"]


def test_an_offset_that_is_none(probe: Probe) -> None:
    assert probe("open:rw", "pwrite:0:-1:x", "pread:0:1:-1")[1:] == ["EINVAL", "EINVAL"]
    last = 2**63 - 1
    assert probe("open:rw", f"pwrite:0:{last}:x", f"pread:0:1:{last}")[1:] == ["EINVAL", "EINVAL"], "the end overflows"


def test_what_is_skipped_reads_as_zeros_and_not_as_what_was_there(probe: Probe) -> None:
    steps = [
        "open:rw",
        "fill:0:4096",
        "clear:0",
        "pread:0:4:0",
        "lseek:0:3:set",
        "write:0:end",
        "pread:0:99:0",
        "size:0",
    ]
    assert probe(*steps)[2:] == ["0", "0", "3", "3", r"6 \x00\x00\x00end", "6"]


def test_truncate_empties_it_but_only_for_who_may_write(probe: Probe) -> None:
    assert probe("open:rw", "write:0:abc", "open:r+trunc", "size:0", "open:w+trunc", "size:0")[2:] == [
        "0",
        "3",
        "0",
        "0",
    ]
    assert probe("open:w+trunc", "write:0:abcdef", "open:w", "write:1:X", "open:r", "read:2:99")[-1] == "6 Xbcdef"


def test_append_writes_at_the_end_wherever_that_is(probe: Probe) -> None:
    steps = ["open:rw+append", "open:w", "write:1:abc", "write:0:def", "lseek:0:0:cur", "lseek:0:0:set", "write:0:ghi"]
    said = probe(*steps, "lseek:0:0:cur", "pread:0:99:0", "fill:0:9999", "fill:0:1", "size:0")
    assert said[2:] == ["3", "3", "6", "0", "3", "9", "9 abcdefghi", str(CAPACITY - 9), "ENOSPC", str(CAPACITY)]


def test_what_a_file_was_not_opened_for(probe: Probe) -> None:
    assert probe("open:r", "open:w", "write:0:x", "read:1:1", "clear:0", "clear:1")[2:] == [
        *["EBADF", "EBADF", "EBADF", "0"]
    ]


def test_memory_that_is_not_there(probe: Probe) -> None:
    """Bytes copied before the fault count, in the result and for the offset."""
    # RISC-V copies 71 bytes and more by words, and counts whole words only (arch/riscv/lib/uaccess.S).
    steps = ["open:rw", "write-over-edge:0:abc:50", "lseek:0:0:cur", "size:0", "write-over-edge:0::5", "size:0"]
    assert probe(*steps)[1:] == ["3", "3", "3", "EFAULT", "3"]
    steps = ["open:r", "read-over-edge:0:2:100", "lseek:0:0:cur", "read-over-edge:0:0:100", "read:0:9"]
    assert probe(*steps)[1:] == ["2 ab", "2", "EFAULT", "1 c"]


def test_sendfile(probe: Probe, cicv: r4l.VM) -> None:
    assert probe("open:rw", "write:0:hello", "open:r", "sendfile:1:99", "sendfile:1:99")[3:] == ["5 hello", "0"]
    assert cicv.run("cat /dev/cicv", check=True).stdout == "hello", "busybox's cat uses it"


def test_many_processes_read_and_write_and_none_sees_half_of_another(cicv: r4l.VM) -> None:
    one = "/tmp/probe open:rw torn:0:4096:1000:$letter"
    said = cicv.run(f"for letter in a b c d e f g h; do {one} & done; wait", check=True, timeout=120).stdout.split()
    assert said == ["0"] * 16, "one of open, one of what was torn, eight times"


def test_many_processes_append_and_nothing_is_lost(cicv: r4l.VM) -> None:
    """Some share an open file, whose offset has no lock."""
    record = "echo -n $letter$letter$letter$letter$letter$letter$letter$letter"
    each = f"for i in $(seq 32); do {record}; done"
    cicv.run(f"(for letter in a b c d e f g h; do {each} & done; wait) >>/dev/cicv", check=True)
    whole = cicv.run("cat /dev/cicv", check=True).stdout
    records = sorted(whole[at : at + 8] for at in range(0, len(whole), 8))
    assert records == sorted(letter * 8 for letter in "abcdefgh" for _ in range(32))
