# SPDX-License-Identifier: MIT
"""Editor support: files that configure rust-analyzer and clangd for a module folder, or for the kernel's tree.

All content comes from Kbuild itself: the crates, flags and generated files of the build, at the paths of the build.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from r4l import home, resources
from r4l.errors import BuildError
from r4l.ide import compile_commands, launcher, owned, rust_project, vscode
from r4l.ide.built import commands_of
from r4l.ide.commands import latest, recorded
from r4l.kernel import Kernel, named
from r4l.module import Module, visible
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain

__all__ = ["EditorFiles", "default_subsystems", "for_module", "for_tree", "is_unseen", "rewrite_if_moved", "show"]

SETTINGS = Path(".vscode") / "settings.json"
BESIDE = Path(".vscode") / "r4l.settings.json"


@dataclass(frozen=True)
class EditorFiles:
    """Result of writing the editor files of a folder.

    Attributes:
        folder: the folder to open in the editor.
        projects: each rust-project.json: the folder's own first, if it has Rust, then the kernel's.
        commands: compile_commands.json; None if no C is compiled.
        settings: VS Code's settings, or the file beside them.
        programs: `rust-analyzer` and `clangd`, scripts that start the servers.
        changed: files that are new or have new content.
        kept: VS Code's settings that the user has set otherwise and that were left alone; None if the user's
            settings.json cannot be parsed, and `settings` is a file beside it.
        broken: the error if the module does not build at the moment; some of its files may then be missing.
    """

    folder: Path
    projects: tuple[Path, ...]
    commands: Path | None
    settings: Path
    programs: dict[str, Path]
    changed: tuple[Path, ...] = ()
    kept: tuple[str, ...] | None = ()
    broken: BuildError | None = None


def default_subsystems() -> list[str]:
    """Return the kernel's folders whose C files are listed if none is named."""
    table = resources.table(__package__, "subsystems.toml", {"default": [str]})
    return list(table["default"])


def for_module(module: Module, kernel: Kernel, *, force: bool = False, say: Say = quiet) -> EditorFiles:
    """Build a module, and write the editor files into its folder.

    Args:
        force: replace files that r4l did not write.

    Raises:
        UsageError: the folder holds no module, or one of the files is the user's own.
        EnvironmentFault: the folder is not writable, or the language servers cannot be installed.
        BuildError: the kernel's generator failed.
    """
    commands, broken = commands_of(module, kernel, say)
    toolchain = _toolchain(kernel, say)
    say("listing the crates")
    files: dict[Path, str] = {}
    projects = []
    rust = [command for command in commands if command.language == "rust"]
    if kernel.config.get("CONFIG_RUST") == "y":
        tree_file, tree = _kernel_project(kernel, toolchain)
        projects = [tree_file]
        if rust:
            own = module.folder / rust_project.NAME
            projects.insert(0, own)
            files[own] = _json(rust_project.of_module(tree, rust, module.output(kernel), module.folder))
    entries = compile_commands.entries(commands, toolchain)
    commands_file = module.folder / compile_commands.NAME if entries else None
    if commands_file:
        files[commands_file] = _json(entries)
    written = _write(module.folder, kernel, files, projects, commands_file, force, module.config)
    return dataclasses.replace(written, programs=_launchers(toolchain), broken=broken)


def for_tree(kernel: Kernel, subsystems: Sequence[str] = (), *, force: bool = False, say: Say = quiet) -> EditorFiles:
    """Write the editor files of the kernel's own tree: the JSON files into the home, only settings into the tree.

    Args:
        subsystems: folders of the kernel whose C files are listed beside those already compiled; empty for the default.
        force: replace files that r4l did not write.

    Raises:
        UsageError: the kernel has no such subsystem, or one of the files is the user's own.
        EnvironmentFault: a folder is not writable, or the language servers cannot be installed.
        BuildError: the kernel's generator failed.
    """
    toolchain = _toolchain(kernel, say)
    say("listing the crates")
    projects = [_kernel_project(kernel, toolchain)[0]] if kernel.config.get("CONFIG_RUST") == "y" else []
    say("listing the C files")
    planned = compile_commands.of_subsystems(kernel, subsystems or default_subsystems())
    commands = latest(planned, recorded(kernel.build)).values()
    entries = compile_commands.entries(commands, toolchain)
    commands_file = _room(kernel) / compile_commands.NAME
    with _lock(kernel):
        changed = _publish(commands_file, _json(entries))
    written = _write(kernel.source, kernel, {}, projects, commands_file, force)
    return dataclasses.replace(
        written,
        programs=_launchers(toolchain),
        changed=(*([commands_file] if changed else []), *written.changed),
    )


def rewrite_if_moved(module: Module, kernel: Kernel, say: Say = quiet) -> EditorFiles | None:
    """Write a folder's editor files again if it, or the home, lies elsewhere than when they were written.

    Args:
        kernel: kernel of the files if the one that they were written for is not ready.

    Returns:
        None if nothing was moved, or the folder has no editor files.

    Raises:
        R4LError: as for `for_module`.
    """
    record = owned.moved(module.folder)
    if record is None:
        return None
    same = named.ready(record.kernel, arch=record.arch)
    return for_module(Module(module.folder, record.config), same or kernel, say=say)


def is_unseen(folder: Path) -> bool:
    """True if a folder has editor files, and the language servers do not see it: it was absent, as on a disk that was
    not mounted, when `r4l ide` was called for another one."""
    return folder in owned.folders() and not launcher.knows(folder)


def show(folder: Path, kernel: Kernel, say: Say = quiet) -> None:
    """Let the language servers see all folders that have editor files and are there.

    Args:
        folder: one of them; the servers are those for its kernel.
        kernel: the kernel to take if that one is not ready.

    Raises:
        R4LError: as for `for_module`.
    """
    record = owned.OwnedFiles.of(folder)
    _launchers(_toolchain(named.ready(record.kernel, arch=record.arch) or kernel, say))


def _launchers(toolchain: Toolchain) -> dict[str, Path]:
    return launcher.write(toolchain, owned.readable, owned.folders)


def _toolchain(kernel: Kernel, say: Say) -> Toolchain:
    """Return the kernel's toolchain extended by the servers.

    They run on this host, whatever the kernel's architecture.
    """
    return Toolchain(kernel.toolchain.root, kernel.toolchain.key).extended("editor", say=say)


def _kernel_project(kernel: Kernel, toolchain: Toolchain) -> tuple[Path, rust_project.Project]:
    """Return the path and content of the kernel's rust-project.json, generating it if the kernel may have changed."""
    path = _room(kernel) / rust_project.NAME
    with _lock(kernel):
        # A kernel in the home never changes; the user's own tree may get new drivers.
        known: rust_project.Project | None = home.record(path)
        if (
            known is not None
            and kernel.source.is_relative_to(home.home())
            and all(file.exists() for file in rust_project.paths(known))
        ):
            return path, known
        project = rust_project.on_host(rust_project.of_kernel(kernel), toolchain.root)
        _publish(path, _json(project))
    return path, project


def _write(
    folder: Path,
    kernel: Kernel,
    files: dict[Path, str],
    projects: list[Path],
    commands: Path | None,
    force: bool,
    config: tuple[tuple[str, str], ...] = (),
) -> EditorFiles:
    """Write files into the user's folder; if one of them is the user's own, write none."""
    programs = {program: home.room("bin") / program for program in launcher.PROGRAMS}
    elsewhere = commands.parent if commands and commands.parent != folder else None
    wanted = vscode.settings(projects, programs["rust-analyzer"], programs["clangd"], elsewhere, folder)
    with home.lock(f"ide-{owned.digest(str(folder))}"):
        record = owned.OwnedFiles.of(folder)
        merge = vscode.merge(owned.read(folder / SETTINGS), wanted, record.settings, force=force)
        settings = folder / (BESIDE if merge.text is None else SETTINGS)
        if merge.text is None:
            files = {**files, settings: _json(wanted, indent=4)}
        for path, text in files.items():
            record.require_inside(path)
            if not force:
                record.require_ours(path, text)
        record.require_inside(settings)
        record.settings = wanted
        record.kernel = kernel.release if kernel.name == "stock" else kernel.name
        record.arch, record.config, record.home = kernel.arch, dict(config), str(home.home())
        # As a build: a module may include files beside its folder.
        record.reads = [str(path) for path in (*visible(folder), resources.kit(), kernel.source, kernel.build)]
        changed = [path for path, text in files.items() if record.write(path, text)]
        if merge.text is not None and record.write(settings, merge.text):
            changed.append(settings)
    return EditorFiles(
        folder,
        tuple(projects),
        commands,
        settings,
        programs,
        tuple(changed),
        None if merge.text is None else merge.kept,
    )


def _room(kernel: Kernel) -> Path:
    """Return the folder in the home for a kernel's editor files.

    The kernel's tree may hold the user's files of the same names.
    """
    return home.room(owned.ROOM, "kernels", f"{kernel.release}-{kernel.key}")


def _lock(kernel: Kernel) -> FileLock:
    return home.lock(f"ide-kernel-{kernel.key}")


def _publish(path: Path, text: str) -> bool:
    """Write a file in the home; return False if its content is the same already."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    partial = home.temporary(path)
    partial.write_text(text, encoding="utf-8")
    home.publish(partial, path)
    return True


def _json(value: object, indent: int = 1) -> str:
    # The script that starts a server looks for a folder's path as it is (`launcher`).
    text = json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:
        # A path that is not UTF-8.
        return json.dumps(value, indent=indent, sort_keys=True) + "\n"
    return text
