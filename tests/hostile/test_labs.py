# SPDX-License-Identifier: MIT
"""A student's work in a lab: files read by its build, and network access and floods of its guest."""

from __future__ import annotations

import re
import shutil

import pytest
from tests.hostile.conftest import HERE, World

from r4l import home, resources
from r4l.camp.labs.check import Check, Verdict, place
from r4l.camp.labs.lab import Lab
from r4l.camp.labs.outcomes import Outcome
from r4l.camp.labs.workspace import Workspace

pytestmark = pytest.mark.vm

LAB = """
edit = ["hello.rs"]
answer = "drivers/hello"
title = { en = "Strangers", zh = "陌生人" }
"""
POINT = """
[[checkpoint]]
id = "ID"
title = { en = "ID", zh = "ID" }
read = { en = "ID", zh = "ID" }
"""
POINTS = ("router", "loopback", "ipv6")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab whose checks act like an attacker's program in the guest."""
    folder = tmp_path_factory.mktemp("labs") / "99-strangers"
    (folder / "checks").mkdir(parents=True)
    shutil.copytree(resources.rust("drivers/hello"), folder / "starter", ignore=shutil.ignore_patterns("tests"))
    (folder / "lab.toml").write_text(LAB + "".join(POINT.replace("ID", point) for point in POINTS), encoding="utf-8")
    shutil.copy(HERE / "guest_checks.py", folder / "checks/test_guest.py")
    for handout in ("handout.md", "handout.zh-CN.md"):
        (folder / handout).write_text("")
    return Lab.read(folder)


@pytest.fixture(scope="module")
def checked(world: World, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> tuple[Check, Verdict]:
    """Verdict on the lab."""
    workspace = Workspace.start(lab, tmp_path_factory.mktemp("work") / "strangers")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTILE_PORT", str(world.service.server_address[1]))
        done = Check(workspace, [world.kernel])
        return done, done.run()


def outcome(checked: tuple[Check, Verdict], point: str) -> Outcome:
    """Return the outcome of a checkpoint."""
    return next(outcome for outcome in checked[1].outcomes if outcome.id == point)


def test_the_router_is_there(checked: tuple[Check, Verdict]) -> None:
    assert outcome(checked, "router").passed, outcome(checked, "router")


@pytest.mark.parametrize("point", ["loopback", "ipv6"])
def test_a_guest_does_not_reach_the_teachers_loopback(world: World, checked: tuple[Check, Verdict], point: str) -> None:
    """Regression: QEMU's router forwards 10.0.2.2 and fec0::2 to the host."""
    found = outcome(checked, point)
    assert "answer" in found.expected, "it was tried"
    assert any(word in found.seen for word in ("refused", "unreachable", "143 ")), found.seen
    assert world.secret not in found.seen


READS = {
    "another student's source": "{student}/hello.rs",
    "the user's secret": "{user}/secret",
    "the reference answer": "{answer}",
    "the home": "{home}/lock.json",
}
"""Files that a hostile source includes in the module."""


@pytest.fixture(scope="module")
def unread(world: World, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files that the compiler could not read, among those that a student's hello.rs includes in lab 3."""
    workspace = Workspace.start(Lab.named("hello"), tmp_path_factory.mktemp("work") / "reader")
    own = workspace.folder / "hello.rs"
    wanted = [*paths(world).values(), str(place(workspace) / "hello.rs")]
    lines = [f'const READ_{number}: &[u8] = include_bytes!("{path}");' for number, path in enumerate(wanted)]
    own.write_text("\n".join([own.read_text(encoding="utf-8"), *lines]), encoding="utf-8")
    done = Check(workspace, [world.kernel])
    try:
        said = done.run().build
    finally:
        done.discard()
    assert world.secret not in said
    return set(re.findall("couldn't read `([^`]+)`", said))


def paths(world: World) -> dict[str, str]:
    """Paths of these files."""
    answer = Lab.named("hello").answer / "hello.rs"
    facts = {"student": world.student, "user": world.user, "home": home.home(), "answer": answer}
    return {name: path.format(**facts) for name, path in READS.items()}


@pytest.mark.parametrize("what", READS)
def test_what_is_compiled_does_not_reach(world: World, unread: set[str], what: str) -> None:
    """Regression: another student's source and the home were readable; the user's secret and the answer were not."""
    assert paths(world)[what] in unread


def test_what_is_compiled_reads_itself(world: World, unread: set[str]) -> None:
    assert unread == set(paths(world).values())
