# SPDX-License-Identifier: MIT
"""The rewriter of `r4l graft --series`, piece by piece."""

from __future__ import annotations

import pytest

from r4l.errors import UsageError
from r4l.graft.series import helpers, items, rewrite, tree, uses, wrap
from r4l.graft.series.rewrite import Call, Edit, RewriteRules

RULES = RewriteRules(
    modules={"net": "net::netdev", "skb": "net::skbuff", "bindings": "bindings", "dma::read": "io_read", "say": "say"},
    calls={
        "barrier::rmb": Call("sync::barrier", "barrier::dma_mb(barrier::Read)"),
        "dma::address": Call("", "{0}.dma_address()"),
        "param::value": Call("", "{0}.value()"),
    },
    constants={"PAD": "usize", "BITS": "u32", "SHIFT": "any", "FEATURE": "u64"},
    words={"the kit": "the crate"},
)


def of_kit(code: str) -> str:
    return rewrite.rewrite(code, "a.rs", RULES, of_kit=True)


def of_driver(code: str) -> str:
    return rewrite.rewrite(code, "a.rs", RULES, of_kit=False)


def test_imports_of_a_driver_are_merged_into_those_of_the_kernel() -> None:
    code = """use crate::hw::Hw;
use kernel::{
    pci,
    prelude::*, //
};
use kit::{
    net::{
        self,
        Poll, //
    },
    say,
    skb::Skb, //
};

fn f(x: net::Device, y: kit::skb::Skb) {
    say!();
}
"""
    assert (
        of_driver(code)
        == """use crate::hw::Hw;
use kernel::{
    net::{
        netdev::{
            self,
            Poll, //
        },
        skbuff::Skb, //
    },
    pci,
    prelude::*,
    say, //
};

fn f(x: netdev::Device, y: kernel::net::skbuff::Skb) {
    say!();
}
"""
    )


def test_the_kit_becomes_a_part_of_the_crate() -> None:
    code = """use super::a::B;
pub(crate) use crate::skb::Skb;
use crate::{
    bindings,
    bindings::layout, //
};
use core::ptr;
use kernel::bindings::list_head;

/// [`Skb`](crate::skb::Skb) of the kit.
fn f() -> kernel::error::Result {}
macro_rules! m {
    () => { $crate::net::f(::kernel::prelude::g!()) };
}
"""
    assert (
        of_kit(code)
        == """use super::a::B;
pub(crate) use crate::net::skbuff::Skb;
use crate::bindings::{
    self,
    list_head, //
};
use core::ptr;

/// [`Skb`](crate::net::skbuff::Skb) of the crate.
fn f() -> crate::error::Result {}
macro_rules! m {
    () => { $crate::net::netdev::f($crate::prelude::g!()) };
}
"""
    )


def test_functions_that_the_kernel_has_in_another_form() -> None:
    code = """use kit::{
    barrier::rmb,
    dma::{
        address,
        read, //
    }, //
};

fn f() {
    rmb();
    x.rmb();
    address(&self.0);
    read!(a);
}
"""
    assert (
        of_driver(code)
        == """use kernel::{
    io_read,
    sync::barrier, //
};

fn f() {
    barrier::dma_mb(barrier::Read);
    x.rmb();
    self.0.dma_address();
    io_read!(a);
}
"""
    )
    module = "use kit::{\n    param,\n    say, //\n};\n\nlet x = param::value(&module_parameters::debug);\n"
    assert of_driver(module) == "use kernel::say;\n\nlet x = module_parameters::debug.value();\n"
    with pytest.raises(UsageError, match=r"address\(find\(a\)\) is not understood"):
        of_driver("use kit::dma::address;\n\nfn f() {\n    address(find(a));\n}\n")


def test_constants_of_the_layout_are_bindings() -> None:
    code = "use crate::bindings::layout;\n\nf(layout::PAD, layout::BITS, layout::BITS as u32, 1 << layout::SHIFT);\n"
    assert of_kit(code) == "\nf(bindings::PAD, bindings::BITS as usize, bindings::BITS, 1 << bindings::SHIFT);\n"
    assert of_kit("layout::FEATURE as u64; layout::PAD as u32\n") == "bindings::FEATURE; bindings::PAD as u32\n"
    with pytest.raises(UsageError, match="OTHER"):
        of_kit("layout::OTHER\n")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("use kit::virt::Virtual;\n", "kit::virt::Virtual has no place"),
        ("fn f(x: kit::virt::Virtual) {}\n", "kit::virt::Virtual has no place"),
        ("// It belongs to a kit.\n", "would still name the kit"),
        ('c"r4l_e1000"\n', "would still name the kit"),
        ("#[cfg(linux_7_4)]\n", "would still name the kit"),
        ("use kit::{\n    // why\n    net::Poll,\n};\n", "not understood"),
    ],
)
def test_the_rewriter_refuses_what_it_does_not_know(code: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        of_driver(code)


def test_an_edit_has_to_fit_once() -> None:
    rules = RewriteRules(modules={}, edits=(Edit("a.rs", "one", "two"), Edit("b.rs", "one", "three")))
    assert rewrite.rewrite("one\n", "a.rs", rules, of_kit=True) == "two\n"
    for code, count in (("no\n", 0), ("one one\n", 2)):
        with pytest.raises(UsageError, match=f"a.rs has {count} times the text 'one'"):
            rewrite.rewrite(code, "a.rs", rules, of_kit=True)


def test_suites_keep_their_tests_under_the_kernels_name() -> None:
    code = "#[cfg(r4l_kunit)]\n#[kunit_tests(kit_spsc)]\nmod tests {\n    use super::*;\n}\n"
    assert of_kit(code) == "#[macros::kunit_tests(rust_spsc)]\nmod tests {\n    use super::*;\n}\n"
    assert of_driver(code.replace("kit_", "nic_")).startswith("#[kunit_tests(nic_spsc)]\n")


ITEMS = """impl A {
    /// First.
    pub fn first(&self) -> u32 {
        0
    }

    /// Second.
    ///
    #[inline]
    pub(crate) unsafe fn second(
        self,
    ) -> u32 {
        0
    }

    const LAST: u32 = 0;
}

/// Other.
impl Drop for A {
    fn drop(&mut self) {}
}
"""


def test_items_are_left_out_with_all_that_is_theirs() -> None:
    left = items.without(ITEMS, ["fn first", "const LAST", "impl Drop for A"], "a.rs")
    assert left.rstrip() == (
        "impl A {\n    /// Second.\n    ///\n    #[inline]\n    pub(crate) unsafe fn second(\n        self,\n"
        "    ) -> u32 {\n        0\n    }\n}"
    )
    assert "Second" not in items.without(ITEMS, ["fn second"], "a.rs")
    assert "fn first" in items.without(ITEMS, ["fn second"], "a.rs")
    with pytest.raises(UsageError, match="0 items"):
        items.without(ITEMS, ["fn fir"], "a.rs")


PARTS = """use a::{
    b,
    c::{
        D, //
    }, //
};

/// | one |
/// | two |
unsafe extern "C" fn f() {
    // Why.
    g(1);
    h(2);
}
"""


@pytest.mark.parametrize(
    ("name", "lines"),
    [("/// | one |", [7]), ("g(", [10, 11]), ("D,", [3]), ("c::{", [2, 3, 4]), ("fn f", range(6, 14))],
)
def test_lines_of_comments_statements_and_entries_are_items(name: str, lines: list[int]) -> None:
    kept = [line for at, line in enumerate(PARTS.splitlines()) if at not in lines]
    assert items.without(PARTS, [name], "a.rs").rstrip().splitlines() == kept


def test_wide_comments_are_broken_within_their_paragraph() -> None:
    long = "word " * 19 + "wordy"
    assert wrap.wrapped(f"/// {long} last\n/// next.\n") == f"/// {long[:-6]}\n/// wordy last next.\n"
    assert wrap.wrapped(f"    // {long} last\n    code();\n").endswith("\n    // word wordy last\n    code();\n")
    assert wrap.wrapped(f"/// - {long}x last\n/// - next\n").endswith("\n///   wordyx last\n/// - next\n")
    table = f"/// | {long} | {long} |\n"
    assert wrap.wrapped(table) == table
    assert max(map(len, wrap.wrapped(f"// {long * 4}\n").splitlines())) <= 100


def test_imports_are_ordered_as_rustfmt_does() -> None:
    code = "use a::{Z_Z, B, c, self, *, Dd as _};\n"
    assert uses.rewrite(code, lambda leaf: [leaf], "a.rs") == (
        "use a::{\n    self,\n    c,\n    B,\n    Dd as _,\n    Z_Z,\n    *, //\n};\n"
    )


HELPERS = """// SPDX-License-Identifier: GPL-2.0-only
/* All. */

#include "bindings.h"

void kit_helper_a(struct device *dev)
{
\ta(dev);
}

/* Why. */
struct sk_buff *kit_helper_skb_of_a_long_name(struct napi_struct *napi, unsigned int len,
\t\t\t\t   int (*poll)(struct napi_struct *, int))
{
\treturn 0;
}
"""


def test_helpers_get_the_kernels_form() -> None:
    found = helpers.read(HELPERS)
    assert found["a"].text == "__rust_helper void rust_helper_a(struct device *dev)\n{\n\ta(dev);\n}\n"
    assert found["skb_of_a_long_name"].text.startswith(
        "/* Why. */\n__rust_helper\n"
        "struct sk_buff *rust_helper_skb_of_a_long_name(struct napi_struct *napi,\n"
        "\t\t\t\t\t       unsigned int len,\n"
        "\t\t\t\t\t       int (*poll)(struct napi_struct *, int))\n{\n"
    )
    with pytest.raises(UsageError, match="int x"):
        helpers.read(HELPERS + "int x;\n")


def test_lines_find_their_place_in_the_trees_lists() -> None:
    headers = "#include <linux/first.h>\n\n#include <drm/drm.h>\n#include <linux/a.h>\n#include <linux/z.h>\n\nint x;\n"
    assert tree.insert(headers, "#include <linux/m.h>", "f").splitlines()[3:6] == [
        "#include <linux/a.h>",
        "#include <linux/m.h>",
        "#include <linux/z.h>",
    ]
    modules = "pub mod b;\n#[cfg(X)]\npub mod d;\npub mod e;\n"
    assert tree.insert(modules, "pub mod c;", "f") == "pub mod b;\npub mod c;\n#[cfg(X)]\npub mod d;\npub mod e;\n"
    assert tree.insert(modules, "pub mod f;", "f").endswith("pub mod e;\npub mod f;\n")
    with pytest.raises(UsageError, match="has no line like"):
        tree.insert("int x;\n", "pub mod c;", "f")


def test_maintainers_are_added_at_their_place() -> None:
    text = "Maintainers List\n----\n\n3C59X NETWORK DRIVER\nM:\tA <a@b>\nF:\ta.c\n\nZ\nF:\tz.c\n\nTHE REST\nF:\t*\n"
    once = tree.maintain(text, "NET [RUST]", ["M:\tB <b@c>"], ["b.rs"])
    assert "F:\ta.c\n\nNET [RUST]\nM:\tB <b@c>\nF:\tb.rs\n\nZ\nF:" in once
    # Titles are compared in capitals, and some stand at a wrong place.
    kernels = text.replace("Z\nF:", "TASK\nF:\tt.c\n\nmem\nF:\tm.c\n\nZ\nF:")
    assert "F:\tm.c\n\nNET [RUST]\nM:" in tree.maintain(kernels, "NET [RUST]", ["M:\tB <b@c>"], ["b.rs"])
    assert "----\n\n2 FIRST\nM:" in tree.maintain(kernels, "2 FIRST", ["M:\tB <b@c>"], ["b.rs"])
    twice = tree.maintain(once, "NET [RUST]", ["M:\tB <b@c>"], ["a.rs"])
    assert "NET [RUST]\nM:\tB <b@c>\nF:\ta.rs\nF:\tb.rs\n\nZ\n" in twice
