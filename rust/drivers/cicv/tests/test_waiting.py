# SPDX-License-Identifier: MIT
"""Waiting on /dev/cicv: blocking reads, poll, signals; and the ioctl that enables it."""

from __future__ import annotations

from collections.abc import Callable

import r4l

Probe = Callable[..., list[str]]

ASLEEP = "until grep -q asleep /tmp/said && grep -q 'State:.S' /proc/$p/status; do :; done"
"""Condition: the process has announced its wait and sleeps, with no other system call in between."""


def meanwhile(vm: r4l.VM, steps: str, then: str) -> list[str]:
    """Run steps of which one waits, and a shell command during that wait (`$p` is the process); return the results."""
    script = f"/tmp/probe {steps} >/tmp/said & p=$!; {ASLEEP}; {then}; wait $p; cat /tmp/said"
    return vm.run(script).stdout.splitlines()


def test_a_read_that_follows_waits_for_the_next_bytes(cicv: r4l.VM) -> None:
    said = meanwhile(cicv, "open:r follow:0:1 say:asleep read:0:9 follow:0:0 read:0:9", "echo -n hello >/dev/cicv")
    assert said == ["0", "0", "asleep", "5 hello", "0", "0"]


def test_it_waits_at_its_own_offset(cicv: r4l.VM) -> None:
    """Bytes before that offset do not wake it."""
    steps = "open:rw write:0:abc follow:0:1 say:asleep read:0:9"
    said = meanwhile(cicv, steps, f"/tmp/probe open:w write:0:XY; {ASLEEP}; echo -n def >>/dev/cicv")
    assert said[-1] == "3 def"


def test_all_who_wait_are_woken_up(cicv: r4l.VM) -> None:
    one = "/tmp/probe open:r follow:0:1 say:asleep read:0:9 >/tmp/said$i"
    asleep = "until grep -q asleep /tmp/said$i && grep -q 'State:.S' /proc/$p/status; do :; done"
    start = f"for i in 1 2 3 4 5; do {one} & p=$!; {asleep}; done"
    said = cicv.run(f"{start}; echo -n hello >/dev/cicv; wait; cat /tmp/said*", check=True).stdout.splitlines()
    assert said == ["0", "0", "asleep", "5 hello"] * 5


def test_nonblocking_means_not_to_wait(probe: Probe) -> None:
    steps = ["open:rw+nonblock", "read:0:1", "follow:0:1", "read:0:1", "pwrite:0:0:ab", "read:0:9", "read:0:9"]
    assert probe(*steps)[1:] == ["0", "0", "EAGAIN", "2", "2 ab", "EAGAIN"]
    assert probe("open:r", "follow:0:1", "flags:0:nonblock", "lseek:0:0:end", "read:0:1")[-1] == "EAGAIN"


def test_where_no_byte_can_ever_be_nobody_waits(probe: Probe) -> None:
    assert probe("open:rw", "fill:0:4096", "follow:0:1", "read:0:1", "pread:0:1:9999")[3:] == ["0", "0"]


def test_sendfile_does_not_wait_with_the_pipes_lock(probe: Probe) -> None:
    """Otherwise every process at the other end of the pipe would block, even with O_NONBLOCK."""
    assert probe("open:rw", "write:0:abc", "open:r", "follow:1:1", "sendfile:1:99", "sendfile:1:9")[-2:] == [
        "3 abc",
        "EAGAIN",
    ]


def test_following_is_of_the_open_file_and_of_no_other(probe: Probe) -> None:
    assert probe("open:r", "open:r", "follow:0:1", "read:1:1")[-1] == "0"


def test_a_signal_interrupts_the_wait(cicv: r4l.VM) -> None:
    said = meanwhile(cicv, "catch:1 open:r follow:0:1 say:asleep read:0:9", "kill -USR1 $p")
    assert said == ["0", "0", "0", "asleep", "EINTR"]


def test_a_call_that_may_be_begun_anew_is(cicv: r4l.VM) -> None:
    """With SA_RESTART the process does not notice the signal, and still gets its bytes."""
    steps = "catch:0 open:r follow:0:1 say:asleep read:0:9"
    said = meanwhile(cicv, steps, f"kill -USR1 $p; {ASLEEP}; echo -n hello >/dev/cicv")
    assert said[-1] == "5 hello"


def test_who_waits_can_be_killed_and_has_no_hold_on_the_module(cicv: r4l.VM) -> None:
    said = meanwhile(cicv, "open:r follow:0:1 say:asleep read:0:9", "kill -9 $p")
    assert said == ["0", "0", "asleep"]
    cicv.rmmod("cicv")


def test_poll_says_what_can_be_done(probe: Probe) -> None:
    steps = ["open:rw", "poll:0:0", "write:0:abc", "poll:0:0", "lseek:0:0:set", "poll:0:0", "fill:0:4096", "poll:0:0"]
    assert probe(*steps)[1:] == ["out", "3", "out", "0", "in out", "4096", "none"]
    steps = ["open:r", "poll:0:0", "open:w+append", "poll:1:0", "clear:1", "poll:1:0", "poll:0:0"]
    assert probe(*steps)[1:] == ["in out", "0", "in", "0", "out", "out"]


def test_poll_waits_for_room(cicv: r4l.VM) -> None:
    said = meanwhile(cicv, "open:rw+append fill:0:4096 say:asleep poll:0:-1", "/tmp/probe open:w clear:0")
    assert said[-1] == "out"


def test_poll_waits_for_bytes(cicv: r4l.VM) -> None:
    said = meanwhile(cicv, "open:r say:asleep poll:0:-1:in read:0:9", "echo -n hello >/dev/cicv")
    assert said[-2:] == ["in", "5 hello"]


def test_poll_comes_to_its_end_without_bytes(probe: Probe) -> None:
    assert probe("open:rw", "fill:0:4096", "poll:0:1")[-1] == "none"


def test_ioctl(probe: Probe) -> None:
    steps = ["open:rw", "size:0", "capacity:0", "write:0:hello", "size:0", "clear:0", "size:0", "lseek:0:0:cur"]
    assert probe(*steps)[1:] == ["0", "4096", "5", "5", "0", "0", "5"]


def test_an_ioctl_that_is_not_the_devices(probe: Probe) -> None:
    tcgets, other_number, other_size = 0x5401, 0xC17F, 0x8004C101
    steps = [f"ioctl:0:{number}" for number in (tcgets, other_number, other_size)]
    assert probe("open:rw", *steps)[1:] == ["ENOTTY"] * 3


def test_an_ioctl_with_memory_that_is_not_there(probe: Probe) -> None:
    size, follow = 0x8008C101, 0x4004C103
    assert probe("open:rw", f"ioctl:0:{size}", f"ioctl:0:{follow}", "read:0:1")[1:] == ["EFAULT", "EFAULT", "0"]
