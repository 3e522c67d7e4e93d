# SPDX-License-Identifier: MIT
"""Cables for the cards of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from r4l.errors import UsageError
from r4l.net import Nic, Wire, crossover
from r4l.vm import cables


def test_guests_are_cut_off_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    nics = (Nic(), Nic(options={"restrict": False}), Nic(backend="socket"), Nic(options={"net": "10.9.0.0/24"}))
    monkeypatch.delenv(cables.ISOLATED, raising=False)
    assert cables.isolated(nics) == nics
    monkeypatch.setenv(cables.ISOLATED, "1")
    found = cables.isolated(nics)
    assert [nic.options.get("restrict") for nic in found] == [True, False, None, True]
    assert found[3].options["net"] == "10.9.0.0/24"


def test_cards_that_lack_one_get_one(tmp_path: Path) -> None:
    end, _ = crossover()
    nics = [Nic(), Nic(backend="socket"), Nic(backend="socket"), Nic(backend="socket", capture=False)]
    laid = cables.lay(nics, {1: end}, tmp_path)
    assert sorted(laid) == [1, 2, 3]
    assert laid[1] is end
    assert isinstance(laid[2], Wire)
    assert laid[2].pcap == tmp_path / "wire2.pcap"
    cables.close(laid.values())
    with pytest.raises(UsageError, match="before"):
        end.plug()


def test_a_cable_has_to_fit() -> None:
    end, other = crossover()
    with pytest.raises(UsageError, match="card 1"):
        cables.check([Nic(backend="socket")], {1: end})
    for nic in (Nic(), Nic(backend="tap"), Nic(backend="socket", options={"type": "stream"})):
        with pytest.raises(UsageError, match="no cable of this kind"):
            cables.check([nic], {0: end})
    cables.check([Nic(backend="socket")], {0: end})
    cables.close([end, other])
