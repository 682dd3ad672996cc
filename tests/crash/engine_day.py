"""The same day worked by the real engine in a process of its own, which SIGKILL ends at a point; and its successor.

    python -m tests.crash.engine_day        reads one Life in JSON a line, forks a process that lives it, tells its end

Between two lives only files remain: the ledger's, the archive's, the folders' and the portals'.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import pickle
import signal
import sys
import traceback
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from delivery_house import House
from portal_in_memory import START, Clock, Doc

from hub.contract.connector import Lookup, Repeat
from hub.engine import local
from hub.store import tables as t
from tests.crash.day import Case, Day
from tests.crash.points import place
from tests.crash.troubles import TROUBLES, Site

ROUNDS = 60


@dataclass(frozen=True)
class Life:
    """One process: in which folder, with what lanes, and behind which point it is killed; None: it lives to the end."""

    folder: str
    troubles: tuple[str, ...]
    killed_at: str | None
    lookup: str = Lookup.EXACT
    repeat: str = Repeat.UNSAFE
    unique: bool = False


class KeptClock(Clock):
    """The time goes on where it stood when the last process died."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def now(self) -> dt.datetime:
        return dt.datetime.fromisoformat(self.file.read_text()) if self.file.exists() else START

    @now.setter
    def now(self, at: dt.datetime) -> None:
        _write(self.file, at.isoformat().encode())


class _Used(deque[Any]):
    """What is taken from it is gone for good, also if the process dies in the act."""

    site: KeptSite

    def popleft(self) -> Any:
        one = super().popleft()
        self.site.keep()
        return one


class KeptSite(Site):
    """A portal whose documents lie in a file, as another machine's would: no death of ours touches them."""

    file: Path

    def keep(self) -> None:
        left = [len(queue) for queue in (self.acts, self.finds, self.polls)]
        _write(self.file, pickle.dumps((self.docs, self.sent, left)))

    def take(self, told: dict[str, Any]) -> Doc:
        with self.lock:
            doc = super().take(told)
            self.keep()
        return doc

    def recall(self) -> None:
        """What it held when it was last used."""
        acts, finds, polls = map(tuple, (self.acts, self.finds, self.polls))
        if self.file.exists():
            self.docs, self.sent, left = pickle.loads(self.file.read_bytes())  # noqa: S301 - our own file
        else:
            left = [len(acts), len(finds), len(polls)]
        for name, all_, number in zip(("acts", "finds", "polls"), (acts, finds, polls), left, strict=True):
            used = _Used(all_[len(all_) - number :])
            used.site = self
            setattr(self, name, used)


def _write(file: Path, content: bytes) -> None:
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.replace(file)


@dataclass
class EngineDay(Day):
    """A day on which the engine's own passes do the work, in its lanes' threads."""

    killed_at: str | None = None

    def site(self, key: str, case: Case) -> KeptSite:
        known, trouble = super().site(key, case), TROUBLES[case.trouble]
        site = KeptSite(known.clock, known.repeat, known.unique_numbers, acts=known.acts, finds=known.finds)
        site.polls, site.lag, site.day, site.trouble = known.polls, known.lag, self, trouble
        site.file = self.house.folder / f"{key}.portal"
        site.recall()
        return site

    def landed(self, what: str) -> None:
        if place(what) == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.trap(what)

    def send(self) -> None:
        """Pass after pass, until nothing is left to do but for people, however much time that takes."""
        s = t.submission.c
        for _ in range(ROUNDS):
            local.once(self.ws, quiet=0)
            with self.ws.db.reading() as tx:
                open_ = sa.select(s.state, s.due_at).where(s.state.in_(("draft", "ready", "sending", "in_doubt")))
                left = tx.execute(open_.where(s.connection.not_in(self.paused()))).all()
            if not left:
                return
            later = [one.due_at for one in left if one.due_at is not None and one.due_at > self.house.clock()]
            if later:
                self.house.clock.now = min(later) + dt.timedelta(seconds=30)
        raise AssertionError(f"still at work after {ROUNDS} passes: {left}")

    def check_before_answers(self) -> None:
        """A later life begins its day anew, when people have answered already."""

    def check_answered(self) -> None:
        """The same."""


def live(life: Life) -> None:
    """Live one life to its end, natural or not."""
    logging.disable(logging.CRITICAL)  # the troubles are meant
    cases = {
        f"c{n}": Case(trouble, Lookup(life.lookup), Repeat(life.repeat), life.unique)
        for n, trouble in enumerate(life.troubles)
    }
    folder = Path(life.folder)
    folder.mkdir(exist_ok=True)
    day = EngineDay(House(folder, "hub.db", KeptClock(folder / "clock")), cases, killed_at=life.killed_at)
    day.play()
    for ws in day.house.opened:
        ws.close()


def main() -> None:
    """Fork a process for each line; its exit status, or minus the signal that ended it, is the answer."""
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                live(Life(**told | {"troubles": tuple(told["troubles"])}))
                status = 0
            except BaseException:  # noqa: BLE001 - whatever it is, it is this life's end
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
