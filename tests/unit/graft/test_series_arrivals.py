# SPDX-License-Identifier: MIT
"""Parts of the kit's files find their patch of the series by the names in them, without a row of the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft.series import arrivals, table
from r4l.graft.series.states import Series

TRAIT = """use super::{
    device::Device,
    ethtool::Pause, //
};

/// A driver.
#[vtable]
pub trait Driver: Send {
    /// Names.
    const COUNTERS: &'static [&'static str] = &[];

    /// Period.
    const PERIOD: u32 = 2;

    /// Opens.
    fn open(&self, dev: &Device);

    /// Sends pauses.
    fn pause(&self) -> Pause {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}
"""
TABLE = """//! Operations.

mod eeprom;
mod pause;

pub use self::{
    eeprom::Eeprom,
    pause::Pause, //
};

impl<D: Driver> Private<D> {
    pub(super) const OPS: bindings::ethtool_ops = {
        let mut ops = bindings::ethtool_ops {
            get_link: Some(bindings::ethtool_op_get_link),
            ..pin_init::zeroed()
        };
        if D::HAS_PAUSE {
            ops.get_pauseparam = Some(Self::get_pauseparam);
        }
        if !D::COUNTERS.is_empty() {
            ops.get_sset_count = Some(Self::get_sset_count);
            ops.get_strings = Some(Self::get_strings);
        }
        ops
    };
}
"""
EEPROM = """pub struct Eeprom;
pub(super) unsafe extern "C" fn get_sset_count() {}
unsafe extern "C" fn get_strings() {}
"""
PAUSE = """pub struct Pause;
unsafe extern "C" fn get_pauseparam() {
    unsafe { Self::of(dev) }
        .driver
        .pause();
}
"""
OPEN = "fn f(this: &Private) {\n    this.driver.open(D::PERIOD);\n}\n"
WHOLE = {
    "net/driver.rs": TRAIT,
    "net/ethtool.rs": TABLE,
    "net/open.rs": OPEN,
    "net/ethtool/eeprom.rs": EEPROM,
    "net/ethtool/pause.rs": PAUSE,
}


def before(*later: str) -> dict[str, str]:
    """Return the files before the patches with some of them."""
    return arrivals.present({name: text for name, text in WHOLE.items() if name not in later}, WHOLE)


def test_files_stay_as_they_are_in_the_end() -> None:
    assert before() == WHOLE


def test_a_module_comes_with_its_file_and_so_do_its_imports() -> None:
    code = before("net/ethtool/eeprom.rs")["net/ethtool.rs"]
    assert "mod eeprom" not in code
    assert "mod pause;\n\npub use self::pause::Pause;\n\nimpl" in code


def test_an_operation_comes_with_its_function() -> None:
    code = before("net/ethtool/eeprom.rs")["net/ethtool.rs"]
    assert "COUNTERS" not in code
    assert (
        "if D::HAS_PAUSE {\n            ops.get_pauseparam = Some(Self::get_pauseparam);\n        }\n        ops\n"
        in code
    )
    assert "bindings::ethtool_op_get_link" in code


def test_a_method_of_the_driver_is_not_the_function_of_its_name() -> None:
    whole = {name: text.replace("get_pauseparam", "pause") for name, text in WHOLE.items()}
    texts = {name: text for name, text in whole.items() if name != "net/ethtool/pause.rs"}
    assert "HAS_PAUSE" not in arrivals.present(texts, whole)["net/ethtool.rs"]


def test_a_method_and_a_constant_come_with_their_first_use() -> None:
    code = before("net/ethtool/pause.rs")["net/driver.rs"]
    assert "fn pause" not in code
    assert "Sends pauses" not in code
    assert "fn open(&self" in code
    assert "const COUNTERS" in code, "the table asks for it"
    assert "const PERIOD" in code
    assert "const COUNTERS" not in before("net/ethtool/eeprom.rs")["net/driver.rs"]


def test_an_import_comes_with_the_code_that_uses_it() -> None:
    assert before("net/ethtool/pause.rs")["net/driver.rs"].startswith("use super::device::Device;\n\n/// A driver.\n")
    mentioned = {name: text.replace("/// Opens.", "/// Opens, see [`Pause`].") for name, text in WHOLE.items()}
    texts = {name: text for name, text in mentioned.items() if name != "net/ethtool/pause.rs"}
    assert "ethtool::Pause" not in arrivals.present(texts, mentioned)["net/driver.rs"], "comments do not count"


# No operation of the kernel's, so that no real one has its name.
GADGETS = """// SPDX-License-Identifier: GPL-2.0-only

//! Numbers of gadgets.

use crate::{
    bindings,
    net::{
        driver::Driver,
        private::Private, //
    }, //
};

/// Numbers of gadgets.
pub struct Gadgets(pub u32);

impl<D: Driver> Private<D> {
    pub(super) unsafe extern "C" fn get_gadgets(
        dev: *mut bindings::net_device,
        gadgets: *mut bindings::ethtool_gadgets,
    ) {
        // SAFETY: As required of the caller.
        unsafe { (*gadgets).combined_count = Self::of(dev).driver.gadgets().0 };
    }
}
"""
EDITS = {
    "src/net/driver.rs": [
        ("    ethtool::{\n", "    ethtool::{\n        Gadgets,\n"),
        (
            "    /// Restarts the negotiation",
            "    /// Returns the gadgets.\n    fn gadgets(&self) -> Gadgets {\n"
            "        build_error!(VTABLE_DEFAULT_ERROR)\n    }\n\n    /// Restarts the negotiation",
        ),
    ],
    "src/net/ethtool.rs": [
        ("mod coalesce;\n", "mod gadgets;\nmod coalesce;\n"),
        ("pub use self::{\n", "pub use self::{\n    gadgets::Gadgets,\n"),
        (
            "        if D::HAS_IDENTIFY",
            "        if D::HAS_GADGETS {\n            ops.get_gadgets = Some(Self::get_gadgets);\n        }\n"
            "        if D::HAS_IDENTIFY",
        ),
    ],
}


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """The kit with one operation of ethtool more, and no row of the table for it."""
    kit = tmp_path / "kit"
    shutil.copytree(resources.kit(), kit)
    (kit / "src/net/ethtool/gadgets.rs").write_text(GADGETS)
    for name, edits in EDITS.items():
        text = (kit / name).read_text()
        for old, new in edits:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (kit / name).write_text(text)
    return kit


def test_a_new_operation_of_ethtool_needs_no_row(more: Path, linux: Path) -> None:
    kit = table.read_kit(more)
    made = Series(linux, more, kit, ("A", "a@b"))
    before: dict[str, str] = {}
    for patch in kit.patches:
        made.add_kit(patch)
        if patch.subject.endswith("counters, tests and dumps by ethtool"):
            break
        before = {path: made.files[path] for path in made.rust}
    folder = "rust/kernel/net/netdev"
    assert not [path for path, code in before.items() if "adgets" in code]
    assert "get_gadgets(" in made.files[f"{folder}/ethtool/gadgets.rs"]
    assert "mod gadgets;" in made.files[f"{folder}/ethtool.rs"]
    assert "ops.get_gadgets = " in made.files[f"{folder}/ethtool.rs"]
    assert "fn gadgets(" in made.files[f"{folder}/driver.rs"]
    assert "        Gadgets,\n" in made.files[f"{folder}/driver.rs"]


def test_a_folder_has_the_files_that_nothing_else_names(more: Path) -> None:
    folder, target = "src/net/ethtool", "rust/kernel/net/netdev/ethtool"
    patches = {name: patch.subject for patch in table.read_kit(more).patches for name in patch.files}
    rest = patches[f"{folder}/gadgets.rs"]
    assert rest == patches[f"{folder}/debug.rs"]
    assert rest != patches[f"{folder}/rings.rs"]
    (files,) = [patch.files for patch in table.read_kit(more).patches if patch.subject == rest]
    assert files[f"{folder}/gadgets.rs"] == f"{target}/gadgets.rs"
    toml = (more / "series.toml").read_text()
    left = toml.replace("[left_out]\n", f'[left_out]\n"{folder}/gadgets.rs" = "no driver uses it"\n')
    (more / "series.toml").write_text(left)
    assert not [patch for patch in table.read_kit(more).patches if f"{folder}/gadgets.rs" in patch.files]


def test_a_driver_has_no_folders(tmp_path: Path) -> None:
    text = (resources.rust("drivers", "e1000") / "series.toml").read_text()
    assert text.count("\n[patch]\n") == 1
    (tmp_path / "series.toml").write_text(text.replace("\n[patch]\n", '\n[patch]\nfolders = { a = "b" }\n'))
    with pytest.raises(UsageError, match="folders"):
        table.read_driver(tmp_path, table.read_kit(resources.kit()))
