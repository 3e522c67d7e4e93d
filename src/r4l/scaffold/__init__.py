# SPDX-License-Identifier: MIT
"""Create new driver folders from templates. They are complete, tested, and build with plain Kbuild too."""

from __future__ import annotations

import importlib.resources
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from r4l import home, tables
from r4l.errors import EnvironmentFault, UsageError
from r4l.kernel import Kernel
from r4l.paths import require_for_make
from r4l.scaffold.names import INTERFACE_LONGEST, require_free, require_name

__all__ = ["Template", "create"]

COMMON = "common"
HIDDEN = "dot_"
"""Prefix in a template's file names that stands for a leading dot: a real .gitignore would apply to this repository."""


SHAPE = {"description": str, "source": str, "kit?": bool}
"""Keys of a template."""


@dataclass(frozen=True)
class Template:
    """A kind of driver that `r4l new` can create.

    Attributes:
        name: name of the folder under templates/.
        description: what the user gets, as the end of a sentence.
        source: the file to edit first, with NAME for the driver's name.
        kit: True if the driver is linked with the kit.
    """

    name: str
    description: str
    source: str
    kit: bool = False

    @classmethod
    def all(cls) -> dict[str, Template]:
        """Return every template by its name (templates/templates.toml)."""
        text = (_root() / "templates.toml").read_text(encoding="utf-8")
        table = tables.read(text, {"*": SHAPE}, "templates.toml")
        return {name: cls(name, **entry) for name, entry in table.items()}

    @classmethod
    def named(cls, name: str) -> Template:
        """Return the template of that name.

        Raises:
            UsageError: no template has the name.
        """
        known = cls.all()
        if name not in known:
            raise UsageError(f"there is no template {name}", f"use one of {', '.join(known)}")
        return known[name]

    def render(self, name: str, author: str) -> dict[str, str]:
        """Return the files of a new driver: path in its folder to content."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_root()),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            autoescape=False,
            # None of the templates' languages uses these signs, so braces and percent signs need no escape.
            variable_start_string="«",
            variable_end_string="»",
            block_start_string="«%",
            block_end_string="%»",
            comment_start_string="«#",
            comment_end_string="#»",
        )
        values: dict[str, Any] = {
            "name": name,
            "author": author,
            "template": self.name,
            "interface": name[:INTERFACE_LONGEST],
            "source": self.source.replace("NAME", name),
            "kit": self.kit,
        }
        files: dict[str, str] = {}
        for path in environment.list_templates(extensions=["j2"]):
            room, inner = path.split("/", 1)
            if room in (COMMON, self.name) and not Path(inner).name.startswith("_"):
                files[_target(inner, name)] = environment.get_template(path).render(values)
        return dict(sorted(files.items()))


def create(name: str, template: Template, parent: Path, *, author: str | None = None) -> Path:
    """Create the folder `parent/name`. Existing files are never overwritten, and an interrupt leaves no partial folder.

    Args:
        author: author in the module's metadata; None takes git's user name or the login's name.

    Raises:
        UsageError: the name is invalid or taken, or the folder exists.
        EnvironmentFault: the folder cannot be written.
    """
    require_name(name)
    kernel = Kernel.ready()
    if kernel:
        require_free(name, kernel.modules)
    folder = (parent / name).absolute()
    require_for_make(folder, "make it in another folder")
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise UsageError(f"{folder} exists already", "use another name, or move the folder away")
    files = template.render(name, require_author(author) if author is not None else guess_author())
    try:
        _write(folder, files)
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write {folder}: {error.strerror}", "go to a folder that you can write to"
        ) from error
    return folder


def require_author(author: str) -> str:
    """Return the author if a module's metadata can hold it: `module!` takes printable ASCII only.

    Raises:
        UsageError: the metadata cannot hold it.
    """
    if not author.strip() or not author.isascii() or not author.isprintable() or set(author) & set('"\\{}'):
        raise UsageError(
            f"{author!r} cannot stand in a module's metadata", 'use plain ASCII without quotes: --author "Li Hua"'
        )
    return author


def guess_author() -> str:
    """Return the first of the user's names that a module's metadata can hold."""
    for candidate in known_names():
        try:
            return require_author(candidate)
        except UsageError:
            continue
    return "Unknown"


def known_names() -> list[str]:
    """Return git's user name (possibly empty), then the login's full name and the login.

    The last two are missing for a user without an entry in passwd, as in a container.
    """
    said = b""
    if shutil.which("git"):
        said = subprocess.run(["git", "config", "user.name"], capture_output=True, check=False).stdout
    try:
        login = pwd.getpwuid(os.getuid())
        names = [login.pw_gecos.split(",")[0], login.pw_name]
    except KeyError:
        names = []
    # git writes UTF-8, whatever the locale is.
    return [said.decode(errors="surrogateescape").strip(), *names]


def _root() -> Path:
    return Path(str(importlib.resources.files("r4l"))) / "templates"


def _target(inner: str, name: str) -> str:
    parts = [
        "." + part.removeprefix(HIDDEN) if part.startswith(HIDDEN) else part
        for part in inner.removesuffix(".j2").split("/")
    ]
    return "/".join(parts).replace("NAME", name)


def _write(folder: Path, files: dict[str, str]) -> None:
    partial = home.temporary(folder)
    try:
        for path, text in files.items():
            (partial / path).parent.mkdir(parents=True, exist_ok=True)
            (partial / path).write_text(text, encoding="utf-8")
        # rename replaces an empty folder, and fails on any other.
        partial.rename(folder)
    finally:
        home.remove(partial)
