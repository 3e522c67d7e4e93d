# SPDX-License-Identifier: MIT
"""The model in a driver's folder, and the files that come with it to the workers."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from r4l.cluster import SharedKernel
from r4l.errors import UsageError
from r4l.module import BuiltModule
from r4l.pci import Device
from r4l.sweep import SweptDriver, find_model, memory
from r4l.sweep import model as model_files
from r4l.sweep.model import files_of, made
from r4l.sweep.subject import ready

HEAD = "from pathlib import Path\nfrom r4l import pci\n"
BODY = "    vendor_id = 0x1234\n    bars = (pci.Bar(64),)\n    ID = pci.Register(0, reset={})\n"
MODULE = cast("BuiltModule", SimpleNamespace(modinfo={"alias": ["pci:v00008086d0000100Esv*sd*bc*sc*i*"]}))
OTHER = cast("BuiltModule", SimpleNamespace(modinfo={}))


def write(folder: Path, **texts: str) -> None:
    """Write files; `__` in a name stands for a folder, the suffix is .py."""
    for name, text in texts.items():
        file = folder / (name.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("texts", "model"),
    [
        ({"a": "class Mine(pci.Device): pass"}, "a.py:Mine"),
        ({"tests__a": "class Mine(Device): pass"}, "tests/a.py:Mine"),
        ({"a": "class Base(pci.Device): pass\nclass Mine(Base): pass"}, "a.py:Mine"),
        ({"a": "class Base(pci.Device): pass\nclass More(Base): pass\nclass Mine(More): pass"}, "a.py:Mine"),
        ({"a": "class Base(Device): pass", "b": "from a import Base\nclass Mine(Base): pass"}, "b.py:Mine"),
        ({"z": "class Base(Device): pass", "b": "import z\nclass Mine(z.Base): pass"}, "b.py:Mine"),
        ({"z": "class Base(Device): pass", "b": "from z import Base as B\nclass Mine(B): pass"}, "b.py:Mine"),
        ({"a": "from r4l.pci.models.e1000 import E1000\nclass Mine(E1000): pass"}, "a.py:Mine"),
        ({"a": "class Device(pci.Device): pass\nclass Mine(Device): pass"}, "a.py:Mine"),
        ({"a": "class Part: pass\nclass Mine(Part, pci.NetworkCard): pass"}, "a.py:Mine"),
        # Variants for a single test are no models of the driver.
        ({"a": "class Mine(Device): pass", "test_a": "class Slow(Mine): pass"}, "a.py:Mine"),
        ({"a": "class Mine(Device): pass", "tests__conftest": "class Slow(Device): pass"}, "a.py:Mine"),
        ({"test_a": "class Mine(Device): pass"}, "test_a.py:Mine"),
        # What is no Python is no model.
        ({"a": "class Mine(Device): pass", "b": "print 'hello Device'"}, "a.py:Mine"),
    ],
)
def test_the_model_of_a_folder(texts: dict[str, str], model: str, tmp_path: Path) -> None:
    write(tmp_path, **texts)
    assert find_model(str(tmp_path), OTHER) == f"{tmp_path}/{model}"


def test_several_models_are_named(tmp_path: Path) -> None:
    write(tmp_path, a="class Base(Device): pass\nclass One(Base): pass", b="class Two(Device): pass")
    with pytest.raises(UsageError, match=r"several models: \S+/a.py:One, \S+/b.py:Two\n"):
        find_model(str(tmp_path), MODULE)


def test_no_model_but_r4l_s_own(tmp_path: Path) -> None:
    write(tmp_path, test_a="class Deaf(E1000): pass")
    assert find_model(str(tmp_path), MODULE) == "python:e1000"
    write(tmp_path, test_a="class Deaf(")
    with pytest.raises(UsageError, match=r"no model .*test_a.py cannot be read: '\(' was never closed"):
        find_model(str(tmp_path), OTHER)


def the_model(text: str, number: str = "NUMBER") -> str:
    return f"{HEAD}{text}\nHERE = Path(__file__).parent\nclass Mine(pci.Device):\n{BODY.format(number)}"


IN_ROOT = {
    "a module": (the_model("from registers import NUMBER"), {"registers.py": "NUMBER = 7"}),
    "a package": (
        the_model("from parts.numbers import NUMBER"),
        {"parts/__init__.py": "", "parts/numbers.py": "from . import other\nNUMBER = other.N", "parts/other.py": "N=7"},
    ),
    "a package without __init__": (
        the_model("import parts.numbers\nNUMBER = parts.numbers.NUMBER"),
        {"parts/numbers.py": "NUMBER = 7"},
    ),
    "a package's data": (
        the_model("from parts import NUMBER"),
        {
            "parts/__init__.py": "import importlib.resources as r\nNUMBER = int((r.files(__name__) / 'x').read_text())",
            "parts/x": "7",
        },
    ),
    "a file of data": (the_model("", 'int((HERE / "rom.bin").read_text())'), {"rom.bin": "7"}),
    "a file in a folder": (the_model("", 'int((HERE / "roms/rom.bin").read_text())'), {"roms/rom.bin": "7"}),
    "a folder": (the_model("", 'sum(int(x.read_text()) for x in (HERE / "roms").iterdir())'), {"roms/x": "7"}),
    "a pattern": (the_model("", 'int([*HERE.glob("*.rom")][0].read_text())'), {"a.rom": "7"}),
    "a name with a number": (the_model("N = 1", 'int((HERE / f"rom{N}.bin").read_text())'), {"rom1.bin": "7"}),
    "the same name": (the_model("", 'int(Path(__file__).with_suffix(".bin").read_text())'), {"mine.bin": "7"}),
    "a module by its name": (
        the_model("import importlib\nNUMBER = importlib.import_module('registers').NUMBER"),
        {"registers.py": "NUMBER = 7"},
    ),
    "a module's file": (
        the_model("from registers import NUMBER"),
        {
            "registers.py": "from pathlib import Path\nNUMBER = int(Path(__file__).with_name('n.txt').read_text())",
            "n.txt": "7",
        },
    ),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home in which a driver can be made ready without a kernel."""
    monkeypatch.setenv("R4L_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(SharedKernel, "ready", lambda self: self)
    monkeypatch.setattr(memory, "build", lambda kernel: None)


def value(device: Device) -> int:
    """Value of the model's register."""
    return int(getattr(device, "ID"))  # noqa: B009 (no attribute of every device)


def driver(files: dict[str, bytes], model: str) -> SweptDriver:
    return SweptDriver("m", "m", SharedKernel("stock", "x86_64", "{}"), {"m.ko": b"m"}, "", model, files, False, "")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("case", IN_ROOT)
@pytest.mark.parametrize("place", ["mine.py", "tests/mine.py"])
def test_a_model_works_with_the_files_that_come_with_it(case: str, place: str, tmp_path: Path) -> None:
    """On a worker that has nothing else, and neither tests nor products come along."""
    text, others = IN_ROOT[case]
    folder = tmp_path / "driver"
    model = folder / place
    for name, content in {"mine.py": text, **others, "test_mine.py": "import mine", "m.o": "", ".git/x": "x"}.items():
        file = model.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert value(made(f"{model}:Mine")) == 7
    files = dict(files_of(model, folder))
    assert not [name for name in files if "test_" in name or name.endswith(".o") or ".git" in name or "cache" in name]
    shutil.rmtree(folder)
    assert value(ready(driver(files, f"{place}:Mine")).model()) == 7


def test_files_above_the_models_folder(tmp_path: Path) -> None:
    write(tmp_path, tests__mine=the_model("", 'int((HERE.parent / "data" / "rom.bin").read_text())'))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/rom.bin").write_bytes(b"7")
    assert list(files_of(tmp_path / "tests/mine.py", tmp_path)) == ["data/rom.bin", "tests/mine.py"]


@pytest.mark.usefixtures("home")
def test_a_model_that_needs_more_is_refused_with_the_names(tmp_path: Path) -> None:
    model = tmp_path / "mine.py"
    model.write_text(the_model("", "int((HERE / ('rom' + '.bin')).read_text())"))
    with pytest.raises(UsageError, match=r"not work with those files alone .*No such file .*rom.bin") as refused:
        ready(driver(dict(files_of(model, tmp_path)), "mine.py:Mine"))
    assert "those are mine.py" in refused.value.remedy


def test_a_change_of_a_file_is_another_subject(tmp_path: Path) -> None:
    model = tmp_path / "mine.py"
    model.write_text(the_model("", 'len((HERE / "rom.bin").read_bytes())'))
    (tmp_path / "rom.bin").write_bytes(bytes([0xFF]))
    keys = [driver(dict(files_of(model, tmp_path)), "mine.py:Mine").key]
    (tmp_path / "rom.bin").write_bytes(bytes([0xFE]))
    keys.append(driver(dict(files_of(model, tmp_path)), "mine.py:Mine").key)
    # What the model does not name, such as the test that is printed into its folder.
    (tmp_path / "test_lost_write.py").write_text("")
    (tmp_path / "out.json").write_text("{}")
    keys.append(driver(dict(files_of(model, tmp_path)), "mine.py:Mine").key)
    assert keys[0] != keys[1] == keys[2]


def test_too_many_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "MOST", 1 << 20)
    (tmp_path / "mine.py").write_text(the_model("", 'int((HERE / "rom.bin").read_text())'))
    (tmp_path / "rom.bin").write_bytes(bytes(2 << 20))
    with pytest.raises(UsageError, match="more than 1 MiB") as refused:
        files_of(tmp_path / "mine.py", tmp_path)
    assert "rom.bin" in refused.value.remedy


def test_a_model_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(the_model("NUMBER = 1") + "    def __init__(self, size): pass\n")
    with pytest.raises(UsageError, match="cannot be made: TypeError"):
        made(f"{tmp_path}/mine.py:Mine")
