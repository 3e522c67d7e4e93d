# SPDX-License-Identifier: MIT
"""Describe a kernel for the author of a driver, from its files alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from r4l import resources
from r4l.kernel import abstractions, images
from r4l.kernel.abstractions import RustModule, Topic
from r4l.kernel.images import Image
from r4l.kernel.model import Kernel


@dataclass(frozen=True)
class Option:
    """An option of the configuration.

    Attributes:
        value: `y`, `m`, a number or a string; `n` if it is not set.
        about: effect of the option when it is on.
    """

    name: str
    group: str
    value: str
    about: str

    @property
    def on(self) -> bool:
        """True if the option is set."""
        return self.value != "n"


@dataclass(frozen=True)
class Description:
    """A kernel's description.

    Attributes:
        facts: release, compilers, module ABI, folders: name to value.
        images: vmlinux and the image that boots.
        options: options that matter to a driver's author.
        rust: the modules of the `kernel` crate.
        topics: features that drivers need, with their places.
    """

    facts: dict[str, str]
    images: tuple[Image, ...]
    options: tuple[Option, ...]
    rust: tuple[RustModule, ...]
    topics: tuple[Topic, ...]

    def as_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            **self.facts,
            "images": [{**asdict(image), "path": str(image.path)} for image in self.images],
            "options": {f"CONFIG_{option.name}": option.value for option in self.options},
            "rust_modules": [asdict(module) for module in self.rust],
            "topics": [{**asdict(topic), "state": topic.state} for topic in self.topics],
        }


def facts(kernel: Kernel) -> dict[str, str]:
    """Return a kernel's basic facts; reads only its configuration."""
    config = kernel.config
    found = {
        "name": kernel.name,
        "release": kernel.release,
        "version": kernel.version,
        "machine": kernel.arch,
        "vermagic": kernel.vermagic,
        "built by": config.get("CONFIG_CC_VERSION_TEXT", ""),
        "rustc": config.get("CONFIG_RUSTC_VERSION_TEXT", ""),
        "bindgen": config.get("CONFIG_BINDGEN_VERSION_TEXT", ""),
        "toolchain": kernel.toolchain.in_force,
        "KDIR": str(kernel.build),
        "make": " ".join(["make", "-C", "KDIR", *kernel.make_arguments, "M=$PWD"]),
        "source": str(kernel.source),
        "image": str(kernel.image),
        "starts directly": str(kernel.vmlinux),
        "modules": str(kernel.modules),
    }
    if "rust_symbols" in kernel.manifest:
        found["Rust symbols"] = f"{kernel.manifest['rust_symbols']['matching']} match"
    return found


def describe(kernel: Kernel) -> Description:
    """Describe a kernel's images, configuration and Rust tree."""
    paths = dict.fromkeys((kernel.vmlinux, kernel.image))
    return Description(
        facts=facts(kernel),
        images=tuple(images.identify(path) for path in paths if path.is_file()),
        options=tuple(_options(kernel)),
        rust=tuple(abstractions.rust_modules(kernel.source, kernel.config)),
        topics=tuple(abstractions.topics(kernel.source, kernel.config)),
    )


def _options(kernel: Kernel) -> list[Option]:
    table = resources.table(__package__, "options.toml", {"*": {"*": str}})
    return [
        Option(name, group, kernel.config.get(f"CONFIG_{name}", "n").strip('"'), about)
        for group, entries in table.items()
        for name, about in entries.items()
    ]
