# SPDX-License-Identifier: MIT
"""Programs of an untrusted Makefile or an editor's server cannot reach the host.

attempts.toml lists the attempts, and marks those that once succeeded.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from tests.hostile.conftest import ATTEMPTS, World

from r4l.ide import launcher

REACHED = [attempt["reach"] for attempt in ATTEMPTS]
ENDS_WITH_IT = "a life after the build"


BY = {attempt["reach"]: attempt["by"] for attempt in ATTEMPTS}
SECRETS = ("read", "secret_environment", "loopback", "abstract_socket", "shared_memory", "key")


def require_nothing(world: World, came: dict[str, str], reach: str) -> None:
    """Check that an attempt was made and had no effect; a write may succeed in the sandbox's own memory."""
    assert came[reach]
    if reach in world.targets:
        assert world.unchanged(reach)
    elif BY[reach] in SECRETS:
        assert world.secret not in came[reach]
    else:
        assert not came[reach].startswith("reached"), came[reach]


@pytest.mark.parametrize("reach", [reach for reach in REACHED if reach != ENDS_WITH_IT])
def test_a_makefile_does_not_reach(world: World, built: dict[str, str], reach: str) -> None:
    require_nothing(world, built, reach)


def test_a_makefile_has_its_own_output_and_nothing_else_changed(world: World, built: dict[str, str]) -> None:
    assert set(built) == set(REACHED), "each attempt was made"
    assert not [target for target in world.targets if not world.unchanged(target)]
    assert world.service.reached == []
    assert b"hostile to the terminal" not in world.shown
    assert world.keys() == 0
    assert world.victim.poll() is None


def test_no_process_outlives_the_build(built: dict[str, str], output: Path) -> None:
    """Regression: a process stayed."""
    assert built[ENDS_WITH_IT].startswith("reached"), "it was forked, and has taken the lock"
    with (output / "lingers").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.fixture(scope="module")
def served(world: World, output: Path) -> dict[str, str]:
    """Results of the attempts when an editor starts rust-analyzer and clangd, which read the folder's settings."""
    folder = world.user / "src/attacker"
    command = launcher.command(world.kernel.toolchain, "python3", [folder])
    done = subprocess.run(
        [*shlex.split(command), str(folder / "attack.py"), "/tmp"],
        env={**os.environ, "HOSTILE_SECRET": world.secret},
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("reach", [reach for reach in REACHED if reach != ENDS_WITH_IT])
def test_an_editors_server_does_not_reach(world: World, served: dict[str, str], reach: str) -> None:
    """Regression: attempts that succeeded in a Makefile succeeded here too."""
    require_nothing(world, served, reach)
