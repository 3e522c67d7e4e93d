# SPDX-License-Identifier: MIT
"""Models by their names: `FILE.py:CLASS` in a file of the user's, `python:NAME` for one that comes with r4l."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from r4l import moved
from r4l.errors import UsageError
from r4l.pci.device import Device

SPEC = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")
SHIPPED = "python:"
"""Prefix of the models that come with r4l."""
MODELS = {
    "edu": ("r4l.pci.models.edu", "Edu"),
    "e1000": ("r4l.pci.models.e1000", "E1000"),
    "e1000-82540ep": ("r4l.pci.models.e1000", "E1000Ep"),
    "e1000-82544gc": ("r4l.pci.models.e1000", "E1000Gc"),
    "e1000-82545em": ("r4l.pci.models.e1000", "E1000Server"),
    "e1000-82545gm": ("r4l.pci.models.e1000", "E1000Gm"),
    "e1000-82546gb": ("r4l.pci.models.e1000", "E1000Gb"),
    "e1000-82546gb-second": ("r4l.pci.models.e1000", "E1000GbSecond"),
}
"""Module and class of each of these models, by QEMU's names of the same devices, or names like those."""


def in_python(text: str) -> bool:
    """Return True if a text names a model in Python, and not a device of QEMU."""
    if text.startswith(SHIPPED):
        return True
    match = SPEC.fullmatch(text)
    # A device of QEMU's has commas before its properties, whose values may look like anything.
    return match is not None and ("," not in text or Path(match["file"]).expanduser().is_file())


def model_class(text: str) -> type[Device]:
    """Return the class that a name stands for. A file is executed, with its folder on the path for its own imports.

    Raises:
        UsageError: the file or the class does not exist, or the file raises an exception.
    """
    if text.startswith(SHIPPED):
        return _shipped(text.removeprefix(SHIPPED))
    match = SPEC.fullmatch(text)
    if match is None:
        raise UsageError(f"{text} does not name a model", f"write FILE.py:CLASS, or {SHIPPED}NAME")
    file = Path(match["file"]).expanduser().resolve()
    if not file.is_file():
        raise UsageError(f"there is no file {match['file']}", "a model is named FILE.py:CLASS")
    _forget_others(file.parent)
    before = set(sys.modules)
    name = f"r4l_model_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"{match['file']} does not run: {type(error).__name__}: {error}",
            "correct the file",
            detail=traceback.format_exc(),
        ) from error
    finally:
        sys.path.remove(str(file.parent))
        _beside.update({one: file.parent for one in set(sys.modules) - before if _lies_in(one, file.parent)})
    model = getattr(module, match["name"], None)
    if not (isinstance(model, type) and issubclass(model, Device)):
        found = [key for key, one in vars(module).items() if isinstance(one, type) and issubclass(one, Device)]
        known = ", ".join(key for key in found if key != "Device")
        raise UsageError(f"{match['file']} has no model {match['name']}", f"it has {known or 'none'}")
    return model


_beside: dict[str, Path] = {}
"""Modules that models have imported from their own folders, with these."""


def _forget_others(folder: Path) -> None:
    """Forget modules of other folders: a model's `import registers` is that of its own folder."""
    for name in [one for one, other in _beside.items() if other != folder]:
        del _beside[name]
        sys.modules.pop(name, None)


def _lies_in(name: str, folder: Path) -> bool:
    """Return True if a module is a file in a folder, or of a package there; not one of an environment below."""
    root = name.partition(".")[0]
    module = sys.modules.get(root)
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(place and Path(place).parent in (folder, folder / root) for place in places)


def _shipped(name: str) -> type[Device]:
    if name not in MODELS:
        raise UsageError(f"r4l has no model {name}", f"it has {', '.join(SHIPPED + one for one in MODELS)}")
    module, cls = MODELS[name]
    model: type[Device] = getattr(importlib.import_module(module), cls)
    return model


if not TYPE_CHECKING:
    __getattr__ = moved.renamed(__name__, {"load": "model_class"})
