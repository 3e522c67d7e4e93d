# SPDX-License-Identifier: MIT
"""The requirements on this machine's C library."""

from __future__ import annotations

import platform

import pytest

from r4l.toolchain import host


@pytest.mark.parametrize(
    ("library", "version", "said"),
    [
        ("glibc", "2.28", ""),
        ("glibc", "2.100", ""),
        ("glibc", "3.0", ""),
        ("glibc", "2.27", "its glibc is 2.27"),
        ("glibc", "2.5", "its glibc is 2.5"),
        ("musl", "1.2.5", "its C library is not glibc"),
        ("", "", "its C library is not glibc"),
    ],
)
def test_the_c_library(library: str, version: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, version))
    problem = host.problem()
    assert (problem is not None) == bool(said)
    if problem:
        assert said in problem.cause
        assert "glibc 2.28 or newer" in problem.remedy
