# SPDX-License-Identifier: MIT
"""The series of e1000 and the kit, for a small tree: complete, applied by git, signed by the user."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft import driver
from r4l.graft.series import formatted, helpers, mail, series, table
from r4l.graft.series.states import Series

KIT = resources.kit()
E1000 = resources.rust("drivers", "e1000")
HELLO = resources.rust("drivers", "hello")


@pytest.fixture
def mails(linux: Path, tmp_path: Path) -> list[Path]:
    """The series for that tree, without rustfmt."""
    kit = table.read_kit(KIT)
    own = table.read_driver(E1000, kit)
    author = mail.identity(linux)
    made = Series(linux, KIT, kit, author)
    patches = [mail.Mail(patch.subject, patch.message, made.add_kit(patch)) for patch in kit.patches]
    patches.append(mail.Mail(own.patch.subject, own.patch.message, made.add_driver(driver.read_driver(E1000), own)))
    (tmp_path / "work").mkdir()
    return mail.write(linux, patches, own.cover, author, tmp_path / "work")


def test_each_file_of_the_kit_is_in_a_patch_or_left_out_with_a_reason() -> None:
    kit = table.read_kit(KIT)
    placed = [name for patch in kit.patches for name in patch.files]
    there = {path.relative_to(KIT).as_posix() for path in (KIT / "src").rglob("*.rs")}
    missing = there - {*placed, *kit.left_out}
    assert not missing, f"say in rust/kit/series.toml which patch has {missing}, or why the series has it not"
    assert {*placed, *kit.left_out} <= there
    assert not {*placed} & {*kit.left_out}
    assert all(kit.left_out.values())


def test_the_tables_name_nothing_that_is_gone() -> None:
    kit = table.read_kit(KIT)
    texts = [path.read_text() for path in (KIT / "src").rglob("*.rs")]
    constants = {name for text in texts for name in re.findall(r"layout::([A-Z0-9_]+)", text)}
    assert {*kit.own, *kit.values} <= {*kit.rules.constants} <= constants
    functions = helpers.read((KIT / "c/helpers.c").read_text())
    assert {*kit.exported} <= functions.keys()
    for file in kit.helpers:
        for pattern in file.names:
            assert any(re.fullmatch(pattern, name) for name in functions), pattern


def test_git_applies_the_series(mails: list[Path], linux: Path, git: Callable[..., str]) -> None:
    numbered = [path for path in mails if not path.name.startswith("0000")]
    git(linux, "am", "--quiet", *map(str, numbered))
    subjects = git(linux, "log", "--reverse", "--format=%s", f"-{len(numbered)}").splitlines()
    assert subjects[0].startswith("rust: sync: ")
    assert subjects[-1].startswith("net: e1000_rust: ")
    assert git(linux, "status", "--porcelain") == ""
    added = git(linux, "diff", "--name-only", "--diff-filter=A", f"HEAD~{len(numbered)}").split()
    everything = "\n".join((linux / path).read_text() for path in added)
    assert not re.search(r"r4l|\bkit\b", everything + "\n".join(path.read_text() for path in mails))
    # Each helper is there once, and each that the code calls is.
    made = re.findall(r"rust_helper_(\w+)\(", "\n".join((linux / path).read_text() for path in added))
    made += re.findall(r"rust_helper_(\w+)\(", git(linux, "diff", f"HEAD~{len(numbered)}", "--", "rust/helpers/dma.c"))
    assert len(made) == len(set(made))
    assert {"dma_map_single", "skb_shared", "netif_running", "eth_hw_addr_set"} <= {*made}
    assert not {"smp_mb", "request_irq", "skb_put", "consume_skb"} & {*made}
    modules = (linux / "rust/kernel/net/mod.rs").read_text()
    assert 'expect(dead_code, reason = "network' not in modules
    assert "#[cfg(CONFIG_PCI)]\npub mod pci;\n#[cfg(CONFIG_RUST_PHYLIB_ABSTRACTIONS)]\npub mod phy;" in modules


def test_git_takes_the_whole_folder_and_drops_the_cover_letter(
    mails: list[Path], linux: Path, git: Callable[..., str]
) -> None:
    """The command of docs/series.md and of the kernel's maintainers, whose mailboxes hold the cover letter, too."""
    before = git(linux, "rev-parse", "HEAD").strip()
    patches = len(mails) - 1
    assert mails[0].name.startswith("0000-")
    with pytest.raises(AssertionError):
        git(linux, "am", "--quiet", *map(str, mails))
    git(linux, "am", "--abort")
    assert git(linux, "rev-parse", "HEAD").strip() == before
    git(linux, "am", "--quiet", "--empty=drop", *map(str, mails))
    subjects = git(linux, "log", "--reverse", "--format=%s", f"{before}..").splitlines()
    assert subjects == [*(patch.subject for patch in table.read_kit(KIT).patches), subjects[-1]]
    assert len(subjects) == patches


def test_the_cover_letter_lists_the_patches_and_says_what_they_are_for(mails: list[Path], linux: Path) -> None:
    cover = mails[0].read_text()
    subject, text = table.read_driver(E1000, table.read_kit(KIT)).cover
    unfolded = cover.replace("\n ", " ")
    assert f"/{len(mails) - 1}] {subject}\n" in unfolded
    assert text.strip() in cover
    for each in mails[1:]:
        of_patch = re.search(r"^Subject: \[PATCH [0-9/]+\] (.*(?:\n .*)*)", each.read_text(), re.MULTILINE)
        assert of_patch
        # The list of subjects in a cover letter is wrapped with an indentation of two.
        assert " ".join(of_patch[1].split()) in " ".join(cover.split())
    assert re.search(r"^ \d+ files changed, \d+ insertions", cover, re.MULTILINE)


def test_patches_are_signed_and_maintained_by_the_user(mails: list[Path], linux: Path) -> None:
    name, address = mail.identity(linux)
    cover, *patches = [path.read_text() for path in mails]
    assert f"Subject: [PATCH {'0' * len(str(len(patches)))}/{len(patches)}] " in cover
    assert "*** " not in cover
    for text in patches:
        assert f"\nSigned-off-by: {name} <{address}>\n" in text
        adds = "\nnew file mode" in text
        assert bool(re.search(r"^ MAINTAINERS +\|", text, re.MULTILINE)) == adds
    assert f"+M:\t{name} <{address}>\n" in patches[0]


def test_the_series_has_no_author_without_an_identity(
    linux: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for role in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{what}", raising=False)
    monkeypatch.delenv("EMAIL", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for key in ("user.name", "user.email"):
        subprocess.run(["git", "-C", str(linux), "config", "--unset", key], check=False)
    with pytest.raises(UsageError, match="no name and address") as caught:
        series(E1000, linux, tmp_path / "out")
    assert "user.email" in str(caught.value.remedy)
    assert not (tmp_path / "out").exists()


def test_what_is_refused(linux: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        series(E1000, linux, tmp_path / "out")
    with pytest.raises(UsageError, match=r"series\.toml"):
        series(HELLO, linux, tmp_path / "new")
    (linux / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 0\n")
    with pytest.raises(UsageError, match=r"is Linux 7\.2, and the series is for 7\.3"):
        series(E1000, linux, tmp_path / "new")
    made = Series(linux, KIT, table.read_kit(KIT), ("A", "a@b"))
    (linux / "rust/kernel/sync/spsc.rs").parent.mkdir(exist_ok=True)
    (linux / "rust/kernel/sync/spsc.rs").write_text("")
    with pytest.raises(UsageError, match="already"):
        made.add_kit(made.table.patches[0])


def test_a_name_is_a_text_in_rust(linux: Path) -> None:
    kit = table.read_kit(KIT)
    made = Series(linux, KIT, kit, ('Ann "\\" B', "a@b"))
    for patch in kit.patches:
        made.add_kit(patch)
    own = table.read_driver(E1000, kit)
    made.add_driver(driver.read_driver(E1000), own)
    assert r'authors: ["Ann \"\\\" B"],' in made.files[f"{own.folder}/{own.root}.rs"]


def test_only_rust_of_the_series_is_formatted() -> None:
    mails = [mail.Mail("a", "", {"x.rs": "x", "other.rs": "y"}), mail.Mail("b", "", {"x.rs": "z"})]
    done = formatted(mails, {"x.rs"}, lambda files: {path: text.upper() for path, text in files.items()})
    assert [each.files for each in done] == [{"x.rs": "X", "other.rs": "y"}, {"x.rs": "Z"}]
