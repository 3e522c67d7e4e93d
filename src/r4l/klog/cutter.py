# SPDX-License-Identifier: MIT
"""Cut complaints out of a stream of records, keeping apart those that several tasks and CPUs print at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from r4l.klog import blame, frames, kinds
from r4l.klog.records import Record
from r4l.klog.splat import Splat

MAX_LINES = 400
"""Records of one splat that are kept; of a longer one, those in the middle are left out."""
MAX_CHARACTERS = 1 << 16
"""Characters of one splat that are kept; the longest reports of lockdep have half of it."""
MOST_LINES = 40_000
"""Records of one splat, where it is cut: a list of all tasks has one for each (mm/oom_kill.c, `dump_tasks`)."""
PREAMBLE = 4
GAP = 1.0
"""Seconds between two lines after which a splat is taken to be over, by the kernel's time, or else by the clock of the
program that wrote the log."""
LONG_GAP = 15.0
"""Like `GAP`, for a line that can only continue the splat: waiting for an NMI on another CPU takes 10 s."""
QUIET = 2.0
"""Seconds without a further line, by this machine's clock, after which a splat in a log that still grows is taken to be
over; `LONG_GAP` before its trace has come, and where other CPUs add theirs."""
STRANGERS = 40
"""Consecutive unrelated lines that end a splat. Without caller information, other tasks print in between."""
AFTERMATH = 10
"""Like `STRANGERS`, after the end of the trace: the kernel may print registers again, or panic because of the splat."""
DOUBT = 4
"""Like `STRANGERS`, for a headline that is confirmed only by further lines of a complaint."""
FRESH = 5
"""Lines at the begin of a log, the first of the kernel's among which can be the middle of a report."""
MAX_OPEN = 16
"""Splats that can be open at once, one per task or CPU."""
BROKEN_INTO = "\0"
"""Key of a splat in whose trace another one has begun, in a log that does not name the callers; no caller's name."""


@dataclass
class _Open:
    """A splat whose lines are still coming."""

    kind: str | None = None
    headline: str = ""
    records: list[Record] = field(default_factory=list)
    size: int = 0
    ended: bool = False
    traced: bool = False
    dying: bool = False
    tentative: bool = False
    torn: bool = False
    """True for a splat whose headline is missing, as the log begins after it."""
    single: bool = False
    middle: int = 0
    """Place in the records where some were left out; 0 for none."""
    left_out: int = 0
    """Number of them."""
    indent: str = ""
    """Blanks before the first line; a log that somebody has indented has them before every line."""
    strangers: int = 0
    """Number of lines at the end that may belong to something else."""
    since: float = 0.0
    """Time of the last line, as `SplatCutter.now` had it."""

    @property
    def full(self) -> bool:
        """True if more is kept than shall be."""
        return len(self.records) > MAX_LINES or self.size > MAX_CHARACTERS

    def shorten(self) -> None:
        """Leave out records in the middle: the begin has the headline and the trace, the end may be another's."""
        middle = self.middle or len(self.records) // 2
        while self.full and middle < len(self.records) - STRANGERS - 1:
            self.size -= len(self.records.pop(middle).text)
            self.middle = middle
            self.left_out += 1

    @property
    def patience(self) -> float:
        """Seconds to wait for a further line."""
        only = self.single and len(self.records) - self.strangers == 1
        return QUIET if self.ended or only or (self.traced and self.kind not in kinds.WIDE) else LONG_GAP


class SplatCutter:
    """Cutter of splats from a stream of records. Feed it every record in order, then call `flush`.

    Args:
        log: file that the splats name as their source.
        only_kernel: take only records marked as the kernel's; on the console of a VM, programs write in between.

    Attributes:
        now: seconds of a clock of the caller's, for `settle`.
    """

    def __init__(self, log: Path | None = None, *, only_kernel: bool = True) -> None:
        self._log = log
        self._only_kernel = only_kernel
        self._open: dict[str | None, _Open] = {}
        self._said = False
        self._last: str | None = None
        self.now = 0.0
        # A VM's log begins with its boot.
        self._fresh = 0 if only_kernel else FRESH

    @property
    def idle(self) -> bool:
        """True if a record that begins no splat needs not be fed: none is open, and the log has begun."""
        return not (self._open or self._fresh)

    @property
    def open(self) -> bool:
        """True while a splat has begun and not ended."""
        return bool(self._open)

    @property
    def marked(self) -> bool:
        """True if a record was marked as the kernel's."""
        return self._said

    @property
    def headline(self) -> tuple[str, str] | None:
        """Kind and headline of the open splat, or None until they are known."""
        begun = (each for each in self._open.values() if each.kind and not each.tentative)
        return next(((each.kind or "", each.headline) for each in begun), None)

    @property
    def dying(self) -> bool:
        """True if an open splat shows that the kernel killed a task or panicked."""
        return any(each.dying for each in self._open.values())

    def feed(self, record: Record) -> list[Splat]:
        """Add a record; return the splats that it completes."""
        if record.kernel is not True and not self._counts(record):
            return []
        self._said = self._said or record.kernel is True
        if fresh := self._fresh:
            self._fresh = 0 if record.kernel else fresh - 1
        if record.kernel is None and self._said and self._open and self._is_strange(record.text):
            return []
        key = self._stream(record)
        key = record.caller if key == BROKEN_INTO else key
        done: list[Splat] = []
        current = self._open.get(key)
        if before := self._open.get(BROKEN_INTO):
            if current and _resumes(before, record):
                self._add(before, record)
                return []
            if current is None or (current.kind and (_belongs(record.text) or kinds.headline(record.text))):
                done = self._close(BROKEN_INTO)
        if current and not self._continues(current, record):
            if BROKEN_INTO not in self._open and _is_broken_into(current, record):
                self._open[BROKEN_INTO] = self._open.pop(key)
            else:
                done += self._close(key)
            current = None
        if current is None:
            begins = self._begins(record)
            torn = bool(fresh) and not begins and _is_middle(record.text)
            if not begins and not torn:
                return done
            if len(self._open) >= MAX_OPEN:
                done += self._close(next(iter(self._open)))
            current = self._open[key] = _Open(torn=torn, tentative=torn)
            self._fresh = 0
        self._add(current, record)
        return done

    def pass_over(self, caller: str | None) -> None:
        """Note a kernel record that begins no splat while none is open; a cheaper alternative to `feed`."""
        self._said = True
        self._last = caller

    def settle(self) -> list[Splat]:
        """Close the splats whose next line would have come by `now`, and return them."""
        over = [key for key, each in self._open.items() if self.now - each.since >= each.patience]
        return [splat for key in over for splat in self._close(key)]

    def flush(self) -> list[Splat]:
        """Close all open splats and return them."""
        return [splat for key in list(self._open) for splat in self._close(key)]

    def _is_strange(self, text: str) -> bool:
        """True for a line that is neither the kernel's by its prefix nor by its words: another program's."""
        return not text.strip() or not (_belongs(text) or kinds.headline(text) or text.strip() == kinds.CUT_HERE)

    def _counts(self, record: Record) -> bool:
        """True if a line without a kernel prefix is accepted as the kernel's."""
        return not self._only_kernel and record.kernel is None

    def _stream(self, record: Record) -> str | None:
        """Return the key of the splat that a record may belong to.

        The key is the caller: a task or a CPU. A report about the whole machine also takes records that any CPU prints.
        """
        if record.kernel is None and self._said:
            # The second line of a record, indented; or a stack that an old kernel printed word by word.
            return self._last if self._last in self._open else next(iter(self._open), "")
        caller = record.caller
        self._last = caller
        if caller in self._open or not self._open:
            return caller
        if caller is None or caller[0] == "C":
            wide = [key for key, each in self._open.items() if each.kind in kinds.WIDE and not each.ended]
            found = kinds.headline(record.text)
            if (
                wide
                and record.text.strip() != kinds.CUT_HERE
                and (found is None or (found.kind == self._open[wide[-1]].kind and found.merges))
            ):
                return wide[-1]
        return caller

    def _begins(self, record: Record) -> bool:
        if record.text.strip() == kinds.CUT_HERE:
            return True
        found = kinds.headline(record.text)
        return found is not None and not (found.weak and record.kernel is None and self._said)

    def _continues(self, current: _Open, record: Record) -> bool:
        text = record.text.removeprefix(current.indent)
        if current.full or current.left_out > MOST_LINES:
            return False
        belongs = _belongs(text)
        found = kinds.headline(text)
        kind = found.kind if found else None
        if (passed := _between(current.records[-1], record)) is not None:
            waits = belongs and not kind and not current.ended
            if passed > (LONG_GAP if waits else GAP) or (passed < -GAP and not belongs):
                return False
        if text.strip() == kinds.CUT_HERE:
            return self._preamble(current)
        if current.torn and not current.kind and kind == "panic":
            return True
        if current.kind in kinds.WARNS and kind and current.records[-1].text.strip() == kinds.CUT_HERE:
            return kind == current.kind
        if current.tentative and (kind or current.strangers >= DOUBT):
            return False
        if current.kind in kinds.PREFIX:
            if found and (found.kind != current.kind or (current.traced and not found.merges)):
                return False
            return bool(kinds.PREFIX[current.kind].match(text)) or current.strangers < DOUBT
        if found and kind != "panic" and (current.traced or current.ended or current.kind in kinds.ALONE):
            return self._again(current, found)
        if current.ended:
            return belongs or current.strangers < AFTERMATH
        if current.single and len(current.records) - current.strangers == 1:
            # What another task prints between the message and the BUG or WARNING that it leads to.
            return kind is not None or (current.strangers < DOUBT and not (belongs and current.strangers))
        return belongs or current.strangers < STRANGERS

    def _again(self, current: _Open, found: kinds.Headline) -> bool:
        """True if a headline inside an open splat belongs to the same complaint. Otherwise another task printed it."""
        if found.kind == current.kind:
            return not (current.traced or current.ended) or found.merges
        if current.ended:
            return False
        if found.kind == "warning" and self._is_message(current):
            return True
        return found.kind == "slab" and current.kind in kinds.RULED

    def _is_message(self, current: _Open) -> bool:
        """True if the open splat holds only the message of a WARN(), which is printed before `WARNING: … at …`
        (kernel/panic.c, `warn_slowpath_fmt`)."""
        first = current.records[0].text.strip()
        if current.traced or not (first == kinds.CUT_HERE or first.startswith(kinds.LOCKS_WARN)):
            return False
        return not any(kinds.EVIDENCE.match(record.text.strip()) for record in current.records)

    def _preamble(self, current: _Open) -> bool:
        """True if the open splat holds only what precedes a BUG or WARNING: the few lines of a Rust panic's message, or
        a report that a WARNING ends."""
        if current.ended or current.traced:
            return False
        if len(current.records) > PREAMBLE and current.kind not in kinds.WARNS:
            return False
        return not any(record.text.strip() == kinds.CUT_HERE for record in current.records)

    def _add(self, current: _Open, record: Record) -> None:
        text = record.text.strip()
        if not current.records:
            current.indent = record.text[: len(record.text) - len(record.text.lstrip())]
        current.records.append(record)
        current.since = self.now
        current.size += len(record.text)
        if current.full:
            current.shorten()
        inner = record.text.removeprefix(current.indent)
        prefix = kinds.PREFIX.get(current.kind or "")
        known = bool(prefix.match(inner)) if prefix else _belongs(inner) or kinds.headline(inner) is not None
        known = known or len(current.records) == 1
        # An empty line belongs to what is before it.
        current.strangers = 0 if known and (text or not current.strangers) else current.strangers + 1
        current.dying = current.dying or bool(kinds.death(text))
        if current.kind is None and (found := kinds.headline(text)):
            current.kind, current.headline, current.strangers = found.kind, text, 0
            current.single = found.single
            # Logs of other programs contain such words too, but not the kernel's mark before them.
            doubtful = found.tentative or (found.weak and record.kernel is None)
            current.tentative = doubtful and current.records[0].text.strip() != kinds.CUT_HERE
        elif current.tentative and (kinds.TORN_CERTAIN if current.torn else kinds.EVIDENCE).match(text):
            current.tentative = False
        if not current.traced and kinds.opens_trace(text):
            current.traced = True
        closing_rule = text.startswith("===") and kinds.RULE.match(text) and len(current.records) > 3
        trace_end = text == kinds.TRACE_END and current.kind not in kinds.SECTIONED
        if (text.startswith("---[") and kinds.END.match(text)) or trace_end or closing_rule:
            current.ended, current.strangers = True, 0

    def _tells(self, current: _Open) -> bool:
        """True if there is something of the kernel's behind the mark where a report begins."""
        said = [record for record in current.records if record.text.strip() not in ("", kinds.CUT_HERE)]
        shown = current.traced or current.ended or any(kinds.EVIDENCE.match(record.text.strip()) for record in said)
        return shown or any(record.kernel or not self._said for record in said)

    def _close(self, key: str | None) -> list[Splat]:
        current = self._open.pop(key)
        if current.tentative:
            return []
        records = current.records
        if current.kind is None and not current.torn and not self._tells(current):
            # The log ends here, or somebody quoted it up to here.
            return []
        if current.traced or current.ended or current.single or current.kind in kinds.PREFIX:
            records = records[: len(records) - current.strangers]
        if 0 < current.middle <= len(records):
            note = f"({current.left_out} lines are left out here)"
            records = [*records[: current.middle], Record(note, number=records[-1].number), *records[current.middle :]]
        kind, headline = current.kind, current.headline
        if kind is None and current.torn:
            kind, headline = kinds.TORN, records[0].text.strip()
        elif kind is None:
            kind, headline = "warning", records[-1].text
        return [Splat(kind, headline, records, log=self._log)]


def _between(before: Record, after: Record) -> float | None:
    """Return the seconds between two records, by the kernel's time or another program's clock; None if unknown."""
    if before.time is not None and after.time is not None:
        return after.time - before.time
    if before.clock is not None and after.clock is not None:
        return after.clock - before.clock
    return None


def _is_broken_into(current: _Open, record: Record) -> bool:
    """True if a headline, or the mark before one, stands in the trace of an open splat, which may go on: another CPU
    prints in between."""
    if record.caller is not None or current.ended or not current.traced or current.kind in kinds.PREFIX:
        return False
    if frames.frame_of(current.records[-1].text) is None or not _is_soon(current, record):
        return False
    found = kinds.headline(record.text)
    return record.text.strip() == kinds.CUT_HERE or (found is not None and found.kind not in kinds.BARE)


def _resumes(before: _Open, record: Record) -> bool:
    """True if a line goes on with a splat whose trace a headline has broken into, until the other splat has lines of
    its own."""
    if record.caller is not None or before.left_out > MOST_LINES or not _is_soon(before, record):
        return False
    if frame := frames.frame_of(record.text):
        return not before.ended and not blame.only_reports(frame.symbol)
    text = record.text.strip()
    return text == kinds.TRACE_END or bool(kinds.END.match(text)) or (before.dying and kinds.death(text) == "machine")


def _is_soon(current: _Open, record: Record) -> bool:
    """True if a line may come from the task that printed the last one of an open splat."""
    passed = _between(current.records[-1], record)
    return passed is None or abs(passed) <= GAP


def _is_middle(text: str) -> bool:
    return bool(kinds.TORN_BEGIN.match(text.lstrip())) or frames.frame_of(text) is not None


@lru_cache(256)
def _belongs(text: str) -> bool:
    if kinds.BELONGS.match(text):
        return True
    return frames.frame_of(text) is not None or frames.inlined_of(text) is not None
