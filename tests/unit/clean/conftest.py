# SPDX-License-Identifier: MIT
"""The toolchain of a few files."""

from tests.unit.toolchain.conftest import debian

__all__ = ["debian"]
