# SPDX-License-Identifier: MIT
"""Evaluate one Kconfig file with the kernel's own program among a kernel's options, in little time.

Reading the kernel's whole Kconfig takes ten seconds, mostly for tests of compilers. Here every other option is a plain
one with its value from a configuration. The results for the file's options are the same as long as they change no other
option; the build detects whether they do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from r4l import home
from r4l.arch import architecture
from r4l.errors import BuildError
from r4l.kernel import kconfig
from r4l.kernel.config import read_config
from r4l.kernel.model import Kernel
from r4l.toolchain import Grant

AUTO = "include/config/auto.conf"
"""File that conf writes if it is missing, along with a file for each option."""
UNSET = re.compile(r"# (CONFIG_\w+) is not set$")


@dataclass(frozen=True)
class Trial:
    """A folder with a small tree of Kconfig files.

    Attributes:
        kernel: kernel whose options and whose program (scripts/kconfig/conf) are used.
        folder: contains the files.
        config: the configuration, as text.
    """

    kernel: Kernel
    folder: Path
    config: str

    @classmethod
    def of(cls, kernel: Kernel, folder: Path, config: str, name: PurePosixPath, text: str) -> Trial:
        """Set up a trial in a folder of the home, replacing an earlier one.

        Args:
            name: path of the Kconfig file in the kernel's tree.
            text: content of the file.
        """
        home.remove(folder)
        for path in (folder / name, folder / AUTO):
            path.parent.mkdir(parents=True, exist_ok=True)
        (folder / AUTO).touch()
        (folder / name).write_text(text, encoding="utf-8")
        (folder / "Kconfig").write_text(f'{_options(config)}source "{name}"\n', encoding="utf-8")
        return cls(kernel, folder, config)

    def settled(self, options: Mapping[str, str]) -> dict[str, str]:
        """Apply options to the configuration with olddefconfig; return the result, `CONFIG_…` to value.

        Raises:
            BuildError: Kconfig cannot read the file.
        """
        wanted = self.config + "".join(f"{key}={value}\n" for key, value in options.items())
        # The kernel's program may be a stranger's, and have left a link there.
        home.replace_text(self.folder / ".config", wanted)
        self._conf("--olddefconfig")
        return read_config(self.folder / ".config")

    def dropped(self, options: Mapping[str, str]) -> list[kconfig.Dropped]:
        """Return the options that differ from the wanted values after `settled`, with the reasons."""
        arch = architecture(self.kernel.arch)
        return kconfig.why_dropped(options, self.folder, self.folder, arch, self.kernel.toolchain)

    def asked(self) -> list[str]:
        """Return the questions of Kconfig that the configuration does not answer: help, type and prompt of each
        option."""
        home.replace_text(self.folder / ".config", self.config)
        return self._conf("--helpnewconfig").split("-----\n")[1::2]

    def _conf(self, mode: str) -> str:
        program = self.kernel.build / "scripts/kconfig/conf"
        environment = {"srctree": str(self.folder)}
        toolchain = self.kernel.toolchain
        grant = Grant("kernel: Kconfig tried", writes=(self.folder,), reads=(program.parent,))
        done = toolchain.run([program, mode, "Kconfig"], grant, cwd=self.folder, env=environment, check=False)
        said = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            wrong = done.stderr.decode(errors="replace").strip() or said
            raise BuildError(f"Kconfig cannot be read: {wrong.splitlines()[0]}", "correct that line", detail=wrong)
        return said


def _options(config: str) -> str:
    """Return Kconfig entries for the options of a configuration: each can be set to any value and has no
    dependencies."""
    entries = []
    for line in config.splitlines():
        unset = UNSET.match(line)
        option, equals, value = (unset[1], "=", "n") if unset else line.partition("=")
        if equals and option.startswith("CONFIG_"):
            name = option.removeprefix("CONFIG_")
            more = "\tmodules\n" if name == "MODULES" else ""
            entries.append(f'config {name}\n\t{_type(value)} "{name}"\n{more}')
    return "".join(entries)


def _type(value: str) -> str:
    if value in ("y", "n", "m"):
        return "tristate" if value == "m" else "bool"
    if value.startswith('"'):
        return "string"
    return "hex" if value.startswith("0x") else "int"
