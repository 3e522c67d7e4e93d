# SPDX-License-Identifier: MIT
"""The project file: where it is found, what it may say, and what comes before it."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from r4l.bench.measure import Subject
from r4l.cli import bench, build, cli, debug, ide, kernel, run, setup, shell, sweep, watch
from r4l.cli import log as log_command
from r4l.cli import test as test_command
from r4l.cli.lab import command as lab
from r4l.cli.options import MachineOptions
from r4l.cluster import SharedKernel
from r4l.debian import choice
from r4l.errors import UsageError
from r4l.module import BuiltModule
from r4l.settings import Settings
from r4l.sweep import SweptDriver, SweptMachine
from r4l.testing import options
from r4l.testing.machine import WORDS, spec_of
from r4l.vm.cables import ISOLATED

TEXT = """
kernel = "minimal"
arch = "arm64"

[machine]
memory = 512
cpus = 3
nics = 2
nic_model = "e1000e"
modules = ["9p"]
devices = ["edu"]
append = "quiet"
snapshot = true

[parameters]
debug = 3
on = true
ports = [1, 2]
name = "x"

[config]
MYNIC = "m"
DEBUG = false
LEVEL = 3
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the user's, and their home elsewhere."""
    for name in ("R4L_KERNEL", "R4L_ARCH", "R4L_MIRROR", ISOLATED):
        # Set first, so that what a command sets is unset after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    options.settings.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A driver's folder with a project file above it."""
    (tmp_path / "r4l.toml").write_text(TEXT)
    driver = tmp_path / "drivers/x"
    driver.mkdir(parents=True)
    (driver / "Kbuild").write_text("obj-m := x.o\n")
    return driver


def test_it_is_the_nearest_and_ends_with_the_checkout_and_before_the_home(folder: Path, tmp_path: Path) -> None:
    found = Settings.near(folder)
    assert found.file == tmp_path / "r4l.toml"
    assert (found.kernel, found.arch, found.machine["cpus"]) == (("minimal",), "arm64", 3)
    assert found.pairs == ("debug=3", "on=1", "ports=1,2", "name=x")
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert Settings.near(folder).file == tmp_path / "r4l.toml", "a project file of others'"
    (folder / "pyproject.toml").write_text("[tool.r4l]\nkernel = ['stock', './linux']\n")
    assert Settings.near(folder).kernel == ("stock", str(folder / "linux"))
    (folder / "r4l.toml").write_text("")
    assert Settings.near(folder) == Settings(folder / "r4l.toml")
    (folder / "r4l.toml").unlink()
    (folder / "pyproject.toml").unlink()
    (tmp_path / "drivers/.git").mkdir()
    assert Settings.near(folder) == Settings()
    home = tmp_path / "home"
    (home / "below").mkdir(parents=True)
    (home / "r4l.toml").write_text("arch = 'arm64'\n")
    assert Settings.near(home / "below") == Settings()


def test_the_folders_above_are_those_of_the_folder_and_not_of_the_path_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `r4l run ../two` in `one` took the project file of `one`."""
    for name in ("one", "two", "far/below"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "one/r4l.toml").write_text("arch = 'arm64'\n")
    (tmp_path / "far/r4l.toml").write_text("arch = 'riscv64'\n")
    (tmp_path / "one/link").symlink_to(tmp_path / "far/below")
    monkeypatch.chdir(tmp_path / "one")
    assert Settings.near(Path("../two")) == Settings()
    assert Settings.near(Path("link/..")).arch == "riscv64"
    assert Settings.near(Path("link")).arch == "arm64"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kernl = 'x'", ["no key kernl", "did you mean kernel?"]),
        ("memory = 1", ["no key memory", "machine.memory"]),
        ("cpu = 1", ["no key cpu", "machine.cpus"]),
        ("[machine]\nmemroy = 1", ["machine.memroy", "did you mean machine.memory?"]),
        ("[machine]\nnic-model = 'x'", ["did you mean machine.nic_model?"]),
        ("[machine]\nzzz = 1", ["machine.zzz", "memory, cpus"]),
        ("[machine]\nmemory = '512M'", ["machine.memory has to be a whole number"]),
        ("[machine]\nmemory = true", ["machine.memory has to be a whole number"]),
        ("[machine]\ncpus = 0", ["machine.cpus is 0"]),
        ("[machine]\ndevices = 'edu'", ["machine.devices has to be a list of texts"]),
        ("[machine]\ndevices = [1]", ["machine.devices has to be a list of texts"]),
        ("machine = 3", ["machine has to be a table, not 3"]),
        ("parameters = 'x=1'", ["parameters has to be a table"]),
        ("kernel = ['a', 1]", ["kernel has to be a text or a list of texts"]),
        ("kernel = 3", ["kernel has to be a text or a list of texts"]),
        ("arch = 'vax'", ["unknown architecture vax"]),
        ("[parameters]\nx = 1979-05-27", ["parameters.x cannot be"]),
        ("[config]\nX = ['m']", ["config.X cannot be", '"m"']),
        ("mirror = 3", ["mirror has to be a text"]),
        ("kernel = ", ["is not TOML"]),
        ("[machine]\ndevices = ['nvme,romfile=/etc/shadow']", ["names a file of this computer"]),
        ("[machine]\ndevices = ['model.py:Evil']", ["names a file of this computer"]),
        (
            """[machine]\ndevices = ['{"driver": "nvme", "romfile": "\\u002fetc\\u002Fshadow"}']""",
            ["names a file of this computer"],
        ),
        ("[machine]\nnic_model = 'model.py:Evil'", ["the card 'model.py:Evil' names a file", "--nic-model"]),
        ("[machine]\nnic_model = './model.py:Evil'", ["names a file of this computer"]),
    ],
)
def test_what_it_cannot_say_is_refused(text: str, words: list[str], tmp_path: Path) -> None:
    (tmp_path / "r4l.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        Settings.near(tmp_path)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("tool = 5", "tool is no table"),
        ("tool = [1]", "tool is no table"),
        ("[[tool]]\nr4l = 1", "tool is no table"),
        ("[tool]\nr4l = 5", "tool.r4l is no table"),
        ("[[tool.r4l]]\nkernel = 'rt'", "tool.r4l is no table"),
        ("[tool]\nr4l = ''", "tool.r4l is no table"),
    ],
)
def test_a_shared_file_without_the_table_is_refused(text: str, cause: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=cause):
        Settings.near(tmp_path)


def test_a_shared_file_of_others_says_nothing(tmp_path: Path) -> None:
    for text in ("", "[tool]\n", "[tool.other]\nr4l = 1\n", "[project]\nname = 'x'\n"):
        (tmp_path / "pyproject.toml").write_text(text)
        assert Settings.near(tmp_path) == Settings()


@pytest.mark.parametrize("name", ["r4l.toml", "pyproject.toml"])
def test_notepads_mark_at_the_begin_is_no_mistake(name: str, tmp_path: Path) -> None:
    text = "[tool.r4l]\nkernel = 'rt'\n" if name == "pyproject.toml" else "kernel = 'rt'\n"
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert Settings.near(tmp_path).kernel == ("rt",)


class Seen(Exception):
    """Return the values that a command would work with."""


COMMANDS: dict[str, tuple[click.Command, Any]] = {
    "run": (run.command, run),
    "debug": (debug.command, debug),
    "build": (build.command, build),
    "test": (test_command.command, test_command),
    "watch": (watch.command, watch),
    "ide": (ide.command, ide),
    "bench": (bench.command, bench),
    "sweep": (sweep.command, sweep),
}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str]]:
    """The kernels that commands ask for: each ends there."""
    asked: list[tuple[str | None, str]] = []

    def set_up(_stages: object, name: str | None = None, *, arch: str, **_rest: object) -> None:
        asked.append((name, arch))
        raise Seen

    for _, module in (*COMMANDS.values(), (None, shell), (None, setup)):
        monkeypatch.setattr(module, "set_up", set_up)
    return asked


@pytest.mark.parametrize("name", COMMANDS)
def test_command_line_before_environment_before_project_file_before_default(
    name: str, folder: Path, tmp_path: Path, seen: list[tuple[str | None, str]]
) -> None:
    command = COMMANDS[name][0]
    arguments = [str(folder)]

    def ask(*more: str, **environment: str) -> tuple[str | None, str]:
        done = CliRunner().invoke(command, [*more, *arguments], env=environment)
        assert isinstance(done.exception, Seen), done.output
        return seen[-1]

    assert ask() == ("minimal", "arm64")
    assert ask(R4L_KERNEL="debug", R4L_ARCH="x86_64") == ("debug", "x86_64")
    assert ask("--kernel", "samples", "--arch", "arm64", R4L_KERNEL="debug", R4L_ARCH="x86_64") == ("samples", "arm64")
    (tmp_path / "r4l.toml").unlink()
    assert ask() == (None, "x86_64")


MIRROR = "http://mirror.example/debian"


@pytest.mark.parametrize("name", [*COMMANDS, "setup", "doctor", "demo", "kernel list"])
def test_the_mirror_of_each_command_that_fetches(
    name: str, folder: Path, tmp_path: Path, seen: list[tuple[str | None, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (tmp_path / "r4l.toml").write_text(f"mirror = '{MIRROR}/'\n")
    used: list[str] = []

    def stop(*_arguments: object, **_rest: object) -> None:
        used.append(choice.mirror())
        raise Seen

    words: list[str] = []
    if name == "doctor":
        monkeypatch.setattr("r4l.doctor.findings", stop)
    elif name == "demo":
        monkeypatch.setattr("r4l.cli.demo.Demo", stop)
        words = ["--out", str(tmp_path / "out")]
    elif name == "kernel list":
        monkeypatch.setattr("r4l.kernel.stock.archives", stop)
        words = ["--available"]
    else:
        monkeypatch.setattr(f"r4l.cli.{name}.set_up", stop)
        words = [] if name == "setup" else [str(folder)]

    def ask(**environment: str) -> str:
        done = CliRunner().invoke(cli, [*name.split(), *words], env=environment)
        assert isinstance(done.exception, Seen), done.output
        monkeypatch.delenv("R4L_MIRROR", raising=False)
        return used[-1]

    assert ask() == MIRROR
    assert ask(R4L_MIRROR="http://another.example/debian") == "http://another.example/debian"
    (tmp_path / "r4l.toml").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask() == choice.DEFAULT_MIRROR


@pytest.mark.parametrize("address", ["mirror.example/debian", "ftp://mirror.example/debian", "/srv/debian", "http://["])
def test_a_mirror_that_is_no_address(address: str, tmp_path: Path) -> None:
    (tmp_path / "r4l.toml").write_text(f"mirror = '{address}'\n")
    with pytest.raises(UsageError, match=r"r4l\.toml: mirror is .* not an http or https address"):
        choice.prefer(Settings.near(tmp_path))


def test_the_mirror_of_pytest_and_none_of_a_lab(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r4l.toml").write_text(f"mirror = '{MIRROR}'\n")

    class Config:
        invocation_params = pytest.Config.InvocationParams(args=(), plugins=None, dir=folder)

    config: Any = Config()
    monkeypatch.setenv(ISOLATED, "1")
    options.use_mirror(config)
    assert "R4L_MIRROR" not in os.environ
    monkeypatch.delenv(ISOLATED)
    options.settings.cache_clear()
    options.use_mirror(config)
    assert choice.mirror() == MIRROR


def test_tests_may_have_several_kernels_of_the_environment(folder: Path, seen: list[tuple[str | None, str]]) -> None:
    context = test_command.command.make_context("test", [str(folder)])
    assert context.params["kernel_names"] == ("minimal",)
    with CliRunner().isolation(env={"R4L_KERNEL": "stock debug"}):
        context = test_command.command.make_context("test", [str(folder)])
    assert context.params["kernel_names"] == ("stock", "debug")


@pytest.mark.parametrize(
    ("command", "arguments"), [(shell.command, []), (setup.command, []), (run.command, ["-", "--", "x"])]
)
def test_without_a_folder_it_is_that_of_the_folder_one_is_in(
    command: click.Command,
    arguments: list[str],
    folder: Path,
    seen: list[tuple[str | None, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(shell, "require_terminal", lambda: None)
    assert isinstance(CliRunner().invoke(command, arguments).exception, Seen)
    assert seen == [("minimal", "arm64")]


@pytest.mark.parametrize("name", ["build", "run", "test", "watch", "debug", "ide", "bench", "sweep"])
def test_options_of_kconfig_of_each_command_that_builds(folder: Path, name: str) -> None:
    command = COMMANDS[name][0]

    def config(*arguments: str) -> object:
        return command.make_context(name, [*arguments, str(folder)]).params["config"]

    assert config() == {"MYNIC": "m", "DEBUG": "n", "LEVEL": "3"}
    assert config("--config", "DEBUG=y") == {"MYNIC": "m", "DEBUG": "y", "LEVEL": "3"}
    with pytest.raises(UsageError, match="MYNIC gives an option of Kconfig no value"):
        config("--config", "MYNIC")


def test_every_command_that_takes_a_kernel_hears_the_environment() -> None:
    known = [*(command for command, _ in COMMANDS.values()), shell.command, setup.command, log_command.command]
    known += [*kernel.command.commands.values(), *lab.commands.values()]
    asked = [
        (command.name, option)
        for command in known
        for option in command.params
        if isinstance(option, click.Option) and {"--kernel", "--arch"} & set(option.opts)
    ]
    assert len(asked) > 20
    wrong = [name for name, option in asked if option.envvar != f"R4L_{option.opts[0].removeprefix('--').upper()}"]
    assert not wrong


def test_the_machine_and_the_parameters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, ...]] = []

    def parameters_of(pairs: tuple[str, ...]) -> dict[str, str]:
        given.append(pairs)
        return {}

    def start(self: MachineOptions, *_rest: object) -> None:
        raise Caught(self)

    monkeypatch.setattr(run, "parameters_of", parameters_of)
    monkeypatch.setattr(MachineOptions, "start", start)
    monkeypatch.setattr(run, "set_up", lambda *_rest, **_more: None)
    monkeypatch.setattr(run, "modules_of", lambda *_rest: [])

    def ask(*arguments: str) -> MachineOptions:
        done = CliRunner().invoke(run.command, [*arguments, str(folder)])
        assert isinstance(done.exception, Caught), done.output
        return done.exception.machine

    machine = ask("-p", "debug=9")
    assert (machine.memory, machine.cpus, machine.nics, machine.nic_model) == (512, 3, 2, "e1000e")
    assert (machine.with_module, machine.devices, machine.append) == (("9p",), ("edu",), "quiet")
    assert machine.snapshot is True
    assert dict(pair.split("=") for pair in given[-1]) == {"debug": "9", "on": "1", "ports": "1,2", "name": "x"}
    machine = ask("--memory", "300", "--device", "nvme,serial=1", "--nics", "0", "--no-snapshot")
    assert (machine.memory, machine.cpus, machine.nics, machine.snapshot) == (300, 3, 0, False)
    assert machine.devices == ("nvme,serial=1",)


def test_the_driver_and_the_card_of_a_measurement(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options reach the build and the machine; a second driver keeps the options of its own project file."""
    built: list[tuple[str, dict[str, str]]] = []
    given: dict[str, Any] = {}

    def named(_kernel: object, text: str, *, config: dict[str, str], **_rest: object) -> BuiltModule:
        built.append((text, config))
        module = BuiltModule(tmp_path / "x.ko")
        module.__dict__["modinfo"] = {"name": ["x"], "parm": ["debug:level", "on:x", "name:x", "ports:x"]}
        if text != str(folder):
            module.__dict__["modinfo"] = {"name": ["x"], "parm": ["debug:level"]}
        return module

    def measured(_kernel: object, subjects: list[Subject], _workloads: object, **rest: Any) -> None:
        given.update(rest, subjects=subjects)
        raise Seen

    monkeypatch.setattr(bench, "set_up", lambda *_rest, **_more: None)
    monkeypatch.setattr(bench, "named", named)
    monkeypatch.setattr("r4l.bench.measure.measured", measured)
    old = tmp_path / "old"
    old.mkdir()
    (old / "r4l.toml").write_text("[config]\nLEVEL = 4\nOLD = true\n")

    def ask(*arguments: str) -> None:
        built.clear()
        done = CliRunner().invoke(bench.command, [str(folder), "--against", str(old), *arguments])
        assert isinstance(done.exception, Seen), done.output

    ask("-p", "debug=9", "--config", "DEBUG=y")
    assert (given["nic_model"], given["with_modules"]) == ("e1000e", ("9p",))
    ours, theirs = given["subjects"]
    assert (ours.name, theirs.name) == ("x", str(old))
    assert ours.parameters == {"debug": "9", "on": "1", "ports": "1,2", "name": "x"}
    assert theirs.parameters == {"debug": "9"}
    config = {"MYNIC": "m", "DEBUG": "y", "LEVEL": "3"}
    assert built == [(str(folder), config), (str(old), {**config, "OLD": "y"})]
    ask("--nic-model", "igb", "--with-module", "dummy")
    assert (given["nic_model"], given["with_modules"]) == ("igb", ("dummy",))


def test_a_measurement_takes_no_card_in_python(folder: Path, seen: list[tuple[str | None, str]]) -> None:
    for model in ("python:e1000", "model.py:Card"):
        done = CliRunner().invoke(bench.command, [str(folder), "--nic-model", model])
        assert isinstance(done.exception, UsageError), done.output
        assert model in done.exception.cause
    assert not seen, "refused before the work"


@pytest.mark.parametrize("as_test", [(), ("--as-test", "probe:unplug#1")])
def test_the_drivers_and_the_machine_of_a_sweep(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_test: tuple[str, ...]
) -> None:
    """The options reach each cell's machine and each of the drivers that has the parameter."""
    given: list[SweptDriver] = []
    (folder / "device.py").write_text(
        "from r4l import pci\nclass Mine(pci.Device):\n    vendor_id = 1\n    bars = (pci.Bar(64),)\n"
    )

    def named(_kernel: object, text: str, *, config: dict[str, str], **_rest: object) -> BuiltModule:
        module = BuiltModule(tmp_path / ("new.ko" if text == str(folder) else "old.ko"))
        module.path.touch()
        names = ["debug", "on", "name", "ports"] if text == str(folder) else ["debug"]
        module.__dict__["modinfo"] = {"name": [module.path.stem], "parm": [f"{name}:x" for name in names]}
        return module

    def require_wanted(driver: SweptDriver, *_rest: object) -> None:
        given.append(driver)
        if as_test or len(given) == 2:
            raise Seen

    monkeypatch.setattr(sweep, "set_up", lambda *_rest, **_more: None)
    monkeypatch.setattr(sweep, "named", named)
    monkeypatch.setattr(SharedKernel, "of", lambda *_: SharedKernel("stock", "x86_64", "{}"))
    monkeypatch.setattr(importlib.import_module("r4l.sweep.sweep"), "require_wanted", require_wanted)

    def ask(*arguments: str) -> list[SweptDriver]:
        given.clear()
        words = [str(folder), "--against", str(tmp_path), "--into", str(tmp_path / "into"), *as_test, *arguments]
        done = CliRunner().invoke(sweep.command, words)
        assert isinstance(done.exception, Seen), done.output
        return given

    ours, *theirs = ask("-p", "debug=9", "--config", "DEBUG=y")
    assert ours.machine == SweptMachine(512, 3, "quiet", ("9p",))
    assert ours.loads == {"new": {"debug": "9", "on": "1", "ports": "1,2", "name": "x"}}
    assert ours.config == {"MYNIC": "m", "DEBUG": "y", "LEVEL": "3"}
    assert [one.loads for one in theirs] == ([] if as_test else [{"old": {"debug": "9"}}])
    ours, *_ = ask("--memory", "300", "--cpus", "1", "--with-module", "crc", "--append", "")
    assert ours.machine == SweptMachine(300, 1, "", ("crc",))
    (tmp_path / "r4l.toml").unlink()
    ours, *_ = ask()
    assert (ours.machine, ours.loads) == (SweptMachine(), {"new": {}})


class Caught(Exception):
    """The machine that would be started."""

    def __init__(self, machine: MachineOptions) -> None:
        super().__init__()
        self.machine = machine


class Node:
    """A test without markers."""

    nodeid = "x"
    fixturenames = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    def iter_markers(self, _name: str) -> list[pytest.Mark]:
        return []


def test_tests_have_its_machine_and_those_of_a_lab_have_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node: Any = Node(folder / "tests/test_x.py")
    spec = spec_of(node)
    assert (spec.memory, spec.cpus, list(spec.nics), spec.append) == (512, 3, ["e1000e"] * 2, "quiet")
    assert set(Settings.near(folder).machine) - {"nic_model"} <= set(WORDS)
    options.settings.cache_clear()
    monkeypatch.setenv(ISOLATED, "1")
    assert spec_of(node).memory is None
