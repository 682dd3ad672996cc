"""What may go wrong with an invoice besides a death: each outcome of a submit, and what leads to each point."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import test_outcomes
from portal_in_memory import Act, Doc, Portal, Scripted, ok, raises

from hub.contract.connector import FoundState, OpenRef, Page, Receipt, Refs, StatusEvent
from hub.contract.errors import AuthFailed, Reason, Rejected, Transient
from hub.contract.status import Concerns, Delivered, Intake, Stage
from hub.delivery import reconcile
from hub.delivery.deliver import LEASE

if TYPE_CHECKING:
    from tests.crash.day import Day

_HOURS = dt.timedelta(hours=2)
Mischief = Callable[["Day", str], None]  # what is done to the lane with this key


@dataclass(frozen=True)
class Trouble:
    """What happens to one invoice, at its portal and around it."""

    acts: Sequence[Act] = ()  # at the submits, one after the other
    finds: Sequence[Callable[[], object]] = ()  # at the lookups
    polls: Sequence[Callable[[], object]] = ()  # at the status polls
    at: dict[str, Mischief] = field(default_factory=dict)  # at the first crossing of a point
    settings: dict[str, Any] = field(default_factory=dict)
    lag: dt.timedelta = dt.timedelta(0)  # so long does its search not show what came
    silent: bool = False  # the portal never says anything by itself
    refuses_later: bool = False
    errands: bool = False  # a file that is refused, an invoice that is taken back, a person's word


def _down() -> None:
    raise Transient("the portal is down", delivered=Delivered.NO)


def _garbled() -> Transient:
    return Transient("that is no answer", delivered=Delivered.UNKNOWN, reply=b"<html>")


def _well() -> None:
    pass


def _slow(portal: Portal, told: dict[str, Any]) -> Receipt:
    """The portal answers when the lease is over and the submission has been given up."""
    portal.clock.now += LEASE + dt.timedelta(seconds=1)
    reconcile.recover(portal.day.ws, alone=False)  # type: ignore[attr-defined]
    return ok(portal, told)


def _disk_fails(_day: Day, _key: str) -> None:
    raise OSError(28, "No space left on device")


def _defect(_day: Day, _key: str) -> None:
    raise ValueError("a defect of ours")


def _denied() -> None:
    raise AuthFailed("who are you?")


def _bytes_go(day: Day, key: str) -> None:
    day.damage(key)


def _file_changes(day: Day, key: str) -> None:
    """In the last moment somebody saved the file once more."""
    with (day.house.folder / "done" / f"{key}.json").open("a") as file:
        file.write("\n")


TROUBLES: dict[str, Trouble] = {
    name: Trouble(acts, errands=name in ("ok", "rejected")) for name, acts in test_outcomes.OUTCOMES.items()
} | {
    "rejected in many words": Trouble([raises(lambda: Rejected("no", reasons=test_outcomes.WHY, reply=b"<no/>"))]),
    "an answer that is none, arrived": Trouble([raises(_garbled, arrives=True)]),
    "cannot be asked at first": Trouble(finds=[_down]),
    "cannot be asked in doubt": Trouble([raises(test_outcomes.lost)], finds=[_well, _down, _down]),
    "arrived, cannot be asked": Trouble([raises(test_outcomes.lost, arrives=True)], finds=[_well, _down]),
    "answers after its lease": Trouble([_slow]),
    "no poll works": Trouble(polls=[_down]),
    "never says a word": Trouble(settings={"acknowledged": 30.0}, silent=True),
    "refused later": Trouble(refuses_later=True),
    "the disk is full before the wire": Trouble(at={"marks.raised": _disk_fails}),
    "a defect before the wire": Trouble(at={"deliver.begin": _defect}),
    "it shows late": Trouble([raises(test_outcomes.lost, arrives=True)], lag=_HOURS),
    "it shows late, and the login is refused": Trouble(
        [raises(test_outcomes.lost, arrives=True)], finds=[_well, _well, _denied], lag=_HOURS
    ),
    "its bytes are gone": Trouble(at={"check.conclude": _bytes_go}),
    "its file changes as it is moved": Trouble(at={"folder.moved": _file_changes}),
}
REFUSED = {*test_outcomes.REFUSED, "rejected in many words", "refused later"}


class Site(Portal):
    """A portal that also says by itself what became of its documents, again and again."""

    day: Day
    trouble: Trouble

    def news(self) -> Iterator[Page]:
        """What it takes in, or not, and then what the buyer did."""
        if self.trouble.silent:
            return
        if self.trouble.refuses_later and self.docs and not any(d.state is FoundState.REFUSED for d in self.docs):
            self.docs[0].state, self.docs[0].reasons = FoundState.REFUSED, test_outcomes.WHY
        yield Page(tuple(self._said(doc, Concerns.INTAKE) for doc in self.docs), "1")
        live = [doc for doc in self.docs if doc.state is FoundState.SUBMITTED]
        yield Page(tuple(self._said(doc, Concerns.STAGE) for doc in live), "2")

    def _said(self, doc: Doc, concerns: Concerns) -> StatusEvent:
        refused = doc.state is FoundState.REFUSED
        word: str = Stage.IN_REVIEW
        if concerns is Concerns.INTAKE:
            word = Intake.REFUSED if refused else Intake.ACCEPTED
        reasons: tuple[Reason, ...] = doc.reasons if refused else ()
        refs = Refs(doc.payload_id, doc.portal_id, doc.number, doc.customer)
        name = f"{doc.portal_id}:{word}"
        return StatusEvent(name, refs, concerns, word, word.upper(), self.clock(), None, reasons, f"<{name}/>".encode())


class Telling(Scripted):
    """The connector to a site."""

    portal: Site

    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:  # noqa: ARG002
        if self.portal.polls:
            self.portal.polls.popleft()()
        yield from self.portal.news()
