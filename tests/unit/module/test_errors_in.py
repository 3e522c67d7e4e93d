# SPDX-License-Identifier: MIT
"""Make's output cut into errors, each with its notes."""

from __future__ import annotations

from r4l.module.diagnose import absent_programs
from r4l.module.errors_in import errors_in, with_notes

OUTPUT = """make: Entering directory '/kdir'
  CC [M]  a.o
In file included from a.c:1:
a.c: In function 'f':
a.c:3:2: error: too many arguments to function 'g'
    3 |  g(1);
In file included from a.c:1:
/k/g.h:9:5: note: declared here
    9 | void g(void);
a.c:4:2: warning: unused variable 'x'
    4 |  int x;
In file included from a.c:2:
/k/h.h:7:2: error: 'h' undeclared
    7 | h
a.c:8:1: note: in expansion of macro 'H'
    8 | H(x);
make[3]: *** [a.o] Error 1
  RUSTC [M] b.o
error[E0425]: cannot find value `x` in this scope
 --> b.rs:9:5
  |
9 |     x

error: aborting due to 1 previous error

For more information about this error, try `rustc --explain E0425`.
ERROR: modpost: "z" [c.ko] undefined!
make: Leaving directory '/kdir'
"""


def test_each_error_has_its_notes_and_nothing_else() -> None:
    first, second, third, fourth = errors_in(OUTPUT)
    assert first.text.splitlines()[0] == "a.c:3:2: error: too many arguments to function 'g'"
    assert first.text.splitlines()[-1] == "    9 | void g(void);"
    assert second.text.splitlines()[-1] == "    8 | H(x);"
    assert third.text == "error[E0425]: cannot find value `x` in this scope\n --> b.rs:9:5\n  |\n9 |     x"
    assert fourth.text == 'ERROR: modpost: "z" [c.ko] undefined!'
    for error in (first, second, third, fourth):
        assert OUTPUT[error.start : error.end] == error.text


def test_a_place_is_the_modules_line_also_where_a_macro_of_the_kernels_is_named_first() -> None:
    assert [error.place for error in errors_in(OUTPUT)] == ["a.c:3", "a.c:8", "b.rs:9", ""]


def test_notes_stand_under_their_error() -> None:
    told = with_notes(OUTPUT, errors_in(OUTPUT), lambda error: "  why: it" if error.place == "b.rs:9" else "")
    assert "9 |     x\n  why: it\n\nerror: aborting" in told
    assert told.replace("  why: it\n", "") == OUTPUT


def test_no_error() -> None:
    assert errors_in("  CC [M]  a.o\nx.c:1:1: warning: y\n") == []


def test_programs_that_make_and_its_shells_did_not_find() -> None:
    output = """\
make: xxd2: No such file or directory
make[2]: xxd2: No such file or directory
/bin/sh: 1: git-lfs: not found
./version.sh: 3: hexdumper: not found
/bin/bash: line 1: g++: command not found
Makefile:3: rules.mk: No such file or directory
cat: VERSION: No such file or directory
./x.sh: line 2: VERSION: No such file or directory
sh: 1: ./gen: not found
x.c:1:1: error: x: not found
make[1]: *** [Makefile:2: all] Error 127
"""
    assert absent_programs(output) == ["xxd2", "git-lfs", "hexdumper", "g++"]
