# SPDX-License-Identifier: MIT
"""Rust of another month: complete drivers from that time, compiled in one run of make and explained."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from r4l.errors import BuildError
from r4l.kernel import Kernel
from r4l.known import Explanation
from r4l.module import Module
from r4l.module.diagnose import diagnose

FIXTURES = Path(__file__).parents[1] / "fixtures/drift/rust"
TOLD = {
    "pci_617": [
        ("macro-tokens", "leave the second name out"),
        ("trait-method-type", "(rust/kernel/pci.rs:"),
        ("trait-method-type", "id_info: Option<&'bound Self::IdInfo>"),
        ("trait-item-missing", "type Data<'bound> = Self;"),
    ],
    "pci_618": [("lifetime-missing", "DevresBar<SIZE>"), ("trait-item-missing", "(rust/kernel/pci.rs:")],
    "pci_new": [("argument-type", "`pci::Vendor::REDHAT`"), ("trait-method-type", "write `type Data<'bound> = Self;`")],
    "plat": [("macro-tokens", "of_device_table!"), ("trait-item-missing", "(rust/kernel/platform.rs:")],
    "misc": [
        ("trait-method-parameters", "`open` of the trait `MiscDevice`"),
        ("trait-method-parameters", "_misc: &Misc"),
    ],
    "uslice": [("argument-type", "UserPtr::from_addr(address)")],
    "inlinec": [
        ("inline-c", "`pci_enable_msix_exact`: in include/linux/pci.h:"),
        ("inline-c", "`kmalloc`: in include/linux/slab.h:"),
        ("inline-c", "`no_such_function_at_all`: the headers"),
    ],
    "barebind": [("kernels-crate", "`use kernel::bindings;`")],
    "lastcomma": [("module-macro-comma", "the last one too")],
    "mutexinit": [("path-unknown", "new_mutex!(value)"), ("macro-unknown", "new_mutex!(value)")],
    "miscmod": [("path-unknown", "MiscDeviceRegistration")],
    "miscmod2": [("macro-unknown", "MiscDeviceRegistration")],
    "camp": [
        ("path-unknown", "`kernel::pci::Resource`"),
        ("path-unknown", "`kernel::device::RawDevice`"),
        ("path-unknown", "`kernel::dma::Allocation`"),
        ("path-unknown", "`kernel::delay`"),
        ("path-unknown", "rust/kit/README.md"),
    ],
    "pci_result": [("trait-bound", "`Ok(Self { … })` or `try_pin_init!(Self { … })`")],
    "plat_result": [
        ("macro-tokens", "`(TABLE, <T as Driver>::IdInfo, [(id, info)])`"),
        ("trait-bound", "(rust/kernel/platform.rs:"),
    ],
    "pci_alias": [
        ("trait-method-type", "(rust/kernel/pci.rs:"),
        ("trait-item-missing", "without `Data`, `ID_TABLE`"),
        ("trait-item-missing", "`const ID_TABLE: IdTable<Self::IdInfo>` (rust/kernel/pci.rs:"),
    ],
    "aliases": [
        ("path-unknown", "`kernel::debugfs::Directory`"),
        ("path-unknown", "`kernel::pci::Resource`"),
        ("trait-item-missing", "a trait `kernel::pci::Driver` without `Data`, `ID_TABLE`"),
        ("trait-item-missing", "(rust/kernel/i2c.rs:"),
        ("trait-item-missing", "(rust/kernel/platform.rs:"),
        ("trait-item-unknown", "a trait `i2c::Driver` with `remove`"),
        ("trait-item-unknown", "a trait `kernel::pci::Driver` with `Context`"),
    ],
    "pci_methods": [
        ("method-unknown", "`into_devres()`"),
        ("method-unknown", "pci::IrqTypes::all())?.index(0)?"),
        ("method-unknown", "`resource_len(bar)`"),
        ("method-unknown", "`enable_device_mem()`"),
        ("method-unknown", "(rust/kernel/pci.rs:"),
    ],
    "pci_io": [
        ("method-unknown", "`read32`"),
        ("trait-not-in-scope", "write `use kernel::io::Io;`"),
        ("value-type", "`pci::Vendor::REDHAT`"),
        ("value-type", "`as_raw()` gives the number"),
    ],
    "pci_bar": [("lifetime-missing", "DevresBar<SIZE>"), ("macro-unknown", 'c"…"'), ("path-unknown", "sync::aref")],
    "auxiliary": [
        ("macro-tokens", "`auxiliary_device_table!`"),
        ("macro-tokens", "leave the second name out"),
        ("trait-item-missing", "(rust/kernel/auxiliary.rs:"),
        ("generics-missing", "pub struct Registration<'a, F: ForLt + 'static>"),
        ("call-arguments", "data: impl PinInit<"),
    ],
    "i2c": [("macro-tokens", "`i2c_device_table!`"), ("trait-item-missing", "(rust/kernel/i2c.rs:")],
    "usb": [
        ("path-not-configured", "`kernel::usb` is part of Linux"),
        ("path-not-configured", 'CONFIG_USB = "y"; here CONFIG_USB is m'),
        ("path-not-configured", "`kernel::module_usb_driver`"),
    ],
    "drm": [("path-not-configured", "CONFIG_DRM")],
    "misc_options": [
        ("struct-fields", "with the field `minor`"),
        ("struct-fields", "with the field `label`"),
        ("struct-fields", "(rust/kernel/miscdevice.rs:"),
        ("struct-fields-missing", "whose fields are `name`"),
    ],
    "misc_read": [("trait-item-unknown", "read_iter("), ("trait-bound", "`ForeignOwnable`")],
    "foreign": [("unsafe-trait", "`pub unsafe trait ForeignOwnable: Sized` (rust/kernel/types.rs:")],
    "unsafe_call": [
        ("unsafe-trait", "(rust/kernel/sync/aref.rs:"),
        ("unsafe-call", "`kernel::bindings::mutex_lock`"),
    ],
    "branch_module": [
        ("module-macro-bytes", "leave the `b` out"),
        ("name-unknown", "implement `kernel::Module`"),
        ("unstable-feature", "allocator_api"),
    ],
    "branch_file": [
        ("path-unknown", "write `kernel::fs::file`"),
        ("path-unknown", "`kernel::uaccess::{UserSlice, UserPtr}`"),
        ("path-unknown", "`kernel::miscdevice::MiscDeviceRegistration`"),
        ("path-unknown", "expected: `kernel::sync::Ref`"),
        ("path-unknown", "expected: `kernel::sync::UniqueRef`"),
        ("no-module-macro", "`LocalModule`"),
        ("generic-arguments", "`KBox<T>`"),
    ],
    "branch_error": [
        ("path-unknown", "`kernel::error::from_result("),
        ("path-unknown", "write `kernel::prelude::Error`"),
        ("method-unknown", "`Err(EINVAL)`"),
    ],
    "branch_amba": [
        ("path-unknown", "`kernel::amba`"),
        ("path-unknown", "`kernel::gpio`"),
        ("path-unknown", "io::mem::IoMem"),
        ("path-unknown", "bit_u32"),
        ("path-unknown", "use `kernel::sync::SpinLock`"),
    ],
    "branch_net": [
        ("path-unknown", "`kernel::net::SkBuff`"),
        ("path-unknown", "`kernel::skb`"),
        ("path-unknown", "`kernel::net::Device`"),
        ("path-unknown", "rust/kit/README.md"),
    ],
    "block": [
        ("trait-method-parameters", "`fn queue_rq(queue_data: "),
        ("trait-method-parameters", "`fn commit_rqs(queue_data: "),
        ("trait-item-missing", "`fn complete(rq: "),
        ("call-arguments", "queue_data: T::QueueData"),
    ],
    "phy": [("module-macro-key", "authors"), ("trait-bound", "C22::BMSR")],
    "types": [
        ("path-unknown", "sync::aref"),
        ("path-unknown", "expected: `kernel::types::Either`"),
        ("path-unknown", "write `kernel::prelude::pin_init`"),
        ("path-unknown", "write `kernel::prelude::PinInit`"),
    ],
    "inplace": [("no-pin-data", "`#[pin_data]` above `struct M`")],
    "dma": [
        ("path-unknown", "`Coherent::<T>::zeroed_slice("),
        ("path-unknown", "io_read!"),
        ("method-unknown", "use kernel::dma::{Device, DmaMask};"),
    ],
    "dma_mask": [("argument-type", "DmaMask::new::<64>()")],
    "ktime": [("path-unknown", "Instant::<Monotonic>::now()")],
    "instant": [
        ("generics-missing", "Instant<kernel::time::Monotonic>"),
        ("argument-type", "Delta::from_millis(n)"),
        ("path-unknown", "`kernel::time::ktime_get`"),
    ],
    "hrtimer": [
        ("macro-tokens", "mode: RelativeMode<Monotonic>"),
        ("path-unknown", "`kernel::time::ClockId`"),
        ("call-arguments", "`HrTimer::new()`"),
    ],
    "hrtimer_run": [("trait-method-parameters", "_ctx: HrTimerCallbackContext<'_, Self>")],
    "devres": [
        ("call-arguments", "(rust/kernel/devres.rs:"),
        ("method-unknown", "devres::register"),
        ("method-unknown", "io_request_by_index(0)"),
    ],
    "device": [
        ("method-unknown", "dev.fwnode()"),
        ("thread-safety", "unsafe impl Sync"),
        ("question-mark-error", "`ParseIntError`"),
    ],
    "debugfs": [("trait-bound", "`Writer`"), ("argument-type", "`pub fn subdir(&self, name: &CStr) -> Self`")],
    "atomic": [("trait-bound", "`Relaxed`, `Acquire`")],
    "uaccess": [("argument-type", "UserPtr::from_addr"), ("value-type", "`KVec::new()`")],
    "bounds": [("thread-safety", "sent between threads"), ("question-mark-place", "let the function return `Result`")],
    "module_sync": [("thread-safety", "unsafe impl Send")],
    "cstr": [("method-unknown", "`to_bytes_with_nul()`"), ("call-arguments", "GFP_KERNEL")],
    "vec_ext": [("path-unknown", "`kernel::alloc::box_ext`"), ("path-unknown", "leave the trait out")],
    "irq_private": [("path-unknown", "write `kernel::irq::Handler`")],
    "irq_handler": [("trait-bound", "(rust/kernel/platform.rs:")],
}
"""Entries that explain the errors of each file, with words of cause or remedy."""


@pytest.fixture(scope="module")
def told(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Explanation]]:
    """The explanations of each file's errors."""
    folder = tmp_path_factory.mktemp("rust")
    shutil.copytree(FIXTURES, folder, dirs_exist_ok=True)
    (folder / "Kbuild").write_text("".join(f"obj-m += {file.stem}.o\n" for file in sorted(folder.glob("*.rs"))))
    module = Module(folder)
    # One after the other, so that no two compilers print at once.
    done = module.make(kernel, "-k", "-j1", "modules")
    said = f"{done.stdout.decode()}\n{done.stderr.decode()}"
    found = defaultdict(list)
    for name in TOLD:
        parts = [part for part in said.split("\nerror") if f"> {name}.rs:" in part.partition("\nwarning")[0]]
        text = "".join(f"\nerror{part}" for part in parts)
        found[name] = list(diagnose(text, folder, kernel, lambda: ()).explanations)
    return found


@pytest.mark.row("A12")
@pytest.mark.parametrize("name", TOLD)
def test_each_error_is_told(told: dict[str, list[Explanation]], name: str) -> None:
    for entry, words in TOLD[name]:
        seen = [f"{why.cause} / {why.remedy}" for why in told[name] if why.name == entry]
        assert any(words in text for text in seen), (entry, words, told[name])


@pytest.mark.row("A12")
def test_no_method_is_looked_for_in_another_bus(told: dict[str, list[Explanation]]) -> None:
    causes = [why.cause for name in ("pci_methods", "devres", "device", "dma") for why in told[name]]
    assert not any("auxiliary.rs" in cause for cause in causes)


@pytest.mark.row("A12")
def test_the_constants_of_a_vtable_are_not_told(told: dict[str, list[Explanation]]) -> None:
    assert not any("HAS_READ" in why.cause for why in told["misc_read"])


@pytest.mark.row("A12")
def test_no_probe_is_that_of_another_bus(told: dict[str, list[Explanation]]) -> None:
    assert not any("auxiliary.rs" in why.cause for why in (*told["pci_617"], *told["pci_new"], *told["plat"]))


@pytest.mark.row("A12")
def test_the_camps_tree_wins_over_the_first_error(kernel: Kernel, tmp_path: Path) -> None:
    folder = tmp_path / "camp"
    folder.mkdir()
    (folder / "Kbuild").write_text("obj-m := camp2.o\n")
    shutil.copy(FIXTURES / "camp2.rs", folder)
    with pytest.raises(BuildError) as caught:
        Module(folder).build(kernel)
    error = caught.value
    assert "`kernel::pci::Resource`" in error.cause
    assert "rust/kit/README.md" in error.remedy
    names = [why.name for why in error.explanations]
    assert names[0] == "path-unknown"
    assert {"module-macro-key", "trait-method-parameters"} <= set(names[1:])
    assert "  remedy: write `authors: [" in error.detail
