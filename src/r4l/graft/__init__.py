# SPDX-License-Identifier: MIT
"""Add a driver's folder to the kernel's own tree, to be built in, as a module, or not (tristate); and remove it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from r4l import home
from r4l.errors import EnvironmentFault, R4LError, UsageError
from r4l.graft import depends, driver, git, kit, place, texts
from r4l.graft.changes import Changes, take_back
from r4l.graft.depends import Needs
from r4l.graft.driver import Driver
from r4l.graft.place import Place
from r4l.graft.record import GraftEntry, GraftRecord, lock_name
from r4l.kernel import tree as trees
from r4l.paths import followed, is_below, require_folder, write_named

__all__ = ["Graft", "graft", "remove"]


@dataclass(frozen=True)
class Graft:
    """Result of `graft` or `remove`.

    Attributes:
        name: the module's name.
        folder: the driver's folder in the tree.
        symbol: the driver's Kconfig option, without CONFIG_.
        new, changed: paths of files in the tree.
        commit: id of the commit, if one was made.
        kit: True if the kit was added or removed too.
        apply: command that makes a commit of the patch, if one was written.
        author: the patch's author, where git knew none and the login's name is in its place.
    """

    name: str
    folder: str
    symbol: str
    new: tuple[str, ...]
    changed: tuple[str, ...]
    kit: bool
    commit: str | None = None
    apply: str | None = None
    author: str | None = None


def graft(
    folder: Path,
    tree: Path,
    *,
    wanted: str | None = None,
    symbol: str | None = None,
    commit: bool | None = None,
    patch: Path | None = None,
) -> Graft:
    """Add a driver to a kernel's tree.

    Args:
        folder: the driver's folder.
        tree: top of a kernel's source, or a build folder made from it.
        wanted: target in the tree: an existing folder, or a new one beside other drivers.
        symbol: name of the Kconfig option; derived from the module's name if None.
        commit: make a commit; None means to make one if the tree is a git repository.
        patch: write a patch to this file and leave the tree unchanged.

    Raises:
        UsageError: the folder holds no driver, the tree is no kernel's source, or the target is taken.
        EnvironmentFault: git is missing or refuses, or a file cannot be written.
    """
    require_folder(folder, "give the folder that holds the driver's Kbuild")
    folders = trees.folders_of(tree)
    source = folders.source
    found = driver.read_driver(folder, [path for path in (source, folders.build) if path])
    _require_fit(source, found)
    with home.lock(lock_name(source)):
        record = GraftRecord.load(source)
        known = depends.options(source)
        where = place.find(source, found, wanted, symbol, known)
        with_kit = (found.kit or found.bindgen) and not kit.is_there(source)
        kit_changes = kit.changes(source) if with_kit else Changes()
        changes = _changes(source, found, where, known)
        both = kit_changes + changes
        done = Graft(
            found.name, str(where.folder), where.symbol, tuple(sorted(both.files)), tuple(both.changed), with_kit
        )
        message = _message(found, where, with_kit=with_kit)
        if patch is not None:
            known_author = git.identity(source)
            author = known_author or git.login()
            text = git.patch_head(message, author) + both.diff(source)
            _write_patch(patch, text)
            # Without the option, git takes carriage returns at the ends of a mail's lines for the mail's own.
            apply = "git am --keep-cr" if "\r\n" in text else "git am"
            return replace(done, apply=apply, author=None if known_author else "{} <{}>".format(*author))
        commit = git.is_top(source) if commit is None else commit
        if commit:
            git.require_clean(source, both.paths)
        entries = []
        if with_kit:
            entries.append(
                GraftEntry.of(kit_changes, name="kit", source="", folder=kit.FOLDER, symbol="R4L_KIT", kit=False)
            )
        uses_kit = found.kit or found.bindgen
        entries.append(
            GraftEntry.of(
                changes,
                name=found.name,
                source=str(found.folder),
                folder=str(where.folder),
                symbol=where.symbol,
                kit=uses_kit,
            )
        )
        _put(record, entries, both)
        if not commit:
            return done
        before = git.head(source)
        try:
            git.commit(source, both.paths, list(both.files), message)
        except BaseException as error:
            # An interrupt may come when the commit is made; to take its files out then would change the work tree.
            if not git.has_committed(source, before, both.paths):
                with _also(error, "the driver is in the tree until --remove"):
                    _take_out(record, entries)
                with _also(error, "git's index has the new files"):
                    git.forget(source, list(both.files))
                raise
            _mark_committed(record, entries)
            raise
        _mark_committed(record, entries)
        return replace(done, commit=git.head(source))


def remove(name: str, tree: Path, *, commit: bool | None = None) -> Graft:
    """Remove a driver from a tree, and the kit too if no other driver there uses it. Exactly what `graft` added is
    undone.

    Args:
        name: the module's name, or the folder that the driver came from.
        commit: make a commit; None means to make one if the driver was added by a commit.

    Raises:
        UsageError: the driver is not in the tree, its files were changed there, or it is the kit and others need it.
        EnvironmentFault: git is missing or refuses.
    """
    source = trees.folders_of(tree).source
    with home.lock(lock_name(source)):
        record = GraftRecord.load(source)
        entry = record.find(name)
        if entry is None:
            there = ", ".join(other.name for other in record.entries if not other.is_kit) or "none"
            raise UsageError(f"r4l has put no driver {name} into {source}", f"name one that it has put there: {there}")
        users = [other.name for other in record.entries if other.kit]
        if entry.is_kit and users:
            raise UsageError(
                f"the kit is needed by {', '.join(users)}", "remove these drivers; the last takes it along"
            )
        entries = [entry]
        if entry.kit and not any(other.kit for other in record.entries if other is not entry):
            entries += [other for other in record.entries if other.is_kit]
        new = sorted(path for each in entries for path in each.hashes)
        changed = sorted({path for each in entries for path, _ in each.blocks})
        commit = entry.committed if commit is None else commit
        if commit:
            git.require_clean(source, [*new, *changed])
        _take_out(record, entries)
        message = f"{entry.folder}: remove {entry.name}\n"
        done = Graft(entry.name, entry.folder, entry.symbol, tuple(new), tuple(changed), len(entries) > 1)
        if not commit:
            return done
        before = git.head(source)
        try:
            git.commit(source, [*new, *changed], [], message)
        except BaseException as error:
            if not git.has_committed(source, before, [*new, *changed]):
                with _also(error, "the driver's files are not restored"):
                    git.restore(source, [*new, *changed])
                record.entries += entries
                record.mark(entries, whole=True)
            raise
        return replace(done, commit=git.head(source))


def _require_fit(source: Path, found: Driver) -> None:
    if found.rust and not (source / "rust/kernel/lib.rs").is_file():
        raise UsageError(f"the kernel in {source} has no Rust", "use a newer kernel")
    if is_below(followed(found.folder), source):
        raise UsageError(f"{found.folder} lies in that tree itself", "give a driver's folder outside of it")


def _changes(tree: Path, found: Driver, where: Place, known: dict[str, bool]) -> Changes:
    needed = depends.needs(tree, found.uses(), known) if found.rust else Needs((), ())
    conditions = [*(["RUST"] if found.rust else []), *(kit.depends() if found.kit else []), *needed.depends]
    selects = [*needed.selects, *(["R4L_KIT"] if found.kit else [])]
    entry = texts.kconfig_entry(found, where.symbol, Needs(tuple(dict.fromkeys(conditions)), tuple(selects)))
    changes = Changes({str(where.folder / path): text for path, text in found.sources.items()})
    if where.own:
        changes.files[str(where.folder / "Kconfig")] = texts.LICENSE + entry.rstrip("\n") + "\n"
        changes.files[str(where.folder / "Makefile")] = texts.makefile(found, where.symbol)
        if found.bindgen:
            changes.files[str(where.folder / ".gitignore")] = texts.LICENSE + "/r4l/\n"
        changes.add_block(tree, str(where.kconfig), texts.kconfig_line(where))
    else:
        changes.add_block(tree, str(where.kconfig), entry)
    changes.add_block(tree, str(where.makefile(tree)), texts.makefile_line(found, where))
    return changes


def _message(found: Driver, where: Place, *, with_kit: bool) -> str:
    # Of a line that begins with the driver's own words, git could take these for a header or the end of the message.
    about = f"The module {found.name}: {found.description}."
    body = f"{about}\n\nIt is built with CONFIG_{where.symbol}, as a module or into the kernel."
    if with_kit:
        body += "\n\nIt needs the kit: safe Rust abstractions for network devices, a crate of its\nown in rust/kit."
    return f"{where.folder}: add {found.name}\n\n{body}\n"


def _write_patch(patch: Path, text: str) -> None:
    try:
        write_named(patch, text)
    except OSError as error:
        raise EnvironmentFault(f"cannot write {patch}: {error.strerror}", "give another file") from error


@contextlib.contextmanager
def _also(error: BaseException, consequence: str) -> Iterator[None]:
    """Add an error of the block, which mends the consequences of another one, to that one's text."""
    try:
        yield
    except R4LError as further:
        if isinstance(error, R4LError):
            error.detail = f"{error.detail}\n{consequence}: {further.cause}; {further.remedy}".lstrip()


def _mark_committed(record: GraftRecord, entries: list[GraftEntry]) -> None:
    for entry in entries:
        entry.committed = True
    record.save()


def _put(record: GraftRecord, entries: list[GraftEntry], changes: Changes) -> None:
    """Write the record, then the files: an interrupted graft can be removed like a complete one."""
    record.entries += entries
    record.save()
    try:
        changes.apply(record.tree)
    except BaseException:
        _forget(record, entries)
        raise
    record.mark(entries, whole=True)


def _take_out(record: GraftRecord, entries: list[GraftEntry]) -> None:
    hashes = {path: known for entry in entries for path, known in entry.hashes.items()}
    blocks = [block for entry in entries for block in entry.blocks]
    whole = all(entry.whole for entry in entries)
    record.mark(entries, whole=False)
    try:
        take_back(record.tree, hashes, blocks, whole=whole)
    except UsageError:
        record.mark(entries, whole=whole)
        raise
    _forget(record, entries)


def _forget(record: GraftRecord, entries: list[GraftEntry]) -> None:
    record.entries = [entry for entry in record.entries if entry not in entries]
    record.save()
