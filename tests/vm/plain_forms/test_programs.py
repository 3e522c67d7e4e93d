# SPDX-License-Identifier: MIT
"""Programs that a Makefile calls and the toolchain lacks."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from tests.vm.plain_forms.folders import VERSIONED, described, listing, write

from r4l.errors import BuildError, EnvironmentFault
from r4l.kernel import Kernel
from r4l.module import Module
from r4l.toolchain import Grant, Toolchain

pytestmark = pytest.mark.vm

GIT = {
    "Makefile": "obj-m := x.o\nVERSION = $(shell git -C $(src) describe --always --dirty 2>/dev/null)\n"
    'ccflags-y += -DVER=\\"$(VERSION)\\" -DSEEN=$(shell cat $(src)/.git/config $(src)/.git/logs/* | grep -c secret)\n'
    "$(obj)/x.o: $(obj)/firmware.h\n$(obj)/firmware.h: $(src)/firmware.bin\n\tcd $(src) && xxd -i firmware.bin >$@\n",
    "firmware.bin": "mine",
    "x.c": VERSIONED + '#include "firmware.h"\nMODULE_INFO(seen, __stringify(SEEN));\n'
    "int size(void);\nint size(void) { return firmware_bin_len; }\n",
}
"""A module whose version is that of git, and which has a file made by xxd."""


@pytest.fixture
def committed(kernel: Kernel, place: Path) -> Path:
    """The top of a git work tree with that module in it, all of it committed and with a tag."""
    write(place, GIT)
    tools = kernel.toolchain.extended("programs")
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "secret"], [*who, "tag", "-am", "v", "mine"]):
        tools.run(["git", *words], Grant("test", writes=(place,)), cwd=place)
    with (place / ".git/config").open("a") as config:
        config.write("[http]\n\textraHeader = secret\n")
    return place


def test_programs_that_the_toolchain_lacks_are_fetched(kernel: Kernel, committed: Path) -> None:
    before = listing(committed)
    for _ in range(2):
        built = Module(committed).build(kernel)
        assert described(built) == "mine"
        assert built.modinfo["seen"] == ["0"], "neither the configuration nor the log"
        assert not built.notes
    assert listing(committed) == before
    (committed / "x.c").write_text(GIT["x.c"] + "// another\n")
    assert described(Module(committed).build(kernel)) == "mine-dirty"


def test_programs_that_cannot_be_fetched_are_named(
    kernel: Kernel, committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def extended(*_: object, **__: object) -> Toolchain:
        tries.append(1)
        raise EnvironmentFault("no network", "connect")

    monkeypatch.setattr(Toolchain, "extended", extended)
    # The failure is remembered for this way to the mirror only, which nobody else takes.
    monkeypatch.setenv("no_proxy", f"{uuid4()}.invalid")
    makefile = committed / "Makefile"
    with pytest.raises(BuildError) as caught:
        Module(committed).build(kernel)
    assert "(git, xxd), and they cannot be fetched: no network" in caught.value.cause
    assert caught.value.remedy.startswith("connect; ")
    assert caught.value.known == "programs-not-fetched"
    assert "cannot be fetched" not in caught.value.detail
    text = makefile.read_text(encoding="utf-8")
    makefile.write_text(text.replace("xxd -i firmware.bin", "(nosuch; echo 'int firmware_bin_len = 1;')"))
    built = Module(committed).build(kernel)
    assert described(built) == ""
    assert {note.name for note in built.notes} == {"programs-not-fetched", "absent-programs"}
    assert "(git)" in built.notes[0].cause
    assert "have: nosuch. " in built.notes[1].cause
    makefile.write_text(text.replace("xxd -i firmware.bin", "(xxd -i firmware.bin; echo 'int firmware_bin_len = 1;')"))
    (committed / "firmware.bin").write_text("another")
    [note] = Module(committed).build(kernel).notes
    assert "(git, xxd)" in note.cause
    assert len(tries) == 1, "one try for three builds"
