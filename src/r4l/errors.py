# SPDX-License-Identifier: MIT
"""All errors of r4l: each with one cause, one remedy and a documented exit code.

The codes start at 120, so that they do not hide the exit code of a command in the guest (`r4l run -- COMMAND` ends with
the exit code of COMMAND).
"""

from __future__ import annotations

import errno
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from r4l.known import Explanation

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of the system for a full disk and for an exceeded quota."""


class _OldName:
    """The old name of `R4LError.category`, on a class and on an error."""

    def __get__(self, error: R4LError | None, of: type[R4LError]) -> str:
        warnings.warn("R4LError.kind is now R4LError.category", DeprecationWarning, stacklevel=2)
        return (of if error is None else error).category


class R4LError(Exception):
    """Base class of all errors that r4l raises on purpose.

    Args:
        cause: one sentence that says what is wrong.
        remedy: one sentence that says what to do; may be empty if only the user can know.
        detail: long text, such as the end of a console or compiler output.
        log: file on the host with the complete output.
        known: name of the matching entry in the tables of `r4l.known`; empty if none matched.

    Attributes:
        category: name of the error in JSON and before its cause on the console.
        late: True if something did not happen within a time that r4l or a test gave it; on a busy host that may be the
            host's fault (`r4l.vm.blame`).
        starved: how far the host kept a program from its processors meanwhile; empty if it did not, or if that is not
            known.
    """

    exit_code = 125
    category = "error"
    late = False
    starved = ""
    kind = _OldName()

    def __init__(
        self, cause: str, remedy: str = "", *, detail: str = "", log: Path | None = None, known: str = ""
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy
        self.detail = detail
        self.log = log
        self.known = known

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in vars(cls):
            warnings.warn("R4LError.kind is now R4LError.category", DeprecationWarning, stacklevel=2)
            cls.category = vars(cls)["kind"]

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the error as data for JSON."""
        entry: dict[str, str | int | None] = {"error": self.category, "cause": self.cause, "remedy": self.remedy}
        log = str(self.log) if self.log else None
        return {**entry, "exit_code": self.exit_code, "known": self.known or None, "log": log, "detail": self.detail}

    def __str__(self) -> str:
        lines = [self.cause]
        if self.remedy:
            lines.append(f"remedy: {self.remedy}")
        if self.log:
            lines.append(f"log: {self.log}")
        if self.detail:
            lines.append(self.detail)
        return "\n".join(lines)


class UsageError(R4LError):
    """The call itself is wrong: a folder without a module, an unknown name."""

    exit_code = 2
    category = "usage"


class EnvironmentFault(R4LError):
    """The host lacks something: a package, the network, disk space, a usable kernel."""

    exit_code = 120
    category = "environment"


class BuildError(R4LError):
    """A module, the kernel's metadata or the guest's agent did not build, or does not fit its kernel.

    Args:
        explanations: all known errors of the build; the first one corresponds to `cause`.
    """

    exit_code = 121
    category = "build"

    def __init__(
        self,
        cause: str,
        remedy: str = "",
        *,
        detail: str = "",
        log: Path | None = None,
        known: str = "",
        explanations: Sequence[Explanation] = (),
    ) -> None:
        super().__init__(cause, remedy, detail=detail, log=log, known=known)
        self.explanations = tuple(explanations)

    def as_dict(self) -> dict[str, Any]:
        """Return the error as data for JSON; `errors` has the explanations, each with its matched words."""
        errors = [{"known": w.name, "cause": w.cause, "remedy": w.remedy, "text": w.text} for w in self.explanations]
        return {**super().as_dict(), "errors": errors}


class BootError(R4LError):
    """The virtual machine did not reach its first command, or QEMU died.

    Attributes:
        booted: True if the guest's agent had answered before.
    """

    booted = False
    exit_code = 122
    category = "boot"


class VerdictError(R4LError):
    """The run completed with a negative result: the kernel complained, or a check failed."""

    exit_code = 123
    category = "verdict"


class GuestTimeout(R4LError):
    """A command in the guest did not end in time. The exit code is that of coreutils' timeout."""

    exit_code = 124
    category = "timeout"
    late = True


EXIT_CODES: dict[int, str] = {
    0: "success",
    2: "usage: bad arguments, or a folder of the wrong kind",
    120: "environment: something is missing on this machine (see `r4l doctor`), or it could not judge a check",
    121: "build: a module or the kernel's metadata did not build, or does not fit its kernel",
    122: "boot: the virtual machine did not reach its first command, or QEMU died",
    123: "verdict: it ran, and a check failed or the kernel complained",
    124: "timeout: a command in the guest did not end in its time",
    125: "a bug in r4l",
    126: "the guest's agent could not carry out a request: no such program, no such file",
    130: "interrupted with Ctrl-C",
}


def disk_full(detail: str, *, log: Path | None = None) -> EnvironmentFault:
    """Return the error for a full disk.

    Args:
        detail: message of the system, or of a program.
        log: file with all that the program said.
    """
    return EnvironmentFault(
        "the disk is full", "free some space, or set R4L_HOME to a folder on a larger disk", detail=detail, log=log
    )
