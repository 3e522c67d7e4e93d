# SPDX-License-Identifier: MIT
"""v0 names. The expected paths of the first group are rustc-demangle's and llvm-cxxfilt's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r4l.klog.demangle import demangle, demangle_text
from r4l.klog.demangle.cursor import OUTPUT_LIMIT

KNOWN = {
    "_RNvC6_123foo3bar": "123foo::bar",
    "_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y": "utf8_idents::საჭმელად_გემრიელი_სადილი",
    "_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_": "cc::spawn::{closure#0}::{closure#0}",
    "_RINbNbCskIICzLVDPPb_5alloc5alloc8box_freeDINbNiB4_5boxed5FnBoxuEp6OutputuEL_ECs1iopQbuBiw2_3std": (
        "alloc::alloc::box_free::<dyn alloc::boxed::FnBox<(), Output = ()>>"
    ),
    "_RMC0INtC8arrayvec8ArrayVechKj7b_E": "<arrayvec::ArrayVec<u8, 123>>",
    "_RMCs4fqI2P2rA04_13const_genericINtB0_6SignedKanb_E": "<const_generic::Signed<-11>>",
    "_RMCs4fqI2P2rA04_13const_genericINtB0_4BoolKb0_E": "<const_generic::Bool<false>>",
    "_RMCs4fqI2P2rA04_13const_genericINtB0_4CharKc76_E": "<const_generic::Char<'v'>>",
    "_RNvXs0_NtCsb5MLIFMWygY_6kernel3fmtINtB5_7AdapterRRNtNtNtCs2lKf6AS60Zg_4core5panic10panic_info9PanicInfoENtNtBS_3fmt"
    "7Display3fmtB7_": (
        "<kernel::fmt::Adapter<&&core::panic::panic_info::PanicInfo> as core::fmt::Display>::fmt"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("symbol", "path"), KNOWN.items())
def test_known_names(symbol: str, path: str) -> None:
    assert demangle(symbol) == path


def test_what_is_no_v0_name_stays_as_it_is() -> None:
    for name in (
        "e1000_probe",
        "_R",
        "_Rx",
        "_RNvC6_123foo",
        "_ZN4core3fmt5WriteE",
        "_RNvC999999_a",
        "_RB_",
        "_RNvB_3bar",
    ):
        assert demangle(name) == name


def test_llvm_suffixes_are_dropped() -> None:
    assert demangle("_RNvC6_123foo3bar.llvm.1234") == "123foo::bar"


def test_names_are_found_inside_of_lines() -> None:
    line = " ? __pfx__RNvC6_123foo3bar+0x10/0x10 [hello]"
    assert demangle_text(line) == " ? __pfx_123foo::bar+0x10/0x10 [hello]"


def test_a_name_that_grows_without_bound_is_refused() -> None:
    # Each tuple names the one before it twice: 2^30 words, were it followed.
    bomb = "_RINvC1a1fTuuE" + "".join(f"TB{reference}_B{reference}_E" for reference in "7cflqvA") * 5 + "E"
    shown = demangle(bomb)
    assert len(shown) <= max(OUTPUT_LIMIT, len(bomb))


@given(st.text("_RNvCsMXYIBTKLEuabchj0123456789pn", max_size=60))
def test_any_bytes_give_some_text(noise: str) -> None:
    assert isinstance(demangle("_R" + noise), str)
