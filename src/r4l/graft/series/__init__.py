# SPDX-License-Identifier: MIT
"""Make of a driver and the kit the patches that one would send to the kernel's lists (docs/series.md)."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from r4l import resources
from r4l.errors import EnvironmentFault, UsageError
from r4l.graft import driver
from r4l.graft.series import mail, table
from r4l.graft.series.states import Series
from r4l.kernel import tree as trees
from r4l.paths import require_text
from r4l.toolchain import Grant, Toolchain

__all__ = ["SeriesResult", "series"]


@dataclass(frozen=True)
class SeriesResult:
    """A series that was written.

    Attributes:
        folder: contains the mails.
        mails: their names, the cover letter's first.
        subjects: the patches' subjects.
        symbol: the driver's Kconfig option, without CONFIG_.
        driver: the driver's folder in the tree.
    """

    folder: str
    mails: tuple[str, ...]
    subjects: tuple[str, ...]
    symbol: str
    driver: str


def series(folder: Path, tree: Path, out: Path) -> SeriesResult:
    """Write a driver, and the parts of the kit that it uses, as a series of patches for a kernel's tree.

    Args:
        folder: the driver's folder, with a table `series.toml`.
        tree: top of the kernel's source, or a build folder made from it. It stays as it is.
        out: a new or empty folder for the mails.

    Raises:
        UsageError: the driver has no table or uses what the table does not know, the tree does not fit, `out` has
            files, or git knows no identity to sign with.
        EnvironmentFault: git or the toolchain is missing, or a file cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} exists and is not empty", "give a new folder for the patches")
    kit = table.read_kit(resources.kit())
    own = table.read_driver(folder, kit)
    folders = trees.folders_of(tree)
    source = folders.source
    found = driver.read_driver(folder, [path for path in (source, folders.build) if path])
    _require_version(source, kit.kernel)
    author = mail.identity(source)
    toolchain = Toolchain.get()
    with tempfile.TemporaryDirectory(prefix="r4l-series-") as name:
        work = Path(name)
        made = Series(source, resources.kit(), kit, author)
        mails = [mail.Mail(patch.subject, patch.message, made.add_kit(patch)) for patch in kit.patches]
        mails.append(mail.Mail(own.patch.subject, own.patch.message, made.add_driver(found, own)))
        mails = formatted(mails, made.rust, lambda files: rustfmt(toolchain, source, files, work / "rust"))
        written = mail.write(source, mails, own.cover, author, work)
        _publish(written, out)
    subjects = tuple(each.subject for each in mails)
    return SeriesResult(str(out), tuple(path.name for path in written), subjects, own.symbol, own.folder)


def formatted(
    mails: list[mail.Mail], rust: set[str], formatter: Callable[[dict[str, str]], dict[str, str]]
) -> list[mail.Mail]:
    """Return the mails with their Rust files formatted.

    Args:
        rust: the Rust files of the series.
        formatter: gets the files as they are after each patch, since rustfmt follows `mod` to other files.
    """
    texts: dict[str, str] = {}
    present: dict[str, str] = {}
    for at, each in enumerate(mails):
        present |= {path: text for path, text in each.files.items() if path in rust}
        texts |= {f"{at}/{path}": text for path, text in present.items()}
    texts = formatter(texts)
    return [
        mail.Mail(
            each.subject, each.message, {path: texts.get(f"{at}/{path}", text) for path, text in each.files.items()}
        )
        for at, each in enumerate(mails)
    ]


def rustfmt(toolchain: Toolchain, source: Path, files: dict[str, str], work: Path) -> dict[str, str]:
    """Return Rust files as the kernel's rustfmt lays them out.

    Raises:
        EnvironmentFault: rustfmt does not understand a file.
    """
    written = [mail.put(work, path, text) for path, text in files.items()]
    shutil.copyfile(source / ".rustfmt.toml", work / ".rustfmt.toml")
    grant = Grant("series: rustfmt", writes=(work,))
    argv: list[str | Path] = [
        "rustfmt",
        "--edition",
        "2021",
        "--config-path",
        work / ".rustfmt.toml",
        *written,
    ]
    done = toolchain.run(argv, grant, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace")
        raise EnvironmentFault("rustfmt does not understand the series", "report this as a bug", detail=said)
    return {path: file.read_text(encoding="utf-8") for path, file in zip(files, written, strict=True)}


def _require_version(source: Path, oldest: tuple[int, ...]) -> None:
    makefile = require_text(source / "Makefile", "replace")
    found = [re.search(rf"^{name} = (\d+)$", makefile, re.MULTILINE) for name in ("VERSION", "PATCHLEVEL")]
    version = tuple(int(match[1]) for match in found if match)
    if version < oldest:
        wanted, there = (".".join(map(str, numbers)) for numbers in (oldest, version))
        raise UsageError(f"{source} is Linux {there}, and the series is for {wanted}", "use a newer source")


def _publish(mails: list[Path], out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.partial-"))
        try:
            for path in mails:
                shutil.copyfile(path, partial / path.name)
            partial.chmod(0o755)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {out}: {error.strerror}", "give another folder") from error
