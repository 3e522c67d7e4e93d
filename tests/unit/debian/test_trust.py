# SPDX-License-Identifier: MIT
"""Files that Debian has not signed, or that differ from the signed ones, are refused, from any sender."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.unit.debian import conftest as archives
from tests.unit.debian.conftest import SmallArchive

from r4l import home
from r4l.debian import Archive, release
from r4l.debian.mirror import Absent
from r4l.errors import EnvironmentFault

Fault = Callable[[BaseHTTPRequestHandler, bytes], None]


def lists() -> list[Path]:
    """The lists that were taken."""
    return list((home.home() / "lists").rglob("*.packages"))


def test_the_keys_are_debians() -> None:
    known = release.keys()
    names = [str(name) for key in known for name in key.user_ids]
    for suite in ("12/bookworm", "13/trixie"):
        assert any(f"Debian Archive Automatic Signing Key ({suite})" in name for name in names)
    assert len(known) == 9


def test_a_forged_archive_is_refused(small: SmallArchive, view: Archive) -> None:
    small.add("make")
    small.publish(signer="somebody")
    with pytest.raises(EnvironmentFault, match="is not signed by Debian's keys") as caught:
        view.update()
    assert "changed the archive" in caught.value.remedy
    assert lists() == []
    assert view.versions("make") == []
    # Nothing but the signed table was even asked for.
    assert [path for path, _ in small.asked] == ["dists/small/InRelease"]


def test_whether_debian_has_signed_it(small: SmallArchive) -> None:
    """By the signature alone: any other answer is none of Debian's, and no answer says nothing."""
    small.publish()
    assert release.is_signed(small.address, "small") is True
    release.is_signed.cache_clear()
    for fault in (archives.web_page, archives.status(404), archives.another):
        small.faults = {"InRelease": fault}
        assert release.is_signed(small.address, "small") is False
        release.is_signed.cache_clear()
    small.faults = {}
    small.publish(signer="somebody")
    assert release.is_signed(small.address, "small") is False
    assert release.is_signed("http://127.0.0.1:9/debian", "small") is None
    release.is_signed.cache_clear()


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a byte": lambda text: text.replace(b"Suite: small", b"Suite: smell"),
    "no signature": lambda text: text[: text.index(b"-----BEGIN PGP SIGNATURE-----")],
    "not signed at all": lambda text: text[text.index(b"Suite:") : text.index(b"-----BEGIN PGP SIGNATURE-----")],
    "nothing": lambda _: b"",
    "a web page": lambda _: archives.HTML,
    "no text": lambda _: bytes(range(256)) * 16,
    "text before it": lambda text: b"SHA256:\n " + b"0" * 64 + b" 1 main/binary-amd64/Packages\n\n" + text,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_table_is_refused(change: str, small: SmallArchive, view: Archive) -> None:
    small.publish(change=CHANGES[change])
    with pytest.raises(EnvironmentFault) as caught:
        view.update()
    assert ("signed" in caught.value.cause) or ("web page" in caught.value.cause)
    assert lists() == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_suite_that_the_mirror_does_not_have(status: int, small: SmallArchive, view: Archive) -> None:
    small.publish()
    small.faults = {"dists/backports/InRelease": archives.status(status)}
    with pytest.raises(Absent, match="debian does not have backports\nremedy") as caught:
        view.update()
    assert "R4L_MIRROR" in caught.value.remedy
    assert "has moved on" not in caught.value.remedy


def test_a_suite_that_the_mirror_does_not_have_for_an_architecture(small: SmallArchive, view: Archive) -> None:
    small.publish()
    with pytest.raises(Absent, match="does not have small for arm64\nremedy"):
        dataclasses.replace(view, architecture="arm64").update()
    # Its table lists it, as all of Debian does; the mirror has left it out.
    small.faults = {path: archives.status(404) for path in small.files if "/main/binary-amd64/" in path}
    with pytest.raises(Absent, match="does not have small for amd64\nremedy"):
        view.update()


def test_what_follows_the_signature_is_nobodys(small: SmallArchive, view: Archive) -> None:
    small.add("make")
    small.publish(change=lambda text: text + b"\nValid-Until: Sat, 01 Jan 2000 00:00:00 UTC\n")
    view.update()
    assert view.versions("make") == ["1"]


def test_another_suites_table_is_refused(small: SmallArchive, view: Archive) -> None:
    small.publish(codename="sid")
    small.files["dists/small/InRelease"] = small.files["dists/backports/InRelease"]
    with pytest.raises(EnvironmentFault, match="is the list of 'sid', not of small"):
        view.update()


def test_lists_whose_time_is_over(small: SmallArchive, view: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    small.publish(made=-30)
    with pytest.raises(EnvironmentFault, match=r"was valid until .*the clock of this machine says") as caught:
        view.update()
    assert "if the clock is wrong, set it" in caught.value.remedy
    # An archive of old days, which the user asks for.
    monkeypatch.setenv("R4L_CHECK_VALID_UNTIL", "false")
    view.update()


def test_lists_of_tomorrow_are_a_matter_of_the_clock(small: SmallArchive, view: Archive) -> None:
    small.publish(made=365)
    with pytest.raises(EnvironmentFault, match=r"was made at .*the clock of this machine says") as caught:
        view.update()
    assert "set the clock" in caught.value.remedy


def test_a_signature_that_cannot_be_for_the_clock(small: SmallArchive, view: Archive) -> None:
    """A signature of the future is none to the library; the date that stands there explains it."""
    small.publish(made=365, change=CHANGES["a byte"])
    with pytest.raises(EnvironmentFault, match="its signature cannot be verified") as caught:
        view.update()
    assert "set the clock" in caught.value.remedy


def test_an_older_archive_than_before_is_refused(
    small: SmallArchive, view: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its signature is good, and stable's lists have no end: only the memory tells."""
    small.add("make", "2")
    small.publish(lasts=None)
    view.update()
    small.publish(made=-200, lasts=None)
    with pytest.raises(EnvironmentFault, match="and the one that came before it at") as caught:
        view.update()
    assert "old archive" in caught.value.remedy
    assert view.versions("make") == ["2"], "what was here before still is"
    # Another mirror is another's memory.
    monkeypatch.setenv("R4L_MIRROR", small.address.replace("127.0.0.1", "localhost"))
    Archive("small", "backports", ("main",), "amd64", ()).update()


FAULTS: dict[str, tuple[Fault, str]] = {
    "another": (archives.another, "is not the file that Debian signed"),
    "cut off": (archives.cut_off, "cannot be reached: .*(IncompleteRead|cut off)"),
    "endless": (archives.endless, "is not the file that Debian signed|cannot be reached"),
    "a web page": (archives.web_page, "a web page came instead of|cut off"),
    "empty": (archives.status(200, b""), "is cut off, 0 of"),
    "gone": (archives.status(404), "does not have small|has no pool"),
    "forbidden": (archives.status(403), "cannot be reached: .*403"),
    "broken": (archives.status(503), "cannot be reached: .*503"),
    "log-in": (archives.status(511), "cannot be reached: .*511"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", ["InRelease", "list", "make_1_amd64.deb"])
def test_a_mirror_that_lies(what: str, fault: str, small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    small.add("make", content=archives.deb({"usr/bin/make": b"x" * 5000}, "none"))
    small.publish()
    answer, said = FAULTS[fault]
    ends = [what] if what != "list" else ["Packages.xz", *(p for p in small.files if "by-hash" in p)]
    small.faults = dict.fromkeys(ends, answer)

    def set_up() -> None:
        view.update()
        view.unpack({"make": "1"}, tmp_path / "tree")

    with pytest.raises(EnvironmentFault) as caught:
        set_up()
    cause = caught.value.cause
    if what == "InRelease" and fault in ("another", "empty"):
        said = "signed"
    elif what == "InRelease" and fault == "endless":
        said = "does not end"
    elif what == "InRelease" and fault == "cut off":
        said = "cannot be reached"
    assert re.search(said, cause), cause
    assert caught.value.remedy
    assert not (tmp_path / "tree/usr/bin/make").exists()
    # Once the mirror is well again, nothing is in the way.
    small.faults = {}
    set_up()
    assert (tmp_path / "tree/usr/bin/make").read_bytes() == b"x" * 5000
    assert list((home.home() / "downloads").iterdir()) == []


def test_a_proxy_that_answers_with_a_web_page(
    small: SmallArchive, view: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror itself cannot be reached: all goes to the proxy, which wants a log-in."""
    small.publish()
    monkeypatch.setenv("http_proxy", small.address.removesuffix("/debian"))
    monkeypatch.setenv("R4L_MIRROR", "http://mirror.invalid/debian")
    monkeypatch.setenv("no_proxy", "")
    small.faults = {"InRelease": archives.web_page}
    with pytest.raises(EnvironmentFault, match=r"a web page came instead of http://mirror\.invalid") as caught:
        Archive("small", "backports", ("main",), "amd64", ()).update()
    assert "log-in" in caught.value.remedy
    assert small.asked[0][0].startswith("http://mirror.invalid/debian/dists/small/")


def test_a_download_goes_on_where_it_was_cut_off(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    small.add("make", content=archives.deb({"usr/bin/make": bytes(range(256)) * 2000}, "none"))
    small.publish()
    view.update()
    small.faults = {"make_1_amd64.deb": archives.cut_off}
    with pytest.raises(EnvironmentFault):
        view.unpack({"make": "1"}, tmp_path / "tree")
    small.faults, small.asked = {}, []
    view.unpack({"make": "1"}, tmp_path / "tree")
    (path, begin), *rest = small.asked
    assert path.endswith("make_1_amd64.deb")
    assert begin > 100_000
    assert rest == []


def test_one_bad_answer_is_asked_again(small: SmallArchive, view: Archive, tmp_path: Path) -> None:
    small.add("make")
    small.publish()
    answers: list[Fault] = [archives.status(503), archives.another]

    def at_first(request: BaseHTTPRequestHandler, content: bytes) -> None:
        (answers.pop(0) if answers else lambda request, content: archives.send(request, 200, content))(request, content)

    small.faults = {"make_1_amd64.deb": at_first}
    view.update()
    view.unpack({"make": "1"}, tmp_path / "tree")
    assert (tmp_path / "tree/usr/share/make").read_text() == "1"


def test_a_view_without_backports_keeps_the_lists_of_one_with_them(small: SmallArchive, view: Archive) -> None:
    small.add("make", "2")
    small.publish()
    view.update()
    Archive("small", "", ("main",), "amd64", ()).update()
    assert view.versions("make") == ["2"]


LOSSES: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "empty": lambda path: os.truncate(path, 0),
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "another": lambda path: path.write_bytes(path.read_bytes().replace(b"Version: 2", b"Version: 3")),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_list_that_is_lost_or_damaged_is_fetched_again(
    loss: str, small: SmallArchive, view: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.add("make", "2")
    small.publish()
    view.update()
    (path,) = (path for path in (home.home() / "lists").rglob("small-main-*.packages"))
    LOSSES[loss](path)
    # Another process has not read it yet.
    monkeypatch.setattr("r4l.debian.archive._indexes", {})
    with monkeypatch.context() as offline:
        offline.setenv("R4L_MIRROR", "http://127.0.0.1:9/debian")
        with pytest.raises(EnvironmentFault, match="cannot be reached"):
            Archive("small", "backports", ("main",), "amd64", ()).versions("make")
    assert view.versions("make") == ["2"]
