# SPDX-License-Identifier: MIT
"""Lab 2. The driver is built outside the tree, and inside a copy of the kernel's tree, as y, m and n.

The numbers of guests are drawn at random each time. Builds for y and m are cached under a key of all their inputs, so
that only the student's changes are rebuilt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

import r4l
from r4l import home, limits
from r4l.camp.labs import plain, see
from r4l.errors import BuildError, UsageError
from r4l.graft.texts import insertion
from r4l.kernel.config import read_config
from r4l.kernel.copy import CONFIG, Copy, borrowed
from r4l.kernel.trial import Trial
from r4l.testing import verdict
from r4l.toolchain import Grant

DRAW = random.SystemRandom()
NAME = "camp_greeter"
OPTION = "CONFIG_CAMP_GREETER"
PLACE = PurePosixPath("drivers/misc") / NAME
PARENTS = {"Makefile": f"obj-y += {NAME}/\n", "Kconfig": f'source "{PLACE}/Kconfig"\n'}
"""The lines that name the driver's folder. The driver's own Makefile decides whether it is built."""
OWN_SECONDS = 600.0
"""Seconds that Kconfig and the compiler have for the student's files in the tree."""
KERNELS_OWN = "loading out-of-tree module taints kernel"
"""Messages of the kernel itself that begin with a module's name (kernel/module/main.c)."""
KO = f"kernel/{PLACE}/{NAME}.ko"
TAINT_O = 1 << 12
"""Bit for an out-of-tree module, Documentation/admin-guide/tainted-kernels.rst."""


def drawn() -> int:
    """Return a random number of guests."""
    return DRAW.randrange(1000, 1 << 32)


def said(vm: r4l.VM) -> list[str]:
    """Return the driver's lines in the kernel log."""
    vm.klog.sync()
    texts = [
        record.text.removeprefix(f"{NAME}: ") for record in vm.klog.records() if record.text.startswith(f"{NAME}: ")
    ]
    return [text for text in texts if not text.startswith(KERNELS_OWN)]


def loaded(vm: r4l.VM) -> bool:
    return NAME in vm.run("cut -d' ' -f1 /proc/modules").stdout.split()


def taken(folder: Path, file: str) -> str:
    """Return a file of the student's after checking that all its lines are plain."""
    text = (folder / file).read_text(errors="replace", encoding="utf-8") if (folder / file).is_file() else ""
    refused = plain.refused(file, text)
    see(f"lines of {file}", refused, f"only {plain.PLAIN[plain.file_syntax(file)]}", not refused)
    return text


@pytest.fixture(scope="module")
def folder(work: Path) -> Path:
    """The student's files."""
    return work


# -- outside the tree -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outside(folder: Path, kernel: r4l.Kernel) -> r4l.BuiltModule:
    """The module built by `make -C KDIR M=FOLDER modules`."""
    taken(folder, "Kbuild")
    try:
        built = r4l.Module(folder).build(kernel)
    except UsageError as error:
        see("what Kbuild lists", f"{error.cause} ({error.remedy})", f"{NAME}.ko", ok=False)
        raise
    see("what Kbuild lists", built.path.name, f"{NAME}.ko")
    return built


@pytest.mark.checkpoint("loads")
def test_loads(vm: r4l.VM, kernel: r4l.Kernel, outside: r4l.BuiltModule) -> None:
    guests = drawn()
    see("the kernel in the vermagic", outside.vermagic.split()[0], kernel.release)
    see("`intree` in modinfo", outside.modinfo.get("intree"), None)
    vm.insmod(outside, guests=guests)
    see(f"what it says after insmod with guests={guests}", said(vm), [f"Welcome, {guests} guests, from a module"])
    see(f"/sys/module/{NAME}/taint", vm.run(f"cat /sys/module/{NAME}/taint", check=True).stdout.strip(), "O")


# -- what Kconfig makes of it -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(kernel: r4l.Kernel) -> Iterator[Copy]:
    """The kernel's copy for this lab."""
    with borrowed(kernel, "lab-configure") as copy:
        yield copy


@pytest.fixture(scope="module")
def kconfig(copy: Copy, folder: Path) -> str:
    """The student's Kconfig."""
    return taken(folder, "Kconfig")


@pytest.fixture(scope="module")
def trial(copy: Copy, kconfig: str) -> Trial:
    """The student's Kconfig among the kernel's options."""
    return Trial.of(copy.kernel, copy.folder / "trial", copy.config, PLACE / "Kconfig", kconfig)


def settled(trial: Trial, options: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration after olddefconfig."""
    try:
        return trial.settled(options)
    except BuildError as error:
        see("what Kconfig says of your file", error.cause, "nothing", ok=False)
        raise


def keeps(trial: Trial, value: str) -> dict[str, str]:
    """Return the configuration after olddefconfig, requiring that the driver's option keeps its value."""
    config = settled(trial, {OPTION: value})
    got = config.get(OPTION, "n")
    reasons = "" if got == value else "".join(f": {dropped.reason}" for dropped in trial.dropped({OPTION: value}))
    see(f"{OPTION}={value} after `make olddefconfig`", f"{got}{reasons}", value)
    return config


@pytest.mark.checkpoint("offered")
def test_offered(trial: Trial) -> None:
    for value in ("y", "m", "n"):
        keeps(trial, value)
    see(f"{OPTION} where nobody has set it", settled(trial, {}).get(OPTION, "n"), "n")
    asked = next((text for text in trial.asked() if f"Symbol: {OPTION[7:]} " in text), "")
    see(f"the help text of {OPTION}", asked.partition("Symbol:")[0].strip(), "a text", f"{OPTION}:" in asked)


@pytest.mark.checkpoint("depends")
def test_depends(trial: Trial) -> None:
    config = settled(trial, {"CONFIG_RUST": "n", OPTION: "y"})
    rust, got = (config.get(option, "n") for option in ("CONFIG_RUST", OPTION))
    see("CONFIG_RUST, switched off", rust, "n")
    see(f"{OPTION}=y without CONFIG_RUST, after `make olddefconfig`", got, "n")
    reasons = "; ".join(dropped.reason for dropped in trial.dropped({OPTION: "y"}))
    see("why, as r4l says it", reasons, "RUST", ok=bool(re.search(r"\bRUST\b", reasons)))


# -- what the tree builds ---------------------------------------------------------------------------------------


def statements(text: str) -> list[list[str]]:
    """Return the words of the lines of a file, without comments."""
    return [words for line in text.splitlines() if (words := line.partition("#")[0].split())]


@dataclass(frozen=True)
class InTree:
    """The student's driver in the copy's tree."""

    copy: Copy
    trial: Trial

    def asks(self, value: str, objects: str = "nothing", modules: str = "nothing") -> dict[str, str]:
        """Check that the configuration with the option set to a value changes the Makefile's lists.

        Args:
            objects, modules: entries that the Makefile must list for vmlinux, and as modules.
        """
        config = keeps(self.trial, value)
        lists = self.lists()
        see(f"what the Makefile gives vmlinux (obj-y) with {OPTION}={value}", lists["y"], objects)
        see(f"what the Makefile makes modules of (obj-m) with {OPTION}={value}", lists["m"], modules)
        return config

    def built(self, value: str, config: Mapping[str, str]) -> r4l.Kernel:
        """Return the kernel with the option set to a value; `y` links vmlinux."""
        name = f"{value}-{self.key(config)}"
        if kept := self.copy.kept(name):
            return kept
        before = read_config(self.copy.folder / CONFIG / CONFIG)
        own = "".join(f"{option}={config[option]}\n" for option in config if option not in before)
        # Less than a check may take, whose end before it has a machine would say nothing about the student.
        with limits.of_students(OWN_SECONDS):
            self.copy.configure(self.copy.config + own)
            # The whole kernel takes long: first the driver's folder alone.
            self.copy.make(f"{PLACE}/")
        after = read_config(self.copy.build / ".config")
        changed = sorted({key for key in {*before, *after} if before.get(key) != after.get(key)} - {OPTION})
        see(f"options that {OPTION}={value} changes beside itself", ", ".join(changed) or "none", "none")
        see(f"{OPTION} in the tree's .config", after.get(OPTION, "n"), value)
        return self.copy.built(name, link=value == "y")

    def lists(self) -> dict[str, str]:
        """Return make's view of the Makefile with the last tried configuration: obj-y and obj-m."""
        files: list[str | Path] = ["-f", self.trial.folder / ".config", "-f", self.copy.source / PLACE / "Makefile"]
        argv = ["make", *files, "--eval", "lists: ; $(info $(obj-y):$(obj-m))", "lists"]
        grant = Grant("lab: Makefile read", reads=(self.trial.folder, self.copy.source))
        told = self.copy.kernel.toolchain.run(argv, grant, check=False)
        see("make's words for the Makefile", told.stderr.decode(errors="replace"), "none", told.returncode == 0)
        objects, _, modules = told.stdout.decode().splitlines()[0].partition(":")
        return {"y": " ".join(objects.split()) or "nothing", "m": " ".join(modules.split()) or "nothing"}

    def key(self, config: Mapping[str, str]) -> str:
        """Return a key of all inputs of a build. Of Kconfig, that is the configuration that it leads to.

        Args:
            config: the whole configuration with the option set, after olddefconfig.
        """
        makefile, driver = (
            (self.copy.source / PLACE / name).read_text(encoding="utf-8") for name in ("Makefile", f"{NAME}.rs")
        )
        before = read_config(self.copy.folder / CONFIG / CONFIG)
        changed = sorted((name, value) for name, value in config.items() if before.get(name) != value)
        lacking = sorted(before.keys() - config.keys())
        return home.content_key(str(changed), str(lacking), str(statements(makefile)), driver)


@pytest.fixture(scope="module")
def in_tree(copy: Copy, trial: Trial, kconfig: str, folder: Path) -> InTree:
    """The driver's folder in the tree, with the two lines that name it."""
    makefile = taken(folder, "Makefile")
    for file, line in PARENTS.items():
        text = (copy.kernel.source / PLACE.parent / file).read_text(encoding="utf-8")
        at, block = insertion(text, line, file)
        copy.put(PLACE.parent / file, text[:at] + block + text[at:])
    driver = (folder / f"{NAME}.rs").read_text(encoding="utf-8")
    for file, text in (("Kconfig", kconfig), ("Makefile", makefile), (f"{NAME}.rs", driver)):
        copy.put(PLACE / file, text)
    return InTree(copy, trial)


def installed(kernel: r4l.Kernel) -> list[str]:
    """Return the driver's files among those of modules_install."""
    return [str(path.relative_to(kernel.modules)) for path in kernel.modules.rglob(f"{NAME}.ko*")]


@contextmanager
def booted(request: pytest.FixtureRequest, kernel: r4l.Kernel, append: str = "") -> Iterator[r4l.VM]:
    """Boot a machine with a kernel; its complaints fail the check."""
    with r4l.VM(kernel, modules=[NAME], append=append) as vm:
        verdict.watch(request.node, vm)
        yield vm


class TestModule:
    """CONFIG_CAMP_GREETER=m."""

    @pytest.fixture
    def built(self, in_tree: InTree) -> r4l.Kernel:
        kernel = in_tree.built("m", in_tree.asks("m", modules=f"{NAME}.o"))
        see(f"{NAME}.ko among what `make modules_install` installs", installed(kernel), [KO])
        return kernel

    @pytest.fixture
    def vm(self, request: pytest.FixtureRequest, built: r4l.Kernel) -> Iterator[r4l.VM]:
        with booted(request, built) as vm:
            yield vm

    @pytest.mark.checkpoint("as-m")
    def test_as_m(self, vm: r4l.VM, built: r4l.Kernel) -> None:
        guests = drawn()
        welcome = [f"Welcome, {guests} guests, from a module"]
        see("`intree` in modinfo", r4l.BuiltModule(built.modules / KO).modinfo.get("intree"), ["Y"])
        see("what it says before it is loaded", said(vm), [])
        vm.run(f"modprobe {NAME} guests={guests}", check=True)
        see(f"what it says after modprobe with guests={guests}", said(vm), welcome)
        tainted = int(vm.run("cat /proc/sys/kernel/tainted", check=True).stdout)
        see("taint O in /proc/sys/kernel/tainted", bool(tainted & TAINT_O), False)


class TestBuiltIn:
    """CONFIG_CAMP_GREETER=y."""

    GUESTS = drawn()

    @pytest.fixture
    def built(self, in_tree: InTree) -> r4l.Kernel:
        return in_tree.built("y", in_tree.asks("y", objects=f"{NAME}.o"))

    @pytest.fixture
    def vm(self, request: pytest.FixtureRequest, built: r4l.Kernel) -> Iterator[r4l.VM]:
        with booted(request, built, f"{NAME}.guests={self.GUESTS}") as vm:
            yield vm

    @pytest.mark.checkpoint("as-y")
    def test_as_y(self, vm: r4l.VM, built: r4l.Kernel) -> None:
        welcome = [f"Welcome, {self.GUESTS} guests, from vmlinux"]
        see(f"what it says at boot with {NAME}.guests={self.GUESTS} on the command line", said(vm), welcome)
        builtin = (built.modules / "modules.builtin").read_text(encoding="utf-8").split()
        see(f"{NAME} in modules.builtin", [line for line in builtin if NAME in line], [KO])
        see(f"{NAME}.ko installed", installed(built), [])
        see(f"{NAME} in /proc/modules", loaded(vm), False)
        removed = vm.run(f"rmmod {NAME}")
        see(f"how `rmmod {NAME}` ends", removed.exit_code, "an error", ok=removed.exit_code != 0)
        see("what it has said after that", said(vm), welcome)


@pytest.mark.checkpoint("n")
def test_n(in_tree: InTree) -> None:
    # A Makefile that lists nothing at all has not left anything out.
    in_tree.asks("y", objects=f"{NAME}.o")
    see(f"{NAME}.ko installed, with n", installed(in_tree.built("n", in_tree.asks("n"))), [])
