# SPDX-License-Identifier: MIT
"""The stand for tests of a model without a VM."""

from __future__ import annotations

import importlib
import re
import tempfile
from pathlib import Path

import pytest
from tests.unit.pci.client import open_files
from tests.unit.pci.models import Broken, Model

from r4l import pci
from r4l.errors import UsageError
from r4l.pci.client import Refusal
from r4l.pci.testing import Stand


class Copier(pci.Device):
    """Copies memory, and interrupts."""

    vendor_id = 0x1234
    bars = (pci.Bar(0x1000),)
    capabilities = (pci.Msi(vectors=4), pci.Msix(vectors=3, table=0x800))
    SOURCE = pci.Register(0x00, 64)
    GO = pci.Register(0x08, fields={"size": (15, 0), "vector": (19, 16), "now": 31})
    TABLE = pci.RegisterArray(0x10, count=4)
    COUNT = pci.Register(0x20, access=pci.RC, fields={"low": (7, 0), "high": (15, 8)})

    @GO.on_write
    def go(self, old: pci.Word, new: pci.Word) -> None:
        if new.now:
            self.dma.write(self.SOURCE + 0x1000, self.dma.read(self.SOURCE, new.size))
            self.raise_irq(new.vector)
        else:
            self.lower_irq()
        self.COUNT += 1


def test_registers_memory_and_intx() -> None:
    with Stand(Copier()) as stand:
        stand.memory[0x100:0x108] = b"12345678"
        stand.write(Copier.SOURCE, 0x100)
        stand.write(Copier.GO, size=8, now=1)
        assert stand.memory[0x1100:0x1108] == b"12345678"
        assert [stand.interrupts() for _ in range(2)] == [1, 1]
        stand.write(Copier.GO)
        assert [stand.interrupts() for _ in range(2)] == [1, 0]
        assert stand.read(Copier.COUNT).low == 2
        assert stand.read(Copier.COUNT) == 0
        stand.write(Copier.TABLE[2], 0x11223344)
        assert (stand.read(Copier.TABLE[2]), stand.read(0x1A, 2), stand.device.TABLE[2]) == (
            0x11223344,
            0x1122,
            0x11223344,
        )
        stand.write(0x18, 0xFF, 1)
        assert stand.read(0x18) == 0x112233FF
        assert pci.interrupt(0) in stand.device.trace


@pytest.mark.parametrize(("kind", "vectors"), [("MSI", 4), ("MSIX", 3)])
def test_vectors(kind: str, vectors: int) -> None:
    with Stand(Copier()) as stand:
        stand.enable(kind)  # type: ignore[arg-type]
        for vector in range(vectors):
            stand.write(Copier.GO, vector=vector, now=1)
            stand.write(Copier.GO, vector=vector, now=1)
            assert [stand.interrupts(one) for one in range(vectors)] == [2 * (one == vector) for one in range(vectors)]
        with pytest.raises(UsageError, match=rf"there is no vector {vectors} of {kind}"):
            stand.interrupts(vectors)


def test_the_configuration_space_by_names() -> None:
    with Stand(Model()) as stand:
        assert stand.config("VENDOR_ID") == 0x1234
        stand.set_config("COMMAND", 0)
        with pytest.raises(pci.DmaFault):
            stand.device.dma.read(0, 1)
        stand.set_config("PM_CONTROL", 3)
        assert stand.read(Model.ID) == 0xFFFFFFFF
        with pytest.raises(UsageError, match="no register NONE in its configuration space"):
            stand.config("NONE")
    with Stand(Broken()) as stand, pytest.raises(UsageError, match="no register NONE_CONTROL"):
        stand.enable("NONE")  # type: ignore[arg-type]


def test_mistakes_of_the_test_are_told() -> None:
    with Stand(Copier()) as stand:
        with pytest.raises(AttributeError, match="GO has no field none"):
            stand.write(Copier.GO, none=1)
        with pytest.raises(AttributeError, match="an offset has no field now"):
            stand.write(8, now=1)
        with pytest.raises(UsageError, match=r"TABLE is an array.*\n.*name one of it: TABLE\[0\]"):
            stand.read(Copier.TABLE)
        with pytest.raises(Refusal):
            stand.read(0x2000)
        with pytest.raises(UsageError, match="is in another machine"):
            Stand(stand.device)


def test_what_a_model_raised_is_raised_at_the_end() -> None:
    with pytest.raises(pci.ModelError, match="no such speed"), Stand(Broken()) as stand:
        stand.write(Broken.CONTROL, speed=1)
    with pytest.raises(ZeroDivisionError), Stand(Broken()) as stand:
        stand.write(Broken.CONTROL, speed=1 // int(stand.read(Broken.CONTROL)))
    with Stand(Broken()) as stand:
        stand.write(Broken.CONTROL, speed=1)
        stand.device.errors.clear()


def test_a_method_that_does_not_return_is_given_up() -> None:
    with Stand(Broken()) as stand:
        stand.client.write(Broken.CONTROL.offset, 0x30)
        assert stand.read(Broken.ID) == 0xFFFFFFFF
        assert "has not returned for 0.3 s" in stand.device.errors.pop().cause
        stand.device.released.set()


def test_nothing_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    device = Copier()
    with Stand(device):
        pass
    before = open_files()
    for _ in range(3):
        with Stand(device) as stand:
            stand.enable("MSIX")
    for size in (0, -4096, 1000):
        with pytest.raises(UsageError, match="bytes of memory"):
            Stand(device, memory=size)
    assert open_files() == before
    assert not list(tmp_path.iterdir())


def test_the_documents_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs/devices.md").read_text(encoding="utf-8")
    for name in ("counter", "test_counter_alone"):
        found = re.search(rf"```python\n(# {name}\.py\n.*?)```", page, re.DOTALL)
        assert found
        (tmp_path / f"{name}.py").write_text(found[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("test_counter_alone").test_it_adds_up()
