# SPDX-License-Identifier: MIT
"""A stranger's series.toml and tree: a series reads and writes nothing of the user's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from r4l import resources
from r4l.errors import UsageError
from r4l.graft import driver
from r4l.graft.series import mail, series, table
from r4l.graft.series.states import Series

KIT = resources.kit()
E1000 = resources.rust("drivers", "e1000")
SECRET = "a secret of the user's"
CHANGE = '[[patch.changes]]\nfile = "{}"\nold = "secret"\nnew = "gift"\n'
LINE = 'lines = [\n    {{ file = "{}", line = "pub mod gift;" }},'
EARLIER = '[[patch.earlier]]\nfile = "{}"\nold = "a"\nnew = "b"\n'

PLACES: dict[str, Callable[[str, str], str]] = {
    "the folder": lambda text, path: text.replace(
        'folder = "drivers/net/ethernet/intel/e1000_rust"', f'folder = "{path}"'
    ),
    "the root": lambda text, path: text.replace('root = "e1000"', f'root = "{path}"'),
    "a new file": lambda text, path: text.replace("[new]\n", f'[new]\n"{path}" = "gift"\n'),
    "a changed file": lambda text, path: text + CHANGE.format(path),
    "a file with a line": lambda text, path: text.replace("lines = [", LINE.format(path)),
    "an earlier file": lambda text, path: text + EARLIER.format(path),
    "a file of the patch": lambda text, path: text + f'[patch.files]\n"a.rs" = "{path}"\n',
    "the same, its source": lambda text, path: text + f'[patch.files]\n"{path}" = "a.rs"\n',
    "a file with more": lambda text, path: text + f'[patch.adds]\n"{path}" = ["fn a"]\n',
}
ODD = {
    "absolute": "{victim}",
    "two slashes": "/{victim}",
    "above": "../../../../../../../../../..{victim}",
    "inside and above": "drivers/../../../../../../../../../..{victim}",
    "git's configuration": ".git/config",
    "git's, in capitals": "a/.GIT/hooks/post-commit",
    "nothing": "",
    "a point": ".",
    "another spelling": "drivers//net/./x",
    "a slash at its end": "drivers/",
    "lines": "a\\nb",
    "a null": "a\\u0000b",
    "a backslash": "a\\\\b",
    "a quote": 'a\\"b',
    "too long a name": "x" * 300,
    "too long": "x/" * 2500 + "x",
}


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """The driver's folder of a stranger, who has copied the e1000."""
    return Path(shutil.copytree(E1000, tmp_path / "stranger"))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user."""
    file = tmp_path / "user/bashrc"
    file.parent.mkdir()
    file.write_text(SECRET)
    return file


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
def test_no_path_of_a_table_leads_elsewhere(
    place: Callable[[str, str], str], stranger: Path, victim: Path, linux: Path, tmp_path: Path
) -> None:
    """Regression: such a table had any file of the user read into a patch, and written."""
    file = stranger / "series.toml"
    whole = file.read_text()
    for path in ODD.values():
        file.write_text(place(whole, path.format(victim=victim)))
        with pytest.raises(UsageError, match=r"series\.toml: .* is no path inside of a folder"):
            series(stranger, linux, tmp_path / "out")
        assert victim.read_text() == SECRET
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["/{victim}", "../../user/bashrc", ".git/config", "a/../../../user/bashrc"])
def test_no_mail_is_written_elsewhere(path: str, victim: Path, linux: Path, tmp_path: Path) -> None:
    """The second wall, for paths that no table has been asked about."""
    (tmp_path / "work").mkdir()
    mails = [mail.Mail("a", "b", {path.format(victim=victim): "gift"})]
    with pytest.raises(UsageError, match=r"leads to|is git's own"):
        mail.write(linux, mails, ("a", "b"), ("A", "a@b"), tmp_path / "work")
    assert victim.read_text() == SECRET


LINKS = ["MAINTAINERS", "rust/kernel/net/mod.rs", "rust/helpers/dma.c", "rust/bindings/bindings_helper.h"]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("whole_folder", [False, True])
def test_no_link_of_a_tree_is_read_into_a_patch(
    link: str, whole_folder: bool, victim: Path, linux: Path, tmp_path: Path
) -> None:
    real = linux / link
    if whole_folder and real.parent == linux:
        pytest.skip("that is the tree itself")
    moved = real.parent if whole_folder else real
    shutil.move(moved, victim.parent / moved.name)
    moved.symlink_to(victim.parent / moved.name)
    kit = table.read_kit(KIT)
    made = Series(linux, KIT, kit, ("A", "a@b"))
    with pytest.raises(UsageError, match="leads to"):
        [made.add_kit(patch) for patch in kit.patches]
    with pytest.raises(UsageError, match="leads to"):
        mail.write(linux, [mail.Mail("a", "b", {link: "c"})], ("a", "b"), ("A", "a@b"), tmp_path)


def test_a_file_that_the_tree_has_is_not_new(stranger: Path, linux: Path) -> None:
    file = stranger / "series.toml"
    file.write_text(
        file.read_text().replace('folder = "drivers/net/ethernet/intel/e1000_rust"', 'folder = "drivers/net"')
    )
    kit = table.read_kit(KIT)
    own = table.read_driver(stranger, kit)
    made = Series(linux, KIT, kit, ("A", "a@b"))
    with pytest.raises(UsageError, match="drivers/net/Kconfig is in the kernel's tree already"):
        made.add_driver(driver.read_driver(stranger), own)


def test_a_table_that_is_a_link(stranger: Path, victim: Path, linux: Path, tmp_path: Path) -> None:
    (stranger / "series.toml").unlink()
    (stranger / "series.toml").symlink_to(victim)
    with pytest.raises(UsageError, match="leads to"):
        series(stranger, linux, tmp_path / "out")
