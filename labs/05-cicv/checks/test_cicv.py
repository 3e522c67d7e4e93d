# SPDX-License-Identifier: MIT
"""Lab 5. The data are drawn at random each time; dd reports how many bytes the driver accepted."""

from __future__ import annotations

import random
import re
import secrets

import pytest

import r4l
from r4l.camp.labs import Missed, see
from r4l.errors import R4LError
from r4l.testing import LeakFound, Leaks

DRAW = random.SystemRandom()
DEVICE = "/dev/cicv"
CAPACITY = 4096
ZEROS = "(zeros)"


@pytest.fixture
def loaded(vm: r4l.VM, module: r4l.BuiltModule) -> r4l.VM:
    vm.insmod(module)
    return vm


def text(length: int) -> str:
    return secrets.token_hex(length)[:length]


def run(vm: r4l.VM, command: str) -> r4l.Completed:
    """Run a command that must end quickly."""
    try:
        return vm.run(command, timeout=10)
    except R4LError as error:
        raise Missed(command, error.cause, "it ends, and the kernel has nothing to complain about") from None


def write(vm: r4l.VM, data: str, *, where: str = ">") -> None:
    done = run(vm, f"printf %s {data} {where}{DEVICE}")
    see(f"printf {len(data)} bytes {where}{DEVICE}", done.stderr.strip() or "no error", "no error")


def read(vm: r4l.VM, how: str = f"cat {DEVICE}") -> str:
    done = run(vm, how)
    see(how, done.stderr.strip() or "no error", "no error")
    return done.stdout


def dd(vm: r4l.VM, arguments: str) -> tuple[str, str]:
    """Return dd's output and report: full and partial blocks, the error."""
    done = run(vm, f"dd {arguments}")
    records = re.findall(r"(\d+\+\d+) records", done.stderr)
    errors = [line for line in done.stderr.splitlines() if "records" not in line and "copied" not in line]
    return done.stdout, " ".join([*records[:1], *errors])


@pytest.mark.checkpoint("loads")
def test_loads(loaded: r4l.VM) -> None:
    majors = dict(re.findall(r"^ *(\d+) (\S+)$", loaded.run("sed '/^Block/,$d' /proc/devices").stdout, re.MULTILINE))
    mine = [number for number, name in majors.items() if name == "cicv"]
    see("numbers of cicv in /proc/devices", len(mine), 1)
    node = loaded.run(f"stat -c '%F %t' {DEVICE}").stdout.split()
    see(f"{DEVICE}, from stat", " ".join(node[:-1]) or "it is not there", "character special file")
    see(f"the major number of {DEVICE}", int(node[-1], 16), int(mine[0]))


@pytest.mark.checkpoint("hello")
def test_hello(loaded: r4l.VM) -> None:
    run(loaded, f"echo hello >{DEVICE}")
    see(f"head -c6 {DEVICE} after echo hello", read(loaded, f"head -c6 {DEVICE}"), "hello\n")
    data = text(DRAW.randrange(20, 200))
    write(loaded, data)
    see(f"{DEVICE} after another text was written with >", read(loaded), data)


@pytest.mark.checkpoint("partial")
def test_partial(loaded: r4l.VM) -> None:
    size = DRAW.randrange(2, 9)
    full, rest = DRAW.randrange(20, 40), DRAW.randrange(1, size)
    # The last read is a short one, always.
    data = text(size * full + rest)
    write(loaded, data)
    seen, records = dd(loaded, f"if={DEVICE} bs={size}")
    see(f"what reads of {size} bytes give, one after the other", seen, data)
    see(f"reads of {size} bytes: full and short ones, of {len(data)} bytes", records, f"{full}+1")
    seen, records = dd(loaded, f"if={DEVICE} bs=4000 count=1")
    what = f"one read of 4000 bytes where there are {len(data)}: short, with {len(data)} bytes (0+1)"
    see(what, f"{len(seen)} bytes ({records})", f"{len(data)} bytes (0+1)")


@pytest.mark.checkpoint("ends")
def test_ends(loaded: r4l.VM) -> None:
    data = text(50)
    write(loaded, data)
    see("cat, which reads until a read returns 0", read(loaded), data)
    for place in (50, 51, 1000, CAPACITY):
        seen, records = dd(loaded, f"if={DEVICE} bs=1 skip={place} count=1")
        see(f"a read at offset {place} where there are 50 bytes", f"{len(seen)} bytes ({records})", "0 bytes (0+0)")


@pytest.mark.checkpoint("capacity")
def test_capacity(loaded: r4l.VM) -> None:
    start = CAPACITY - DRAW.randrange(10, 90)
    seen = dd(loaded, f"if=/dev/zero of={DEVICE} bs=1000 seek={start} oflag=seek_bytes count=1")[1]
    wanted = "0+1 or 1+0, then No space left on device"
    see(f"a write of 1000 bytes at offset {start} of {CAPACITY}", seen, wanted, "No space left" in seen)
    see("bytes in the device after that", int(read(loaded, f"cat {DEVICE} | wc -c")), CAPACITY)
    seen = dd(loaded, f"if=/dev/zero of={DEVICE} bs=1 seek={CAPACITY} count=1")[1]
    see(
        f"a write at offset {CAPACITY}, where there is no room",
        seen,
        "No space left on device",
        "No space left" in seen,
    )
    whole = text(CAPACITY)
    loaded.put(whole.encode(), "/tmp/whole")
    see("a write of the whole capacity", run(loaded, f"cat /tmp/whole >{DEVICE}").stderr.strip(), "")
    see("what is there then", read(loaded) == whole, True)


@pytest.mark.checkpoint("offset")
def test_offset(loaded: r4l.VM) -> None:
    data, middle = text(60), text(7)
    write(loaded, data)
    loaded.run(f"printf %s {middle} | dd of={DEVICE} bs=1 seek=20 conv=notrunc")
    see("after a write of 7 bytes at offset 20", read(loaded), data[:20] + middle + data[27:])
    # The old bytes still lie where the gap is.
    write(loaded, "ab")
    loaded.run(f"printf %s {middle} | dd of={DEVICE} bs=1 seek=40 conv=notrunc")
    seen = run(loaded, f"cat {DEVICE} | tr '\\000' .").stdout
    see("after a write at offset 40 where there were 2 bytes (a dot is a zero)", seen, "ab" + "." * 38 + middle)


@pytest.mark.checkpoint("append")
def test_append(loaded: r4l.VM) -> None:
    parts = [text(DRAW.randrange(5, 20)) for _ in range(4)]
    write(loaded, parts[0])
    for part in parts[1:]:
        write(loaded, part, where=">>")
    see("after one > and three >>", read(loaded), "".join(parts))
    # Two open files, each with an offset of its own.
    run(loaded, f"exec 3>>{DEVICE} 4>>{DEVICE}; printf x >&3; printf y >&4; printf z >&3")
    see("after two open files wrote in turn, both appending", read(loaded)[-3:], "xyz")


@pytest.mark.checkpoint("together")
def test_together(loaded: r4l.VM) -> None:
    writers, times, size = 4, 8, 100
    letters = "abcd"[:writers]
    script = "; ".join(
        f"(for i in $(seq {times}); do printf {letter * size} >>{DEVICE}; done) &" for letter in letters
    ).replace("&;", "&")
    watch = f"for i in $(seq 20); do cat {DEVICE} >/dev/null; done"
    run(loaded, f"printf '' >{DEVICE}; {script} {watch}; wait")
    seen = read(loaded)
    pieces = sorted(seen[start : start + size] for start in range(0, len(seen), size))
    wanted = sorted(letter * size for letter in letters for _ in range(times))
    what = f"{writers} writers, {times} writes of {size} bytes each, appended at once"
    torn = f"{len(seen)} bytes, {sum(len(set(piece)) > 1 for piece in pieces)} writes torn"
    see(what, torn, f"{len(''.join(wanted))} bytes, 0 writes torn", pieces == wanted)


@pytest.mark.checkpoint("unload")
def test_unload(vm: r4l.VM, module: r4l.BuiltModule, leaks: Leaks) -> None:
    try:
        with leaks():
            vm.insmod(module)
            refused = vm.run(f"exec 3<{DEVICE}; rmmod cicv").stderr.strip()
            wanted = "Resource temporarily unavailable"
            see("rmmod while the device is open", refused or "it is unloaded", wanted, wanted in refused)
            vm.rmmod("cicv")
            see(f"{DEVICE} after rmmod", vm.run(f"test -e {DEVICE}").exit_code != 0, True)
            vm.insmod(module)
            write(vm, "again")
            see("after it was loaded again", read(vm), "again")
            vm.rmmod("cicv")
    except LeakFound as error:
        raise Missed("what is left after rmmod", error.cause, "nothing") from None
