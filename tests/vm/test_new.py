# SPDX-License-Identifier: MIT
"""New driver folders: each builds in every way, passes rustfmt and clippy, and its own tests pass and can fail."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from r4l import resources
from r4l.kernel import Kernel
from r4l.module import BuiltModule, Module
from r4l.scaffold import Template, create
from r4l.toolchain import Grant
from r4l.vm import VM

pytestmark = pytest.mark.vm

TEMPLATES = list(Template.all())

MUTANTS = {
    "hello": ("NAME.rs", 'pr_info!("goodbye', 'pr_debug!("goodbye', "test_greeting_and_farewell"),
    "chrdev": (
        "NAME.rs",
        "waiting.truncate(left)",
        "waiting.truncate(left.max(1))",
        "test_written_bytes_are_read_back",
    ),
    "pci": ("NAME.rs", "self.bar.read(regs::FACTORIAL)", "self.bar.read(regs::LIVENESS)", "test_the_factorial"),
    "netdev": ("main.rs", "source.swap_with_slice(destination);", "let _ = (source, destination);", "test_every_host"),
}
"""For each template a line that is made wrong, and its own test that must fail."""


@pytest.fixture(params=TEMPLATES)
def template(request: pytest.FixtureRequest) -> Template:
    return Template.named(request.param)


def thorough_but_for(*names: str) -> pytest.MarkDecorator:
    """Parametrise the fixture `template` so that the default selection runs these only."""
    rest = (pytest.param(name, marks=pytest.mark.thorough) for name in TEMPLATES if name not in names)
    return pytest.mark.parametrize("template", [*names, *rest], indirect=True)


@pytest.fixture
def folder(template: Template, tmp_path: Path) -> Path:
    return create(f"try_{template.name}", template, tmp_path, author="Li Hua")


def own_tests(folder: Path, kernel: Kernel, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the folder's own tests, as its user would."""
    environment = {**os.environ, "R4L_KERNEL": kernel.release}
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, env=environment)


@thorough_but_for("hello", "pci")
def test_its_own_tests_pass(folder: Path, kernel: Kernel) -> None:
    before = sorted(folder.rglob("*"))
    done = own_tests(folder, kernel)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
    assert not re.search(r"skipped|xfailed|warning", done.stdout), done.stdout
    left = [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    assert left == before, "the folder stays clean"


@thorough_but_for()
def test_its_own_tests_find_what_is_wrong(folder: Path, template: Template, kernel: Kernel) -> None:
    file, right, wrong, test = MUTANTS[template.name]
    source = folder / file.replace("NAME", folder.name)
    assert right in source.read_text()
    source.write_text(source.read_text().replace(right, wrong))
    done = own_tests(folder, kernel, "-k", test)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAILED tests/test_{folder.name}.py::{test}" in done.stdout


@pytest.mark.thorough
def test_what_the_readme_of_a_network_interface_says_works(kernel: Kernel, tmp_path: Path) -> None:
    folder = create("try_readme", Template.named("netdev"), tmp_path, author="Li Hua")
    (line,) = re.findall(r"^\$ r4l run \. -- '(.*)'$", (folder / "README.md").read_text(encoding="utf-8"), re.M)
    with VM(kernel, snapshot=True) as vm:
        vm.insmod(Module(folder).build(kernel))
        assert "3 packets transmitted, 3 packets received, 0% packet loss" in vm.run(line, check=True).stdout


@thorough_but_for("pci", "chrdev", "hello")
def test_the_compilers_have_nothing_to_say(folder: Path, kernel: Kernel) -> None:
    lines: list[str] = []
    Module(folder).build_all(kernel, say=lines.append, targets=("CLIPPY=1", "modules"))
    assert any("CLIPPY" in line for line in lines), "clippy ran"
    said = [line for line in lines if re.search(r"(^|: )(warning|error|fatal error)[:\[]", line, re.IGNORECASE)]
    assert not said, "\n".join(lines)


@pytest.mark.parametrize("name", ["a", "a_name_of_the_greatest_length_that_a_module_can_ha"])
def test_rustfmt_has_nothing_to_say(template: Template, name: str, kernel: Kernel, tmp_path: Path) -> None:
    folder = create(name, template, tmp_path, author="Li Hua")
    done = kernel.toolchain.run(
        ["rustfmt", "--check", "--config-path", kernel.source / ".rustfmt.toml", *folder.glob("*.rs")],
        Grant("test", reads=(folder, kernel.source)),
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@thorough_but_for("pci")
def test_plain_make_builds_it_too(folder: Path, kernel: Kernel) -> None:
    argv: list[str | Path] = ["make", "-C", kernel.build, *kernel.make_arguments, f"M={folder}"]
    argv += [f"R4L_KIT={resources.kit()}", "-j2"]
    grant = Grant("test", writes=(folder,), reads=(kernel.source, kernel.build, resources.kit()))
    done = kernel.toolchain.run(argv, grant, check=False)
    assert done.returncode == 0, done.stderr.decode()
    BuiltModule(folder / f"{folder.name}.ko").check(kernel)
    kernel.toolchain.run([*argv, "clean"], grant)
    ignored = [path.name for path in folder.iterdir() if path.suffix in (".o", ".ko", ".mod") or path.name == "r4l"]
    assert not ignored, "make clean leaves nothing behind"
