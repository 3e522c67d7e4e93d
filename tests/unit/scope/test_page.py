# SPDX-License-Identifier: MIT
"""The page of a recording: one file, safe whatever the guest has written."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.browser import CHROMIUM, needs_browser, shown
from tests.unit.scope.conftest import HOSTILE, Lamp

from r4l.cli import cli
from r4l.errors import UsageError
from r4l.pci.recording import Recorder
from r4l.scope import Heading, LiveScope, load, render
from r4l.vm.devices import Plugs

HELLO = str(Path(__file__).parents[3] / "rust/drivers/hello")


def contents(page: str) -> dict[str, Any]:
    """The data of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_needs_no_other_file_and_runs_its_own_script_only(recording: dict[str, Any]) -> None:
    page = render([recording], Heading("lamp", "7.3", "echo 1 > /dev/lamp"))
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["']?(?!data:)|@import|url\(""",
        re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL),
    )
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert contents(page)["devices"][0]["events"][0]["register"] == "LIGHT"
    assert "echo 1 &gt; /dev/lamp" in page


def test_what_the_guest_wrote_is_no_markup(lamp: Lamp) -> None:
    recorder = Recorder(lamp)
    lamp.note(HOSTILE)
    lamp.trace.add("frame-received", size=60, value=HOSTILE.encode().ljust(60)[:60])
    page = render([recorder.as_data()], Heading(HOSTILE, HOSTILE, HOSTILE))
    assert page.count("<script") == 2
    assert page.count("</script>") == 2
    assert "<img" not in page
    assert not set(page) & {"\x1b", "\u202e"}
    assert "</script>" in contents(page)["devices"][0]["events"][0]["text"]


def test_a_frame_is_told_in_words(lamp: Lamp) -> None:
    recorder = Recorder(lamp)
    arp = bytes.fromhex(
        "ffffffffffff 525400123456 0806 0001 0800 06 04 0001 525400123456 0a00020f 000000000000 0a000202"
    )
    lamp.trace.add("frame-sent", size=42, value=arp)
    event = contents(render([recorder.as_data()], Heading()))["devices"][0]["events"][0]
    assert (event["frame"], event["ends"]) == ("ARP who has 10.0.2.2? tell 10.0.2.15", "10.0.2.15 → broadcast")


def test_ten_thousand_events_are_a_page_of_a_few_megabytes(lamp: Lamp) -> None:
    recorder = Recorder(lamp)
    begin = time.monotonic()
    for number in range(12_000):
        lamp.bar_write(0, 0, 4, number)
    assert time.monotonic() - begin < 10
    page = render([recorder.as_data()], Heading())
    data = contents(page)["devices"][0]
    assert (len(data["events"]), data["folded"]) == (10_000, 2_000)
    assert len(page) < 3_000_000


def test_a_recording_comes_back_from_its_file(recording: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "pci0.json"
    file.write_text(json.dumps(recording))
    assert load(file) == [json.loads(json.dumps(recording))]
    done = CliRunner().invoke(cli, ["scope", "--from", str(file)], standalone_mode=False)
    assert done.exception is None
    assert contents((tmp_path / "pci0.html").read_text())["devices"][0]["events"] == load(file)[0]["events"]


@pytest.mark.usefixtures("no_finalizers")
@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[1]", "nothing", "[" * 100_000, '{"format": "r4l-recording-1"}', "\xff"]
)
def test_a_file_that_is_no_recording_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "pci0.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is no recording"):
        load(file)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_browsers_do_not_read_is_refused(number: str, recording: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "pci0.json"
    file.write_text(json.dumps(recording).replace("{", f'{{"more": {number}, ', 1))
    with pytest.raises(UsageError, match=f"is no recording: {number} is no number"):
        load(file)


def test_the_page_does_not_replace_the_recording(recording: dict[str, Any], tmp_path: Path) -> None:
    file, link = tmp_path / "pci0.html", tmp_path / "link"
    file.write_text(json.dumps(recording))
    link.symlink_to(file)
    for words in ([], ["--output", str(file)], ["--output", str(link)]):
        done = CliRunner().invoke(cli, ["scope", "--from", str(file), *words], standalone_mode=False)
        assert isinstance(done.exception, UsageError)
        assert "is the recording itself" in done.exception.cause
    assert json.loads(file.read_text()) == recording


@pytest.mark.parametrize("there", ["text", "empty", "link", "nowhere", "folder", "pipe"])
def test_without_output_only_a_page_of_r4l_s_is_replaced(there: str, recording: dict[str, Any], tmp_path: Path) -> None:
    """Regression: pre.json replaced pre.html, whatever that was."""
    source, page = tmp_path / "pre.json", tmp_path / "pre.html"
    source.write_text(json.dumps(recording))
    words = ["scope", "--from", str(source)]
    for _ in range(2):
        assert CliRunner().invoke(cli, words, standalone_mode=False).exception is None
    ours = page.read_text()
    page.unlink()
    (tmp_path / "other").write_text("<p>mine")
    makers: dict[str, Callable[[], object]] = {
        "text": lambda: page.write_text("<html><p>mine"),
        "empty": page.touch,
        "link": lambda: page.symlink_to("other"),
        "nowhere": lambda: page.symlink_to("none"),
        "folder": page.mkdir,
        "pipe": lambda: os.mkfifo(page),
    }
    makers[there]()
    before = page.lstat()
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert "is there already" in done.exception.cause
    assert (page.lstat().st_ino, page.lstat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (tmp_path / "other").read_text() == "<p>mine"
    if there == "text":
        done = CliRunner().invoke(cli, [*words, "-o", str(page)], standalone_mode=False)
        assert (done.exception, page.read_text()) == (None, ours)


@pytest.mark.parametrize("name", ["page.html", "again.json"])
def test_output_goes_where_a_link_or_a_pipe_leads(name: str, recording: dict[str, Any], tmp_path: Path) -> None:
    source, real, link, pipe = (tmp_path / each for each in ("pci0.json", "real", f"link-{name}", f"pipe-{name}"))
    source.write_text(json.dumps(recording))
    link.symlink_to(real)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 1 << 20)
    for output in (link, pipe):
        words = ["scope", "--from", str(source), "-o", str(output)]
        assert CliRunner().invoke(cli, words, standalone_mode=False).exception is None
    assert link.is_symlink()
    assert pipe.is_fifo()
    assert os.read(reader, 1 << 20).decode() == real.read_text()
    os.close(reader)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([source.name, real.name, link.name, pipe.name])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load(tmp_path / "pci0.json")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ([], "no driver is given"),
        ([HELLO, "--nic-model", "virtio-net-pci"], "virtio-net-pci is a device of QEMU's"),
        ([HELLO, "--nics", "0"], "no device that is written in Python"),
        ([HELLO, "--nics", "0", "--device", "edu"], "no device that is written in Python"),
    ],
)
def test_a_machine_without_a_device_in_python_is_refused(words: list[str], cause: str) -> None:
    done = CliRunner().invoke(cli, ["scope", *words], standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert cause in done.exception.cause


@needs_browser
class TestInABrowser:
    """The script of the page."""

    def test_it_shows_the_state_at_an_event(self, recording: dict[str, Any], tmp_path: Path) -> None:
        page = render([recording], Heading("lamp"))
        first = shown(page, tmp_path, "#0")
        assert re.search(r'id="sentence">.*writes .*<b>0x4201</b> to <b>LIGHT</b> \(on=1 colour=0x42\)', first)
        assert "LIGHT: 0x0 → 0x4201" in first
        assert "0 of 8" in first
        last = shown(page, tmp_path, "#1")
        assert "3 of 8" in last
        assert re.search(r"tail 3</text>", last)

    def test_hostile_text_stays_text(self, lamp: Lamp, tmp_path: Path) -> None:
        recorder = Recorder(lamp)
        lamp.note(HOSTILE)
        seen = shown(render([recorder.as_data()], Heading(HOSTILE)), tmp_path)
        assert "taken" not in re.findall(r"<title>(.*?)</title>", seen)[0].replace("title='taken'", "")
        assert "<img" not in seen
        assert "&lt;/script&gt;" in seen

    def test_ten_thousand_events_are_drawn(self, lamp: Lamp, tmp_path: Path) -> None:
        recorder = Recorder(lamp)
        for number in range(10_000):
            lamp.bar_write(0, 0x14, 4, number % 8)
        seen = shown(render([recorder.as_data()], Heading()), tmp_path, "#5003")
        assert "event 5003 of 9999" in seen
        assert seen.count('class="event ') < 200
        assert "3 of 8" in seen

    def test_a_page_that_begins_with_many_events_goes_on(self, lamp: Lamp, tmp_path: Path) -> None:
        """Regression: the page of `--events 100000` was loaded again and again."""
        recorder = Recorder(lamp, 200_000)
        for number in range(50_100):
            lamp.bar_write(0, 0x14, 4, number % 8)
        asked: list[str] = []

        class Counted(LiveScope):
            def page(self) -> str:
                asked.append("page")
                return super().page()

            def messages(self, seen: Sequence[int]) -> Any:
                asked.append("events")
                return super().messages(seen)

        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
        with Counted([recorder], Heading()) as live:
            browser = subprocess.Popen(
                [CHROMIUM or "", *options, live.url], stderr=subprocess.DEVNULL, start_new_session=True
            )
            try:
                end = time.monotonic() + 60
                while "events" not in asked and time.monotonic() < end:
                    time.sleep(0.1)
                # The page would begin anew after 1.5 s.
                time.sleep(4)
            finally:
                os.killpg(browser.pid, signal.SIGKILL)
                browser.wait()
        assert asked == ["page", "events"]


def test_a_failed_tests_folder_has_a_recording(lamp: Lamp, tmp_path: Path) -> None:
    plugs = Plugs([lamp], tmp_path)
    try:
        lamp.bar_write(0, 0, 4, 0x4201)
        plugs.save_traces()
    finally:
        plugs.close()
    (recording,) = load(tmp_path / "pci0.json")
    assert [one["value"] for one in recording["events"] if one.get("register") == "LIGHT"] == ["0x4201"]
    assert recording["device"]["model"] == "Lamp"
