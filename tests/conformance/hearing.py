"""What comes back: statuses that are repeated, late, out of order or unknown never show what is not known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from faults import FAULTS

from conformance.base import Base, needs, safe_live
from conformance.desk import CONNECTION, Desk
from conformance.house import THERE, House
from conformance.stand import Stand
from hub.contract.connector import Capabilities, Found, FoundState, Lookup, Page, Repeat, StatusEvent
from hub.contract.invoice import Kind
from hub.contract.status import Concerns, Intake, Stage, Submission
from hub.delivery import collect
from hub.delivery.judge import Candidate, Known, Whose, judge
from hub.delivery.lifecycle import Happening
from hub.engine import local
from hub.store import tables as t

_NO_STATUSES = "it tells no statuses"
_WHY = "the network does not take this"
Told = tuple[str | None, Concerns, str, str]


def _told(pages: list[Page]) -> list[Told]:
    return [(one.refs.number, one.concerns, one.word, one.raw) for page in pages for one in page.events]


class Hearing(Base):
    """Statuses, and to which revision they speak."""

    @pytest.fixture
    def sent(self, desk: Desk, stand: Stand, can: Capabilities, house: House) -> House:
        """A house with an invoice, S-1, that the portal has, and of which it has said nothing that counts."""
        needs(can.statuses, _NO_STATUSES)
        needs(Intake.ACCEPTED in stand.words, "this stand can say nothing")
        house.put(desk.invoice("S-1"))
        house.work()
        assert house.last("S-1").state in THERE, house.told("S-1")
        return house

    @staticmethod
    def _stand_of(house: House, number: str = "S-1") -> tuple[str, str | None, int]:
        """What is known of an invoice, and how many tasks wait."""
        row = house.last(number)
        return row.state, row.stage, len(house.tasks())

    @safe_live
    def test_a_poll_can_be_made_and_continued(self, desk: Desk, can: Capabilities) -> None:
        """With nothing open, and from its own cursor."""
        needs(can.statuses, _NO_STATUSES)
        key = desk.key(desk.invoice("POLL-1"))
        with desk.connector() as connector:
            desk.poll(connector)
            pages = desk.poll(connector, key)
            assert [] == [one for one in _told(pages) if one[0] == key.number]
            if pages:
                desk.poll(connector, key, cursor=pages[-1].next_cursor)

    def test_a_poll_from_the_same_cursor_tells_the_same(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """Whoever died before he had stored a page is told it again, and whoever stored it is told what is new."""
        needs(can.statuses, _NO_STATUSES)
        needs(Intake.ACCEPTED in stand.words, "this stand can say nothing")
        invoice = desk.invoice("POLL-2")
        with desk.connector() as connector, desk.connector() as other:
            desk.submit(connector, invoice)
            stand.say(invoice.number, stand.words[Intake.ACCEPTED])
            first = desk.poll(connector, desk.key(invoice))
            assert _told(first) == _told(desk.poll(other, desk.key(invoice)))
            assert (Concerns.INTAKE, Intake.ACCEPTED) in [one[1:3] for one in _told(first)]
            for word in filter(stand.words.__contains__, (Stage.APPROVED, Stage.PAID)):
                stand.say(invoice.number, stand.words[word])
                after = desk.poll(other, desk.key(invoice), cursor=first[-1].next_cursor)
                assert (Concerns.STAGE, word) in [one[1:3] for one in _told(after)]

    def test_statuses_told_again_move_nothing(self, stand: Stand, sent: House) -> None:
        """A restored cursor brings every word once more; what is known stays, and nobody is asked."""
        for word in (Intake.ACCEPTED, Stage.APPROVED):
            stand.say("S-1", stand.words[word])
            sent.work()
            known = self._stand_of(sent)
            for _ in range(2):
                sent.rewind()
                sent.work()
                assert known == self._stand_of(sent), sent.told("S-1")
        assert (Submission.ACCEPTED, Stage.APPROVED, 0) == known
        assert 1 == len(sent.attempts("S-1"))

    def test_events_in_any_order_and_twice_lose_nothing(self, desk: Desk, stand: Stand, sent: House) -> None:
        """Accepted, approved, paid, in each order and each told twice: there once, accepted, nothing sent again.

        Where the portal says when each happened, the newest holds; else the last that came.
        """
        words = (Intake.ACCEPTED, Stage.APPROVED, Stage.PAID)
        needs(set(words) <= stand.words.keys(), "this portal does not say so much")
        orders = list(itertools.permutations(words))
        numbers = [f"ORD-{n}" for n in range(len(orders))]
        sent.put(*map(desk.invoice, numbers))
        sent.work()
        events = {word: dict(self._events(desk, stand, sent, word, numbers)) for word in words}
        for number, order in zip(numbers, orders, strict=True):
            mixed = [events[word][number] for word in order for _ in range(2)]
            collect.store(sent.ws, CONNECTION, Page(tuple(mixed), None))
            collect.store(sent.ws, CONNECTION, Page(tuple(mixed[:1]), None))
            dated = [one for one in mixed if one.happened_at is not None and one.concerns is Concerns.STAGE]
            newest = max(dated, key=lambda one: one.happened_at).word if dated else [w for w in order if w in Stage][-1]  # type: ignore[arg-type, return-value]
            assert (Submission.ACCEPTED, newest) == self._stand_of(sent, number)[:2], sent.told(number)
            assert (1, 1) == (len(sent.attempts(number)), len(sent.live(number)))

    @staticmethod
    def _events(
        desk: Desk, stand: Stand, house: House, word: str, numbers: list[str]
    ) -> Iterator[tuple[str, StatusEvent]]:
        """What the connector tells when the portal has said this word of all of these."""
        for number in numbers:
            stand.say(number, stand.words[word])
        with house.ws.db.reading() as tx:
            keys = [collect.ledger.key_of(tx, house.last(number).id) for number in numbers]
        payloads = {key.payload_id: key.number for key in keys}
        with desk.connector() as connector:
            for page in desk.poll(connector, *keys):
                for event in page.events:
                    if event.word == word:
                        yield event.refs.number or payloads[event.refs.payload_id], event

    @pytest.mark.parametrize("feed", ["duplicate_events", "events_out_of_order"])
    def test_a_feed_that_tells_twice_or_in_disorder_sends_nothing_and_asks_nobody(
        self, desk: Desk, stand: Stand, sent: House, feed: str
    ) -> None:
        """The invoice is there once; its stage is the newest said, or none where that cannot be told."""
        needs(FAULTS[feed] in stand.faults, "its feed is always in order")
        said = [word for word in (Intake.ACCEPTED, Stage.APPROVED, Stage.PAID) if word in stand.words]
        sent.put(desk.invoice("S-2"))
        sent.work()
        stand.befall(FAULTS[feed], verb="statuses")
        for word in said:  # each heard before the next is said
            stand.say("S-1", stand.words[word])
            sent.work()
            sent.work()
        assert (Submission.ACCEPTED, said[-1], 0) == self._stand_of(sent), sent.told("S-1")
        for word in said:  # all said before anybody listens
            stand.say("S-2", stand.words[word])
        sent.work()
        state, stage, waiting = self._stand_of(sent, "S-2")
        assert (True, 0) == (state in THERE, waiting), sent.told("S-2")
        assert stage in {said[-1], None, Stage.UNKNOWN}, sent.told("S-2")
        assert [(1, 1)] * 2 == [(len(sent.attempts(one)), len(sent.live(one))) for one in ("S-1", "S-2")]

    def test_an_unknown_word_moves_nothing(self, stand: Stand, sent: House) -> None:
        """Neither our state nor the buyer's stage; it is kept as the portal said it, and the next word counts."""
        before = self._stand_of(sent)
        stand.say("S-1", stand.strange_word)
        sent.work()
        assert before == self._stand_of(sent), sent.told("S-1")
        assert stand.strange_word == sent.last("S-1").last_raw
        (event,) = sent.rows(t.event, t.event.c.raw == stand.strange_word)
        assert event.word in {Stage.UNKNOWN, Intake.UNKNOWN}
        stand.say("S-1", stand.words[Stage.APPROVED])
        sent.work()
        assert (Submission.ACCEPTED, Stage.APPROVED, 0) == self._stand_of(sent)

    def test_an_unknown_word_settles_no_doubt(self, desk: Desk, stand: Stand, can: Capabilities, house: House) -> None:
        """The portal has it, in a state that nobody knows: it is there once, and nothing more is claimed."""
        needs(can.lookup is not Lookup.NONE and FAULTS["drop_after_commit"] in stand.faults, "no doubt can be settled")
        stand.befall(FAULTS["drop_after_commit"], number="ODD-1")
        house.put(desk.invoice("ODD-1"))
        local.once(house.ws, quiet=0)
        assert Submission.IN_DOUBT == house.last("ODD-1").state
        stand.say("ODD-1", stand.strange_word)
        house.ends_well("ODD-1")
        assert house.last("ODD-1").stage in {None, Stage.UNKNOWN}
        assert 1 == len(stand.held("ODD-1"))

    def test_a_refusal_of_the_intake_may_come_later(self, stand: Stand, sent: House) -> None:
        """What was sent, and even what was accepted, becomes refused, with the portal's word."""
        needs(Intake.REFUSED in stand.words, "this portal refuses at once or never")
        stand.say("S-1", stand.words[Intake.ACCEPTED])
        sent.work()
        stand.say("S-1", stand.words[Intake.REFUSED], _WHY)
        sent.work()
        row = sent.last("S-1")
        assert (Submission.REFUSED, stand.words[Intake.REFUSED]) == (row.state, row.last_raw)
        assert row.reason_text
        assert 1 == len(sent.attempts("S-1")), "what the portal refused is not sent again by itself"

    @pytest.mark.parametrize("amount", ["same", "other"])
    @pytest.mark.parametrize("lost", ["drop_before_commit", "drop_after_commit", "500_after_commit"])
    def test_a_second_revision_is_never_bound_to_the_first(
        self, desk: Desk, stand: Stand, sent: House, lost: str, amount: str
    ) -> None:
        """The first was refused later; the second's answer is lost. The first one's document is not the second."""
        needs(Intake.REFUSED in stand.words and FAULTS[lost] in stand.faults, "no refusal comes later here")
        self._refused(stand, sent)
        second = self._second(desk, amount)
        stand.befall(FAULTS[lost], number="S-1")
        sent.put(second)
        sent.ends_well("S-1")
        first, last = sent.revisions("S-1")
        assert first.state in {Submission.REFUSED, Submission.SUPERSEDED}
        live = [(one.total, second.notes[0].text in one.text) for one in sent.live("S-1")]
        assert last.state in THERE or not live
        assert live in ([(second.total.amount, True)], [])

    @pytest.mark.parametrize("amount", ["same", "other"])
    def test_a_late_word_for_the_old_revision_does_not_move_the_new_one(
        self, desk: Desk, stand: Stand, sent: House, amount: str
    ) -> None:
        """The first revision's refusal, told again after the second was taken, refuses only the first."""
        needs(Intake.REFUSED in stand.words, "no refusal comes later here")
        self._refused(stand, sent)
        sent.put(self._second(desk, amount))
        sent.ends_well("S-1")
        needs(sent.last("S-1").state in THERE, "this portal takes no number twice, refused or not")
        for _ in range(2):
            sent.rewind()
            sent.work()
            assert sent.last("S-1").state in THERE, sent.told("S-1")
        assert 1 == len(sent.live("S-1"))
        assert sent.revisions("S-1")[0].state in {Submission.REFUSED, Submission.SUPERSEDED}

    @staticmethod
    def _refused(stand: Stand, house: House) -> None:
        stand.say("S-1", stand.words[Intake.REFUSED], _WHY)
        house.work()
        assert Submission.REFUSED == house.last("S-1").state, house.told("S-1")

    @staticmethod
    def _second(desk: Desk, amount: str) -> object:
        """Another content under the same number, with the same total or with another."""
        lines = {"same": {}, "other": {"lines": ((2, desk.invoice("x").lines[0].price or 1),)}}[amount]
        return desk.invoice("S-1", text="second revision", **lines)  # type: ignore[arg-type]

    def test_a_cancellation_is_never_settled_by_presence(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """That the original is there proves no cancellation; only its being void does."""
        needs(can.lookup is not Lookup.NONE, "nothing can be asked")
        invoice = desk.invoice("CAN-1")
        with desk.connector() as connector:
            desk.submit(connector, invoice)
            (found,) = connector.find(desk.key(invoice))
            assert Happening.FOUND is not self._judged(found)
            needs(Stage.CANCELLED in stand.words, "nothing can be cancelled here")
            stand.say(invoice.number, stand.words[Stage.CANCELLED])
            (found,) = connector.find(desk.key(invoice))
            assert FoundState.VOID is found.state
            assert Happening.FOUND is self._judged(found)

    @staticmethod
    def _judged(found: Found) -> Happening | None:
        """What the portal's document says of a cancellation that may have arrived."""
        known = Known(
            kind=Kind.CANCELLATION,
            repeat=Repeat.UNSAFE,
            leaves=FoundState.SUBMITTED,
            drafted=False,
            may_have_arrived=1,
            resends=0,
            could_ask=True,
            said_duplicate=False,
            looked_since_duplicate=False,
        )
        return judge([Candidate(found, Whose.OURS_BY_CONTENT)], known).happening
