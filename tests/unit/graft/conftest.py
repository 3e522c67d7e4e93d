# SPDX-License-Identifier: MIT
"""The parts of a kernel's tree that matter to `r4l graft`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

LIB = """// SPDX-License-Identifier: GPL-2.0
pub mod alloc;
#[cfg(CONFIG_AUXILIARY_BUS)]
pub mod auxiliary;
#[cfg(CONFIG_I2C = "y")]
pub mod i2c;
#[cfg(CONFIG_NET)]
pub mod net;
#[doc(hidden)]
#[cfg(any(CONFIG_OF, all(CONFIG_ACPI, not(CONFIG_UML))))]
// Why.
pub mod odd;
#[cfg(CONFIG_PCI)]
pub mod pci;
#[cfg(not(testlib))]
pub mod other;
"""

TREE = {
    "Makefile": "VERSION = 7\nPATCHLEVEL = 3\n",
    "Kconfig": 'source "drivers/Kconfig"\n',
    "rust/Makefile": "ifdef CONFIG_RUST\n\nendif # CONFIG_RUST\n",
    "rust/kernel/lib.rs": LIB,
    "init/Kconfig": (
        'config RUST\n\tbool "Rust support"\n\nconfig AUXILIARY_BUS\n\tbool\n\nconfig E1000\n\ttristate "e1000"\n'
    ),
    "drivers/Kconfig": 'menu "Device Drivers"\n\nsource "drivers/net/Kconfig"\n\nendmenu\n',
    "drivers/Makefile": "obj-y += net/\n",
    "drivers/net/Kconfig": 'menuconfig NETDEVICES\n\tbool "Network"\n\nif NETDEVICES\n\nendif # NETDEVICES\n',
    "drivers/net/Makefile": "obj-$(CONFIG_LOOPBACK) += loopback.o\n",
    "drivers/misc/Kconfig": "# empty\n",
    "drivers/misc/Kbuild": "# no newline at its end",
    "samples/rust/Kconfig": "if SAMPLES_RUST\n\nendif # SAMPLES_RUST\n",
    "samples/rust/Makefile": "obj-$(CONFIG_SAMPLE_RUST_MINIMAL) += rust_minimal.o\n",
}


LISTS = {
    "rust/kernel/sync.rs": "mod arc;\npub mod aref;\npub mod atomic;\npub mod srcu;\n",
    "rust/kernel/net/mod.rs": (
        "//! Networking.\n\n#[cfg(CONFIG_RUST_PHYLIB_ABSTRACTIONS)]\npub mod phy;\n\npub mod netlink;\n"
    ),
    "rust/helpers/helpers.c": '#include "dma.c"\n#include "drm.c"\n#include "mutex.c"\n#include "of.c"\n',
    "rust/helpers/dma.c": "int rust_helper_dma_set_mask(void);\n",
    "rust/helpers/workqueue.c": "int rust_helper_init_work_with_key(void);\n",
    "rust/helpers/other.c": "rust_helper_smp_mb() rust_helper_request_irq()\n",
    "rust/bindings/bindings_helper.h": (
        "#include <linux/acpi.h>\n#include <linux/xarray.h>\n\n"
        "const size_t RUST_CONST_HELPER_PAGE_SIZE = PAGE_SIZE;\n\n#if 1\n#endif\n"
    ),
    "drivers/net/ethernet/intel/Kconfig": (
        'config IGC\n\nsource "drivers/net/ethernet/intel/idpf/Kconfig"\n\nendif # NET_VENDOR_INTEL\n'
    ),
    "drivers/net/ethernet/intel/Makefile": "obj-$(CONFIG_E1000) += e1000/\nobj-$(CONFIG_IGB) += igb/\n",
    "MAINTAINERS": "Maintainers List\n----\n\n3C59X NETWORK DRIVER\nM:\tA <a@b>\nF:\ta.c\n\nTHE REST\nF:\t*\n",
    "arch/x86/Kconfig": "",
}
"""Files of a kernel's tree that a series changes, reduced to a few entries."""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of a kernel's tree, reduced to the parts that matter here."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    tree = tmp_path / "linux"
    for path, text in TREE.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    return tree


@pytest.fixture
def repository(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tree as a git repository with one commit."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "李 Hua")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "li@example.org")
    run_git(tree, "init", "-q")
    run_git(tree, "add", "-A")
    run_git(tree, "commit", "-qm", "base")
    return tree


@pytest.fixture
def linux(repository: Path, git: Callable[..., str]) -> Path:
    """A tree of git with the files that the series changes."""
    for path, text in LISTS.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "more")
    return repository


@pytest.fixture
def original() -> dict[str, str]:
    """The tree's original texts."""
    return dict(TREE)


@pytest.fixture
def texts() -> Callable[[Path], dict[str, str]]:
    """Reader of all files of a tree: path to text."""

    def read(tree: Path) -> dict[str, str]:
        files = (path for path in tree.rglob("*") if path.is_file() and ".git" not in path.relative_to(tree).parts)
        return {str(path.relative_to(tree)): path.read_text() for path in files}

    return read


@pytest.fixture
def git() -> Callable[..., str]:
    """Runner of git in a tree; returns its output."""
    return run_git


def run_git(tree: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Path]:
    """Maker of a driver's folder for the test: its name, its Kbuild, and files as NAME_rs and NAME_c."""

    def make(name: str, kbuild: str, **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "Kbuild").write_text(kbuild)
        for file, text in files.items():
            (folder / file.replace("_rs", ".rs").replace("_c", ".c")).write_text(text)
        return folder

    return make
