# SPDX-License-Identifier: MIT
"""Names of Rust lead somewhere: the code has what comments of Rust and documents name between backquotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from tests.unit.signs import ROOT, Sign, all_signs, files

OF_OTHERS = """
    BUG CONFIG_DEBUG_KOBJECT_RELEASE Kconfig MAX_ADDR_LEN NETDEV_TX_BUSY NETIF_MSG_DRV NETIF_MSG_LINK NETIF_MSG_PROBE
    NET_SKBUFF_DATA_USES_OFFSET PCI_D3hot PREEMPT_RT READ_ONCE SEEK_END SYSTEM_SLEEP_PM_OPS WARN WRITE_ONCE
    __dev_queue_xmit __skb_pull build_skb dma_alloc_coherent get_drvinfo if_mii lltx modinfo
    netif_addr_lock netif_tx_lock skb_loop_sk tcp_gso_segment virtcons_restore vzalloc wait_event_interruptible
    Devres LocalFile notify_one relock
"""
"""Names of the kernel, in C and in the last line in Rust, which no code of ours has."""
OF_C_E1000 = re.compile(r"e1000_[a-z]\w+")
"""Functions of the kernel's e1000 in C, which comments of ours are compared with."""
PATHS_OF_OTHERS = {
    "barrier::dma_mb": "the kernel's",
    "bindings::SENSOR_CHANNELS": "made by bindgen, in lab 7",
    "bindings::SENSOR_READY": "made by bindgen, in lab 7",
    "bindings::sensor": "made by bindgen, in lab 7",
    "bindings::sensor_read": "made by bindgen, in lab 7",
    "bindings::sensor_reading": "made by bindgen, in lab 7",
    "irq::Return": "an example",
    "pci::DevresBar": "the kernel's",
}
MACROS_OF_OTHERS = """
    build_assert build_error c_str dev_info dma_read dma_write fmt include matches module pin_init pr_info try_pin_init
"""
"""Macros of the kernel and of Rust's core."""
WORD = re.compile(r"`(?:\w+::)*(\w+)(?:\(\))?`")
MEMBER = re.compile(r"`((?:\w+::)*(\w+)::(?:<[^`]*>::)?(\w+))!?(?:<[^`]*>)?(?:\([^`]*\))?`")
MACRO = re.compile(r"`(\w+)!(?:\([^`]*\)|\s*\{[^`]*\})?`")


@cache
def code() -> str:
    """The code of all Rust, C and make files of ours, without comments."""
    ours = (name for name in files() if name.startswith(("rust/", "labs/", "src/r4l/templates/")))
    texts = ((ROOT / name).read_text(encoding="utf-8") for name in ours if name.endswith((".rs", ".c", ".mk", ".j2")))
    return "\n".join(re.sub(r"//.*", "", line) for text in texts for line in text.splitlines())


@cache
def words() -> frozenset[str]:
    """All words of the code."""
    return frozenset(re.findall(r"\w+", code()))


@cache
def owners() -> frozenset[str]:
    """Types, traits and modules of ours."""
    return frozenset(re.findall(r"\b(?:struct|enum|trait|union|type|mod) (\w+)", code()))


@cache
def members() -> frozenset[str]:
    """Names that are defined in the code: items, fields, variants."""
    items = re.findall(r"\b(?:fn|const|static|type|mod|struct|enum|trait|union|macro_rules!) (?:mut )?(\w+)", code())
    fields = re.findall(r"^\s*(?:pub(?:\([\w ]+\))? )?(\w+)(?:\s*[,:({=]|$)", code(), re.MULTILINE)
    return frozenset((*items, *fields))


def astray(sign: Sign) -> Iterator[str]:
    """The names of Rust in a sign that no code has."""
    name, line, text = sign
    if name.startswith("rust/") and not name.endswith(".py"):
        for match in WORD.finditer(text):
            if not (match[1] in words() or match[1] in OF_OTHERS.split() or OF_C_E1000.fullmatch(match[1])):
                yield f"{name}:{line}: {match[0]}"
    for match in MEMBER.finditer(text):
        # Of a type or module of others, anything may be there.
        if match[2] in owners() and match[3] not in members() and match[1] not in PATHS_OF_OTHERS:
            yield f"{name}:{line}: {match[0]}"
    for match in MACRO.finditer(text):
        if match[1] not in members() and match[1] not in MACROS_OF_OTHERS.split():
            yield f"{name}:{line}: {match[0]}"


def test_each_name_of_rust_that_is_named_exists() -> None:
    signs = all_signs("rust/", "docs/", "labs/", "src/r4l/", "README", "CONTRIBUTING", "CHANGELOG")
    found = [fault for sign in signs if not sign[0].endswith(".toml") for fault in astray(sign)]
    assert found == []


def test_no_exception_is_needless() -> None:
    text = "\n".join(text for name, _, text in all_signs("rust/", "docs/", "labs/", "src/r4l/", "CONTRIBUTING"))
    named = (*OF_OTHERS.split(), *PATHS_OF_OTHERS, *(f"{name}!" for name in MACROS_OF_OTHERS.split()))
    assert [name for name in named if not re.search(rf"`(?:\w+::)*{re.escape(name)}(?!\w)", text)] == []
    assert not {name for name in OF_OTHERS.split() if name in words()}


@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        ("rust/kit/src/x.rs", "the `Ring` of `crate::dma`, `never_was()`, `Nope`", ["`never_was()`", "`Nope`"]),
        (
            "docs/x.md",
            "`Driver::poll`, `Driver::pole`, `Vec::push`, `skb::Skob`",
            ["`Driver::pole`", "`skb::Skob`"],
        ),
        ("README.md", '`module_misc!`, `pr_info!("x")`, `module_music! { x }`', ["`module_music! { x }`"]),
    ],
)
def test_names_astray_are_found(name: str, text: str, faults: list[str]) -> None:
    assert [fault.split(": ", 1)[1] for fault in astray((name, 1, text))] == faults


def braced(name: str) -> list[str]:
    """Return the names that a shell makes of one with braces."""
    begin, brace, rest = name.partition("{")
    if not brace:
        return [name]
    inner, _, end = rest.partition("}")
    return [f"{begin}{word}{end}" for word in inner.split(",")]


def test_the_readme_of_the_kit_has_all_its_files() -> None:
    """Each file has a row, or its folder has."""
    kit = ROOT / "rust/kit"
    text = (kit / "README.md").read_text(encoding="utf-8").partition("## The files\n")[2].partition("\n## ")[0]
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    named = [name for cell in cells for word in re.findall(r"`([^`]+)`", cell) for name in braced(word)]
    assert len(set(named)) == len(named)
    assert not [name for name in named if not (kit / name).exists()]
    found = {name.removeprefix("rust/kit/") for name in files() if name.startswith("rust/kit/")} - {"README.md"}
    folders = tuple(name for name in named if name.endswith("/"))
    assert not {name for name in found if name not in named and not name.startswith(folders)}
