# SPDX-License-Identifier: MIT
"""Attributes that a VM has only after its start: until then, each tells the user to start it."""

from __future__ import annotations

from typing import Any

from r4l.errors import UsageError


class FromStart:
    """Descriptor for an attribute that a VM has only after its start; the value set then takes precedence."""

    def __get__(self, vm: object, owner: type) -> FromStart:
        if vm is None:
            return self
        raise not_started()


def from_start() -> Any:
    """Return a descriptor that stands for an attribute of any type."""
    return FromStart()


def not_started() -> UsageError:
    """Return the error for a use before the start."""
    return UsageError("the VM has not been started", "use it in a `with` statement, or call start()")
