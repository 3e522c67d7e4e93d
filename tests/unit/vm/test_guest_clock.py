# SPDX-License-Identifier: MIT
"""The frequency of the host's counter, for guests under TCG."""

from __future__ import annotations

import mmap
import platform
from pathlib import Path
from types import SimpleNamespace

import pytest

from r4l.arch import architecture
from r4l.vm import guest_clock

CODE = bytes.fromhex(architecture("x86_64").counter_code)
HERE = platform.machine() == "x86_64"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))


def kernel(arch: str = "x86_64", hertz: str | None = "250") -> SimpleNamespace:
    counter = {"CONFIG_X86_TSC": "y"} if arch == "x86_64" else {}
    return SimpleNamespace(arch=arch, config=counter | ({"CONFIG_HZ": hertz} if hertz else {}))


@pytest.mark.skipif(not HERE, reason="the host has no such counter")
def test_what_is_measured_is_always_the_same() -> None:
    first, second = guest_clock.measured(CODE), guest_clock.measured(CODE)
    assert 500_000 < first < 10_000_000
    assert abs(first - second) < first / 1000


def test_a_guest_is_told_what_was_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    answers = [2_596_147, 1]
    monkeypatch.setattr(guest_clock, "measured", lambda _code: answers.pop(0))
    for _ in range(2):
        assert guest_clock.words(kernel()) == ("no_timer_check", "tsc_early_khz=2596147", "lpj=10384588")  # type: ignore[arg-type]
    assert guest_clock.words(kernel(hertz=None)) == ("no_timer_check", "tsc_early_khz=2596147")  # type: ignore[arg-type]
    assert guest_clock.words(kernel("arm64")) == ()  # type: ignore[arg-type]
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert guest_clock.words(kernel()) == ("no_timer_check",)  # type: ignore[arg-type]


def test_a_host_that_lets_no_program_run_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_rest: object) -> None:
        raise PermissionError

    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(mmap, "mmap", refused)
    assert guest_clock.measured(CODE) == 0
    assert guest_clock.words(kernel()) == ("no_timer_check",)  # type: ignore[arg-type]
