# SPDX-License-Identifier: MIT
"""`r4l run` of a stranger's folder: nothing of the folder runs or is read outside of sandbox and guest."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from tests.hostile.conftest import World, some
from tests.hostile.test_terminal import HOSTILE, OBEYED

from r4l import resources

MODEL = "open({told!r}, 'w').write('hostile')\nfrom r4l import pci\nclass Evil(pci.Device):\n    pass\n"
PROJECTS = {
    "a model in its own file": '[machine]\ndevices = ["evil.py:Evil"]',
    "a model by a path": '[machine]\ndevices = ["./evil.py:Evil"]',
    "a model of the user's": '[machine]\ndevices = ["{secret}:Evil"]',
    "a model behind a device's name": '[machine]\ndevices = ["edu", "evil.py:Evil"]',
    "a disk of the user's": '[machine]\ndevices = ["loader,file={secret},addr=0"]',
    "a device of the computer's": '[machine]\ndevices = ["vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:00:00.0"]',
    "a card in a file": '[machine]\nnic_model = "evil.py:Evil"',
    "a card by a path": '[machine]\nnic_model = "./evil.py:Evil"',
    "arguments of QEMU's": '[machine]\nqemu = ["-drive", "file={secret}"]',
    "a shared folder": '[machine]\nshare = ["{home}:/mnt"]',
    "a module of the user's": '[machine]\nmodules = ["{secret}"]',
}
"""Project files that reach for the computer of the user who runs the folder."""


@pytest.fixture(scope="module")
def folder(world: World) -> Path:
    """A module's folder, which is built once."""
    # A worker of pytest can come back to this file, and then makes it again.
    place = Path(tempfile.mkdtemp(dir=world.user / "src")) / "hello"
    return Path(shutil.copytree(resources.rust("drivers/hello"), place, ignore=shutil.ignore_patterns("tests")))


@pytest.mark.parametrize("where", ["r4l.toml", pytest.param("pyproject.toml", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("what", some(PROJECTS, 4))
def test_a_project_file_does_not_reach(what: str, where: str, world: World, folder: Path, tmp_path: Path) -> None:
    told = tmp_path / "told"
    (folder / "evil.py").write_text(MODEL.format(told=str(told)))
    text = PROJECTS[what].format(secret=world.user / "secret", home=world.user)
    project = folder / where
    project.write_text(text if where == "r4l.toml" else text.replace("[machine]", "[tool.r4l.machine]"))
    before = len(world.shown)
    try:
        assert world.r4l("run", str(folder), "--", "true") == 2
    finally:
        project.unlink()
    world.settle()
    assert world.secret.encode() not in world.shown[before:]
    assert not told.exists()


@pytest.mark.vm
def test_a_driver_does_not_command_the_terminal(world: World, folder: Path) -> None:
    """The driver's messages are shown as they come, and again with the kernel's complaint."""
    source = (folder / "hello.rs").read_text(encoding="utf-8")
    said = "".join(f"\\u{{{ord(letter):x}}}" for letter in HOSTILE)
    source = source.replace('pr_info!("Hello', f'pr_info!("hostile {{}}\\n", "{said}");\n        pr_info!("Hello')
    (folder / "hello.rs").write_text(source, encoding="utf-8")
    before = len(world.shown)
    assert world.r4l("run", str(folder), "--", "echo c >/proc/sysrq-trigger") != 0
    world.settle()
    shown = bytes(world.shown[before:])
    assert shown.count(b"hostile ") >= 1
    assert not [sequence for sequence in OBEYED if sequence in shown], shown
