# SPDX-License-Identifier: MIT
"""Errors that no table knows, explained by the declarations of the kernel's headers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from r4l.known import Explanation
from r4l.module import cdrift
from r4l.module.headers import Headers

FOO = """#ifndef FOO_H
#define FOO_H
struct foo {
\tint (*open_now)(struct foo *foo, int mode);
\tstruct bar *bar;
};
extern int __must_check foo_start(struct foo *foo,\t/* the device */
\t\t\t\t  unsigned int flags);
void foo_stop(struct foo *foo);
int __foo_make(const char *name, void (*ready)(struct foo *));
#define foo_make(name, ...) \\
\t__foo_make(name, __VA_ARGS__)
#define foo_set(foo, \\
\t\tvalue) do { } while (0)
#ifdef CONFIG_FOO_EXTRA
void foo_extra(struct foo *foo);
#else
void foo_less(struct foo *foo);
#endif
#ifndef MODULE
void foo_inner(struct foo *foo);
#endif
#if FOO_LEVEL > 3
void foo_level(void);
#endif
enum foo_state {
\tFOO_STATE_ON = 1,
\tFOO_STATE_OFF,\t/* not on */
\tFOO_STATE_BOTH = (1 << 1)
};
__printf(2, 3) int foo_name(struct foo *foo, const char *format, ...);
struct foo_tag {
\tint x;
};
#ifdef CONFIG_FOO_TWICE
int foo_twice(struct foo *foo);
#else
static inline int foo_twice(struct foo *foo) { return 0; }
#endif
#ifdef CONFIG_FOO_EXTRA
struct foo *foo_both(int a);
#else
#define foo_both(a) NULL
#endif
struct foo_driver {
\tint (*begin)(struct foo *foo);	/* not
\t\t\t\t\t   const; */
\tconst char *label;
#ifdef CONFIG_FOO_EXTRA
\tint extra;
#endif
};
#endif
"""
USER = """#ifndef __KERNEL__
struct foo_user { int x; };
typedef long foo_user_t;
#endif
"""


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    source = tmp_path / "source"
    for name, text in (
        ("include/linux/foo.h", FOO),
        ("include/uapi/linux/foo.h", USER),
        ("include/linux/baz-internal.h", "int baz_inside(void);\n"),
        ("include/asm-generic/qux.h", "int qux_generic(void);\n"),
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    kernel = SimpleNamespace(source=source, release="9.9", config={"CONFIG_BAR": "y"})
    monkeypatch.setattr(cdrift, "headers_of", lambda _: Headers(source, "x86", "key"))
    return kernel


def told(text: str, kernel: Any) -> tuple[str, str, str]:
    why: Explanation | None = cdrift.guess(text.format(k=f"{kernel.source}/include/linux/foo.h"), kernel)
    return (why.name, why.cause, why.remedy) if why else ("", "", "")


START = "`int foo_start(struct foo *foo, unsigned int flags)` (the kernel's include/linux/foo.h:7)"


@pytest.mark.parametrize(
    "text",
    [
        "x.c:3:2: error: too few arguments to function ‘foo_start’\n    3 |  foo_start(f);\n"
        "{k}:7:12: note: declared here",
        "x.c:3:2: error: too few arguments to function call, expected 2, have 1\n    3 |  foo_start(f);\n"
        "{k}:7:12: note: 'foo_start' declared here",
    ],
    ids=["gcc", "clang"],
)
def test_a_call_is_told_by_the_kernels_declaration(text: str, kernel: Any) -> None:
    name, cause, remedy = told(text, kernel)
    assert (name, cause) == ("c-call", "`foo_start` is called with other arguments than Linux 9.9 declares")
    assert remedy == f"write the call as it is declared: {START}"


def test_a_macro_is_told_by_its_definition(kernel: Any) -> None:
    text = 'x.c:3:12: error: macro "foo_set" requires 2 arguments, but only 1 given\n    3 |  foo_set(f);\n'
    name, _, remedy = told(text + '{k}:13: note: macro "foo_set" defined here'.replace("13:", "13:9:"), kernel)
    assert (name, "`foo_set(foo, value)`" in remedy) == ("c-call", True)


@pytest.mark.parametrize(
    "text",
    [
        "x.c:3:2: error: passing argument 1 of ‘foo_start’ from incompatible pointer type\n    3 |  foo_start(b, 0);\n"
        "{k}:7:50: note: expected ‘struct foo *’ but argument is of type ‘struct bar *’",
        "x.c:3:2: error: incompatible pointer types passing 'struct bar *' to parameter of type 'struct foo *'\n"
        "    3 |  foo_start(b, 0);\n{k}:7:50: note: passing argument to parameter 'foo' here",
    ],
    ids=["gcc", "clang"],
)
def test_an_argument_is_told_with_both_types(text: str, kernel: Any) -> None:
    name, cause, remedy = told(text, kernel)
    assert name == "c-argument"
    assert cause == "`foo_start` of Linux 9.9 takes a `struct foo *` where the module gives a `struct bar *`"
    assert START in remedy


def test_inside_a_macro_of_the_kernels_the_macro_is_told(kernel: Any) -> None:
    text = (
        "{k}:12:2: error: too many arguments to function ‘__foo_make’\n   12 |  __foo_make(name, __VA_ARGS__)\n"
        "x.c:3:2: note: in expansion of macro ‘foo_make’\n    3 |  foo_make(n, r, 0);\n{k}:10:5: note: declared here"
    )
    assert told(text, kernel)[1].startswith("`foo_make` is called")


def test_an_argument_that_is_a_macro_is_not_taken_for_the_function(kernel: Any) -> None:
    text = (
        "{k}:11:9: error: passing argument 1 of ‘foo_start’ from incompatible pointer type\n   11 | #define x\n"
        "x.c:3:2: note: in expansion of macro ‘THIS_FOO’\n    3 |  foo_start(THIS_FOO, 0);\n"
        "{k}:7:50: note: expected ‘struct foo *’ but argument is of type ‘struct bar *’"
    )
    assert told(text, kernel)[1].startswith("`foo_start` of Linux")


@pytest.mark.parametrize(
    "text",
    [
        "x.c:3:6: error: void value not ignored as it ought to be\n    3 |  n = foo_stop(f);",
        "x.c:3:6: error: assigning to 'int' from incompatible type 'void'\n    3 |  n = foo_stop(f);",
    ],
)
def test_a_function_without_a_result(text: str, kernel: Any) -> None:
    name, cause, remedy = told(text, kernel)
    assert (name, cause) == ("c-result", "`foo_stop` of Linux 9.9 returns nothing")
    assert "`void foo_stop(struct foo *foo)` (the kernel's include/linux/foo.h:9)" in remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            "x.c:3:9: error: initialization of ‘int (*)(struct foo *, int)’ from incompatible pointer type "
            "‘int (*)(struct foo *)’ [-Wincompatible-pointer-types]\n    3 |  .open_now = f,",
            "give the function this type: `int open_now(struct foo *, int)`",
        ),
        (
            "x.c:3:9: error: incompatible function pointer types initializing 'int (*const)(struct foo *, int)' with "
            "an expression of type 'int (struct foo *)'\n    3 |  .open_now = f,",
            "give the function this type: `int open_now(struct foo *, int)`",
        ),
        (
            "x.c:3:9: error: assignment to ‘void (*)(struct foo *)’ from incompatible pointer type "
            "‘int (*)(struct foo *)’\n    3 |  f->close_now = g;",
            "let it return nothing: `void close_now(struct foo *)`",
        ),
        (
            "x.c:3:9: error: incompatible function pointer types assigning to 'void (*)(struct foo *)' from "
            "'int (struct foo *)'\n    3 |  f->close_now = g;",
            "let it return nothing: `void close_now(struct foo *)`",
        ),
    ],
    ids=["gcc", "clang", "gcc-void", "clang-void"],
)
def test_a_callback_is_told_with_the_type_to_write(text: str, remedy: str, kernel: Any) -> None:
    assert told(text, kernel)[0] == "c-callback"
    assert told(text, kernel)[2].startswith(remedy)


@pytest.mark.parametrize(
    "text",
    [
        "x.c:3:2: error: too few arguments to function ‘mine’\n    3 |  mine(f);\nx.c:1:12: note: declared here",
        "x.c:3:2: error: too few arguments to function ‘foo_start’\n    3 |  foo_start(f);\n"
        "x.c:1:12: note: declared here",
        "x.c:3:6: error: void value not ignored as it ought to be\n    3 |  n = mine(f);",
        "x.c:3:2: error: initialization of ‘struct foo *’ from incompatible pointer type ‘int *’\n    3 |  .x = f,",
        "x.c:3:2: error: expected ‘;’ before ‘}}’ token\n    3 |  foo_start(f)",
    ],
)
def test_what_is_the_modules_own_is_left_alone(text: str, kernel: Any) -> None:
    assert told(text, kernel) == ("", "", "")


def undeclared(name: str) -> str:
    return f"x.c:3:2: error: implicit declaration of function ‘{name}’\n    3 |  {name}();"


@pytest.mark.parametrize(
    ("name", "kind", "cause", "remedy"),
    [
        ("foo_stop", "c-include", "include/linux/foo.h:9 of Linux 9.9, which", "write `#include <linux/foo.h>`"),
        ("foo_name", "c-include", "include/linux/foo.h:31", "write `#include <linux/foo.h>`"),
        ("foo_extra", "c-hidden", "but only with CONFIG_FOO_EXTRA", "do without it"),
        (
            "foo_less",
            "c-include",
            "include/linux/foo.h:18",
            "a condition hides the name (`not #ifdef CONFIG_FOO_EXTRA`)",
        ),
        ("foo_twice", "c-include", "include/linux/foo.h:38", "write `#include <linux/foo.h>`"),
        ("foo_both", "c-include", "include/linux/foo.h:43", "write `#include <linux/foo.h>`"),
        ("foo_inner", "c-hidden", "but not for modules (`#ifndef MODULE`)", "do without it"),
        ("foo_level", "c-include", "include/linux/foo.h:24", "a condition hides the name (`#if FOO_LEVEL > 3`)"),
        ("FOO_STATE_OFF", "c-include", "include/linux/foo.h:28", "write `#include <linux/foo.h>`"),
        ("FOO_STATE_BOTH", "c-include", "include/linux/foo.h:29", "write `#include <linux/foo.h>`"),
        ("baz_inside", "c-include", "include/linux/baz-internal.h:1", "write `#include <linux/baz.h>`"),
        ("qux_generic", "c-include", "include/asm-generic/qux.h:1", "write `#include <asm/qux.h>`"),
        ("foo_user_t", "c-guess", "is not in the headers of Linux 9.9; they have ", "check whether"),
        ("foo_tag", "", "", ""),
    ],
)
def test_where_a_name_is_declared(name: str, kind: str, cause: str, remedy: str, kernel: Any) -> None:
    said = told(undeclared(name), kernel)
    assert said[0] == kind
    assert cause in said[1]
    assert remedy in said[2]


def test_a_struct_of_which_only_the_name_is_known(kernel: Any) -> None:
    name, cause, _ = told("x.c:3:2: error: invalid use of undefined type ‘struct foo_tag’\n    3 |  f->x = 0;", kernel)
    assert (name, "is defined in include/linux/foo.h:32 of Linux 9.9" in cause) == ("c-include", True)
    name, cause, _ = told(
        "x.c:3:2: error: incomplete definition of type 'struct foo_hidden'\n    3 |  f->a = 0;", kernel
    )
    assert (name, "no header of Linux 9.9 defines `struct foo_hidden`" in cause) == ("c-opaque", True)


@pytest.mark.parametrize("quoted", ["‘struct foo_driver’", "‘const struct foo_driver’"])
@pytest.mark.parametrize("member", ["begin", "label"])
def test_a_member_that_the_struct_has_is_behind_a_header(quoted: str, member: str, kernel: Any) -> None:
    """The compiler calls a member missing, too, where it knows only the struct's name."""
    said = told(f"x.c:3:2: error: {quoted} has no member named ‘{member}’\n    3 |  .{member} = f,", kernel)
    assert said[0] == "c-include"
    assert "`struct foo_driver` is defined in include/linux/foo.h:45 of Linux 9.9, which the file does not" in said[1]
    assert said[2] == "write `#include <linux/foo.h>`"


def test_a_member_that_an_option_hides(kernel: Any) -> None:
    name, cause, _ = told(
        "x.c:3:2: error: ‘struct foo_driver’ has no member named ‘extra’\n    3 |  d.extra = 1;", kernel
    )
    assert name == "c-hidden"
    assert cause.startswith("`extra` of `struct foo_driver` is in include/linux/foo.h:50 of Linux 9.9, but only with")
