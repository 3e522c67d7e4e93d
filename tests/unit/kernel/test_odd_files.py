# SPDX-License-Identifier: MIT
"""Files of a user's own tree with texts in another encoding, and what is no file in the place of one."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from r4l.errors import BuildError, UsageError
from r4l.kernel import kconfig, tree
from r4l.kernel.abstractions import holds, rust_modules, topics
from r4l.kernel.config import read_config
from r4l.kernel.kdir import explain_kdir
from r4l.kernel.recipe import recipe
from r4l.toolchain import Toolchain

NOWHERE = Toolchain(Path("/nonexistent"), "key")
CAFE = b"caf\xe9"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A kernel's tree, built in place, with words in Latin-1 wherever a person may write some."""
    folder = tmp_path / "linux"
    built = ("vmlinux", "Module.symvers", "scripts/module.lds", "arch/x86/boot/bzImage")
    for name in (*built, "include/config/kernel.release", "rust/kernel/lib.rs", "rust/kernel/pci.rs"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / "Makefile").write_bytes(b"# %s\nVERSION = 7\nPATCHLEVEL = 3\n" % CAFE)
    (folder / "Kconfig").write_bytes(
        b"# %s\nconfig USB\n\tbool\n\thelp\n\t  %s\n\nconfig E1000\n\tbool\n" % (CAFE, CAFE)
    )
    (folder / ".config").write_bytes(b'CONFIG_X86_64=y\nCONFIG_DEFAULT_HOSTNAME="%s"\nCONFIG_USB=y\n' % CAFE)
    (folder / "include/config/kernel.release").write_bytes(b"7.3.0\n")
    (folder / "rust/kernel/lib.rs").write_bytes(b"// %s\npub mod pci;\n" % CAFE)
    (folder / "rust/kernel/pci.rs").write_bytes(b"//! %s\npub trait Driver {}\n" % CAFE)
    return folder


def test_a_text_in_another_encoding(source: Path) -> None:
    """Regression: each was a bug in r4l."""
    assert tree.folders_of(source) == tree.Tree(source, source)
    assert read_config(source / ".config") == {
        "CONFIG_X86_64": "y",
        "CONFIG_DEFAULT_HOSTNAME": "caf\ufffd",
        "CONFIG_USB": "y",
    }
    assert [(module.name, module.about) for module in rust_modules(source, {})] == [("pci", "caf\ufffd")]
    assert "pci.rs:2" in [topic.kernel for topic in topics(source, {})]
    kconfig.require_known("CONFIG_USB=y\nCONFIG_E1000=y\n", "a.config", source)
    assert tree.built_in(source, NOWHERE).release == "7.3.0"


def test_a_release_in_another_encoding(source: Path) -> None:
    (source / "include/config/kernel.release").write_bytes(b"7.3.0-%s\n" % CAFE)
    with pytest.raises(BuildError, match="which is no release"):
        tree.built_in(source, NOWHERE)
    wrong = explain_kdir(source)
    assert wrong
    assert "7.3.0-caf" in wrong.cause


def test_a_fragment_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"CONFIG_USB=y\n# %s\n" % CAFE)
    with pytest.raises(UsageError, match="mine, line 2 is not UTF-8"):
        recipe("mine", Path("/s"), "7.3", base="minimal", fragments=[tmp_path / "mine"])


def test_a_pipe_as_a_fragment(tmp_path: Path) -> None:
    """As the shell's `--fragment <(echo CONFIG_USB=y)`."""
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("CONFIG_USB=y",))
    writer.start()
    made = recipe("mine", Path("/s"), "7.3", base="minimal", fragments=[tmp_path / "pipe"])
    writer.join()
    assert made.fragments == ((str(tmp_path / "pipe"), "CONFIG_USB=y"),)


@pytest.mark.parametrize("name", [".config", "include/config/kernel.release", "Module.symvers", "vmlinux"])
def test_a_pipe_in_a_tree(name: str, source: Path) -> None:
    """Regression: r4l waited for its writer."""
    (source / name).unlink()
    os.mkfifo(source / name)
    with pytest.raises((UsageError, BuildError), match=r"not a plain file|half built"):
        tree.built_in(source, NOWHERE)


@pytest.mark.parametrize("name", ["Makefile", "rust/kernel/lib.rs", "rust/kernel/pci.rs", "Kconfig.more"])
def test_a_pipe_among_the_sources(name: str, source: Path) -> None:
    (source / name).unlink(missing_ok=True)
    os.mkfifo(source / name)
    rust_modules(source, {})
    topics(source, {})
    kconfig.require_known("CONFIG_USB=y\n", "a.config", source)
    if name == "Makefile":
        with pytest.raises((UsageError, BuildError), match=r"is not a kernel's build folder"):
            tree.folders_of(source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_of_the_source_that_is_closed_to_the_user(source: Path) -> None:
    """Regression: grep's exit code 2 was a bug in r4l."""
    (source / "drivers").mkdir(mode=0)
    kconfig.require_known("CONFIG_USB=y\n", "a.config", source)


def test_a_link_to_nothing_among_the_sources(source: Path) -> None:
    (source / "Kconfig.old").symlink_to("nothing")
    kconfig.require_known("CONFIG_USB=y\n", "a.config", source)
    with pytest.raises(UsageError, match="no option CONFIG_USBB; there is CONFIG_USB"):
        kconfig.require_known("CONFIG_USBB=y\n", "a.config", source)


def test_a_source_that_has_gone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no option is found in the kernel's source"):
        kconfig.require_known("CONFIG_USB=y\n", "a.config", tmp_path / "gone")


@pytest.mark.parametrize("condition", ["", "(", "all(", "all(CONFIG_A", 'target_has_atomic("8")', "not(" * 5000, "A ="])
def test_a_condition_of_another_form(condition: str) -> None:
    assert not holds(condition, {"CONFIG_A": "y"})
