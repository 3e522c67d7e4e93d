# SPDX-License-Identifier: MIT
"""Kernels built from source: by a profile, with fragments of the user's laid over it.

Each has a name and a folder `builds/NAME-ARCH` under the home, which make keeps up to date: a change of a fragment
or of a file costs what it changes. The manifest says from which recipe it was built; it is removed while make runs.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r4l import home, inuse
from r4l.arch import DEFAULT, Architecture, architecture
from r4l.errors import BuildError, R4LError, UsageError
from r4l.kernel import kconfig, manifest
from r4l.kernel.config import read_config
from r4l.kernel.make import kernel_make
from r4l.kernel.manifest import MANIFEST
from r4l.kernel.model import Kernel
from r4l.kernel.profile import Profile, profile, profiles
from r4l.process import Say, quiet
from r4l.toolchain import Toolchain

KEYS = ("name", "release", "version", "arch", "source", "recipe", "steps", "toolchain")
"""What we read of a manifest."""

TOOLS = "tools"
"""The file beside a build folder that names the toolchain of what is in it, from the first moment of the build."""
CONFIGURED = "r4l-recipe"
"""The file in a build folder that names what its `.config` was made from."""

NEEDED_MIB = 1500
NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class Recipe:
    """What to build.

    Attributes:
        name: what `--kernel` will call it.
        profile: whose base and fragments it starts from.
        source: the kernel's source tree; nothing is written there.
        origin: what the source is, for people: a package version, or a path.
        arch: `x86_64` or `arm64`.
        fragments: the user's: each its name and its text, later ones win.
    """

    name: str
    profile: Profile
    source: Path
    origin: str
    arch: str
    fragments: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.name == "stock":
            raise UsageError(
                f"{self.name!r} is no name for a kernel", "use small letters, digits, - and _, and not `stock`"
            )

    def texts(self) -> list[tuple[str, str]]:
        """All fragments in order, the release's suffix first."""
        return [
            ("name", f'CONFIG_LOCALVERSION="-{self.name}"\n'),
            *self.profile.texts(self.arch),
            *self.fragments,
        ]

    def wanted(self) -> dict[str, str]:
        """The options that all fragments together ask for.

        Raises:
            UsageError: a line of a fragment is none.
        """
        options: dict[str, str] = {}
        for name, text in self.texts():
            options |= kconfig.parse_fragment(text, name)
        return options

    def key(self, toolchain: Toolchain) -> str:
        """Names its content, compilers included."""
        return self._key(toolchain.key)

    @property
    def configuration(self) -> str:
        """Names what it is configured by, whatever the compilers: what menuconfig changed stays while this does."""
        return self._key()

    def _key(self, *more: str) -> str:
        return home.content_key(str(self.source), self.origin, self.profile.base, str(self.wanted()), *more)

    @property
    def folder(self) -> Path:
        """Where it is built."""
        return home.room("builds") / f"{self.name}-{self.arch}"


def recipe(
    name: str,
    source: Path,
    origin: str,
    *,
    arch: str = DEFAULT,
    base: str | None = None,
    fragments: Sequence[Path] = (),
) -> Recipe:
    """A recipe from what a user says.

    Args:
        name: of the kernel; that of a profile, where `base` names none.
        base: the profile.
        fragments: files.

    Raises:
        UsageError: no such profile or file, or a file that is no fragment.
    """
    texts: list[tuple[str, str]] = []
    for path in fragments:
        if not path.is_file():
            raise UsageError(f"no such fragment: {path}", "give a file with lines such as CONFIG_NAME=y")
        texts.append((str(path), path.read_text(encoding="utf-8")))
        kconfig.parse_fragment(*reversed(texts[-1]))
    return Recipe(name, profile(base or name), source, origin, architecture(arch).name, tuple(texts))


def build(wanted: Recipe, toolchain: Toolchain, say: Say = quiet, *, again: bool = False) -> Kernel:
    """The kernel of a recipe: what is ready is used, anything else is built or built on.

    Args:
        again: have make look for changes even where the recipe is the same (a source tree that is being worked on).

    Raises:
        BuildError: it does not build.
        UsageError: an option of the user's fragments that the kernel does not have, or a value that is not of its type.
        EnvironmentFault: no space.
    """
    folder = wanted.folder
    arch = architecture(wanted.arch)
    with home.lock(f"build-{folder.name}"):
        key = wanted.key(toolchain)
        known = manifest.read(folder, *KEYS)
        toolchain = toolchain.extended(*arch.extras, say=say)
        if known and known["recipe"] == key and manifest.fits(known, toolchain) and not again:
            kernel = _load(folder, known, toolchain)
            _hold(kernel)
            return kernel
        home.require_space(folder.parent, NEEDED_MIB, "a kernel build")
        for name, text in wanted.fragments:
            kconfig.require_known(text, name, wanted.source)
        steps = _steps_before(folder, wanted.profile)
        _renew(folder, known, toolchain, say)
        (folder / MANIFEST).unlink(missing_ok=True)
        if not (folder / "build/.config").exists():
            _seed(wanted, folder, toolchain, say)
        dropped = _configure(wanted, folder, key, arch, toolchain, say)
        count = _compile(wanted, folder, arch, toolchain, steps, say)
        release = (folder / "build/include/config/kernel.release").read_text(encoding="utf-8").strip()
        data: dict[str, Any] = {
            "name": wanted.name,
            "release": release,
            "version": wanted.origin,
            "arch": wanted.arch,
            "origin": "source",
            "profile": wanted.profile.name,
            "source": str(wanted.source),
            "recipe": key,
            "built": _interface(folder / "build"),
            "fragments": [list(fragment) for fragment in wanted.fragments],
            "steps": max(count, steps),
            "dropped": kconfig.as_data(dropped),
            **manifest.tools_of(toolchain),
        }
        manifest.write(folder, data)
        kernel = _load(folder, data, toolchain)
        _hold(kernel)
        return kernel


def _load(folder: Path, data: dict[str, Any], toolchain: Toolchain) -> Kernel:
    arch = architecture(data["arch"])
    image = folder / "build" / arch.built
    return Kernel(
        release=data["release"],
        version=" ".join(filter(None, (data["version"], data["recipe"], data.get("built")))),
        arch=data["arch"],
        build=folder / "build",
        source=Path(data["source"]),
        image=image,
        vmlinux=folder / "build/vmlinux" if arch.direct == "pvh" else image,
        modules=folder / "modules/lib/modules" / data["release"],
        toolchain=toolchain.there(*arch.extras) or toolchain.extended(*arch.extras),
        manifest=data,
        make_arguments=make_arguments(arch),
        name=data["name"],
    )


def _interface(build_folder: Path) -> str:
    """Names what modules see of a kernel: one whose source is being worked on is another, and keeps its recipe."""
    parts = [build_folder / name for name in ("Module.symvers", ".config")]
    return home.content_key(*(part for part in parts if part.is_file()))


def make_arguments(arch: Architecture) -> tuple[str, ...]:
    """What each make of such a kernel and of its modules needs."""
    return ("LLVM=1", f"ARCH={arch.kbuild}")


def _manifests() -> list[tuple[Path, dict[str, Any]]]:
    """The folder and the manifest of every kernel from source that is whole."""
    folders = sorted(home.room("builds").glob("[a-z]*"))
    return [(folder, data) for folder in folders if (data := manifest.read(folder, *KEYS))]


def all_ready(toolchain: Toolchain) -> list[Kernel]:
    """Every kernel from source that is whole and not stale."""
    return [_load(folder, data, toolchain) for folder, data in _manifests() if not why_stale(data, toolchain)]


def all_stale(toolchain: Toolchain) -> list[tuple[str, str, str]]:
    """Every kernel from source that is whole but stale: its name, its architecture and the reason."""
    reasons = [(data["name"], data["arch"], why_stale(data, toolchain)) for _folder, data in _manifests()]
    return [entry for entry in reasons if entry[2]]


def ready(name: str, arch: str, toolchain: Toolchain) -> Kernel | None:
    """The kernel of that name, None where it is not whole or stale."""
    folder = home.room("builds") / f"{name}-{arch}"
    data = manifest.read(folder, *KEYS)
    if not data or why_stale(data, toolchain):
        return None
    kernel = _load(folder, data, toolchain)
    return kernel if _hold(kernel) else None


def _hold(kernel: Kernel) -> bool:
    """Use a kernel from now on; False where somebody has just removed it, or its source."""
    places = [kernel.build.parent, kernel.toolchain.root]
    if kernel.source.is_relative_to(home.room("kernels")):
        places.append(kernel.source.parent)
    return all(map(inuse.hold, places))


def why_stale(data: Mapping[str, Any], toolchain: Toolchain) -> str:
    """Why a build of now would give another kernel than the one of this manifest; empty where it would not."""
    tools = toolchain.there(*architecture(data["arch"]).extras)
    if tools is None or not manifest.fits(data, tools):
        return "it was built with other compilers than those in force"
    known = _recorded(data)
    if known and known.key(toolchain) != data["recipe"]:
        return f"the profile {known.profile.name} has changed since it was built"
    return ""


def recorded(name: str, arch: str) -> Recipe | None:
    """The recipe by which the kernel of that name was built; None where there is none that its manifest knows."""
    data = manifest.read(home.room("builds") / f"{name}-{arch}", *KEYS)
    return _recorded(data) if data else None


def _recorded(data: Mapping[str, Any]) -> Recipe | None:
    # Manifests of before have no fragments; the kernel that is called like its profile has none.
    fragments = data.get("fragments", [] if data.get("profile") == data["name"] else None)
    if fragments is None or data["profile"] not in profiles():
        return None
    texts = tuple((name, text) for name, text in fragments)
    return Recipe(
        data["name"], profile(data["profile"]), Path(data["source"]), data["version"], data["arch"], fragments=texts
    )


def _seed(wanted: Recipe, folder: Path, toolchain: Toolchain, say: Say) -> None:
    """Begin with a copy of a like kernel's build, so that make only does what differs."""
    near = [wanted.profile.seed] if wanted.name == wanted.profile.name else [wanted.profile.name, wanted.profile.seed]
    for name in near:
        if name and _copy_build(wanted, home.room("builds") / f"{name}-{wanted.arch}", folder, toolchain):
            say(f"started from the kernel {name}")
            return


def _copy_build(wanted: Recipe, other: Path, folder: Path, toolchain: Toolchain) -> bool:
    """Copy another kernel's build, where it is whole and of the same source and toolchain."""
    with home.lock(f"build-{other.name}"):
        data = manifest.read(other, *KEYS)
        if data is None:
            return False
        if data["source"] != str(wanted.source) or not manifest.fits(data, toolchain):
            return False
        partial = home.temporary(folder / "build")
        # Times too: make goes by them.
        home.copy(other / "build", partial)
        (partial / CONFIGURED).unlink(missing_ok=True)
        home.publish(partial, folder / "build")
        return True


def _renew(folder: Path, known: Mapping[str, Any] | None, toolchain: Toolchain, say: Say) -> None:
    """Where other compilers built what is there, leave nothing of it but the configuration.

    make itself looks at what the compilers say of their version only, and two builds of one version differ.
    """
    mark = folder / TOOLS
    build_folder = folder / "build"
    if mark.exists():
        same = mark.read_text(encoding="utf-8") == toolchain.identity
    else:
        same = known is None or manifest.fits(known, toolchain)
    if not same and build_folder.exists():
        say("its compilers have changed: building it anew")
        (folder / MANIFEST).unlink(missing_ok=True)
        partial = home.temporary(build_folder)
        partial.mkdir()
        for name in (".config", CONFIGURED):
            if (build_folder / name).exists():
                shutil.copy2(build_folder / name, partial)
        home.publish(partial, build_folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(toolchain.identity, encoding="utf-8")


def _configure(
    wanted: Recipe, folder: Path, key: str, arch: Architecture, toolchain: Toolchain, say: Say
) -> list[kconfig.Dropped]:
    """Write `.config`, unless it is this recipe's already: then what menuconfig changed since stays."""
    build_folder = folder / "build"
    build_folder.mkdir(parents=True, exist_ok=True)
    mark = build_folder / CONFIGURED
    # Builds of before name the whole recipe there.
    ours = (wanted.configuration, key)
    if not (mark.exists() and mark.read_text(encoding="utf-8") in ours and (build_folder / ".config").exists()):
        mark.unlink(missing_ok=True)
        say("configuring")
        _make(wanted, folder, arch, toolchain, [wanted.profile.base], quiet)
        # Later lines win.
        config = build_folder / ".config"
        asked = config.read_text(encoding="utf-8") + "".join(text for _name, text in wanted.texts())
        home.replace_text(config, asked)
        said = _make(wanted, folder, arch, toolchain, ["olddefconfig"], quiet)
        kconfig.require_types(said, asked, ", ".join(name for name, _ in wanted.fragments) or wanted.profile.name)
    # What was asked for by menuconfig is not in the fragments, and is not missed here.
    dropped = kconfig.why_dropped(wanted.wanted(), build_folder, wanted.source, arch, toolchain)
    home.replace_text(mark, wanted.configuration)
    return dropped


def _compile(wanted: Recipe, folder: Path, arch: Architecture, toolchain: Toolchain, steps: int, say: Say) -> int:
    """Make all; returns how many steps make did."""
    config = read_config(folder / "build/.config")
    if config.get("CONFIG_RUST") != "y":
        say("this kernel has no Rust")
    count = 0

    def progress(line: str) -> None:
        nonlocal count
        if re.match(r"  [A-Z]", line):
            count += 1
            say(f"{min(99, 100 * count // steps):>2} % {line.strip()}")

    _make(wanted, folder, arch, toolchain, ["all"], progress)
    # depmod writes its tables anew each time; modules that are gone must go.
    target = folder / "modules"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    install = [f"INSTALL_MOD_PATH={target}", "INSTALL_MOD_STRIP=1", "modules_install"]
    _make(wanted, folder, arch, toolchain, install, quiet, writes=[target])
    return count


def _steps_before(folder: Path, of: Profile) -> int:
    """How many lines a whole build prints: as the last one did, or as the table says."""
    data = manifest.read(folder, *KEYS)
    return int(data["steps"]) if data else of.steps


def _make(
    wanted: Recipe,
    folder: Path,
    arch: Architecture,
    toolchain: Toolchain,
    targets: Sequence[str],
    say: Say,
    *,
    writes: Sequence[Path] = (),
) -> str:
    """Run the kernel's make; returns what it printed."""
    log = home.room("logs") / f"build-{folder.name}.log"

    def failure(_code: int, tail: str) -> R4LError:
        if "is not clean, please run" in tail:
            return UsageError(
                f"{wanted.source} is configured or built inside itself, so nothing can be built from it elsewhere",
                f"build it in place: `r4l kernel build --kdir {wanted.source}`, or clean it: `make mrproper` there",
                detail=tail,
            )
        return BuildError(f"the kernel {wanted.name} does not build", "mend what the compiler shows", detail=tail)

    arguments = [*make_arguments(arch), *targets]
    return kernel_make(toolchain, wanted.source, folder / "build", arguments, log, failure, say, writes=writes)


def names() -> list[str]:
    """What `--kernel` can be besides a release or a path."""
    built = {path.parent.name.rpartition("-")[0] for path in home.room("builds").glob(f"[a-z]*/{MANIFEST}")}
    return ["stock", *profiles(), *sorted(built - set(profiles()))]
