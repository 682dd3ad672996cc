"""What goes out: whole, at most once a call, and what is told of it when something fails on the way."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from faults import FAULTS, Fault

from conformance.base import Base, arm, may_submit, needs, safe_live
from conformance.desk import Desk
from conformance.house import THERE, House
from conformance.secrecy import silent, told_by
from conformance.stand import Stand
from hub.contract.connector import Answer, Capabilities, Found, FoundState, Lookup, Receipt, Repeat, Tokens
from hub.contract.errors import Duplicate, NeedsHuman, PortalError, Rejected, Unpreparable
from hub.contract.status import Delivered, Intake, Submission

_TEXTS = {
    "cyrillic": "Подшипник шариковый № 7, Щёлково",
    "emoji": "spares \U0001f6e0\ufe0f by \U0001f469\u200d\U0001f527, 100 %",
    "ampersands": "Nuts & Bolts <b>&amp;</b> \"quoted\" 'single' ]]> {braces} %41 \\n",
    "right-to-left": "محمل كروي ٣, שלום, نمی\u200cخواهم",  # noqa: RUF001 - these letters are meant
    "other": "Zażółć gęślą jaźń, 股份有限公司, ﬁne, e\u0301 and é, ²³ €",
}
_CONTROLS = {"bell": "\x07", "escape": "\x1b", "backspace": "\x08", "vertical-tab": "\x0b"}
_BRIEF = 0.25  # seconds in which a call has failed for good, however often it may ask
_LONG = 60  # seconds for ten thousand lines
_ROUNDED = {  # quantities and prices whose products are no whole cents
    "lines": tuple((Decimal(3), Decimal("0.333")) for _ in range(7)),
    "half-cents": ((Decimal(1), Decimal("0.005")), (Decimal("0.5"), Decimal("0.01")), (Decimal(9), Decimal("0.105"))),
    "one-cent": ((Decimal(1), Decimal("0.01")),),
    "large": ((Decimal("1234567.891"), Decimal("98.7654")), (Decimal("0.001"), Decimal("10.00"))),
}


class Sending(Base):
    """Submit and find."""

    @safe_live
    def test_absent_is_an_empty_list(self, desk: Desk, can: Capabilities) -> None:
        """A number that the portal never saw, after an attempt and before one."""
        needs(can.lookup is not Lookup.NONE, "nothing can be asked")
        invoice = desk.invoice("NEVER-1")
        with desk.connector() as connector:
            assert [] == connector.find(desk.key(invoice, attempted=False))
            assert [] == connector.find(desk.key(invoice))

    @safe_live
    def test_what_was_submitted_is_found(self, desk: Desk, can: Capabilities) -> None:
        """Once, with its number, its customer and its total, as it was sent; and no other number with it."""
        needs(not can.people, "people key it in")
        needs(may_submit(desk), "no test account: nothing is submitted to it")
        invoice = desk.invoice("ONE-1")
        with desk.connector() as connector:
            receipt = desk.submit(connector, invoice, by="one")
            assert receipt.intake in {Intake.PENDING, Intake.ACCEPTED}
            assert (1, True) == (desk.lent.points, bool(receipt.reply))
            if can.lookup is not Lookup.NONE:
                (found,) = self._found_in_time(desk, connector.find, invoice, can)
                assert invoice.number == found.number
                assert desk.account().portal_customer == found.customer
                assert found.total in {None, invoice.total}
                assert found.state in {FoundState.SUBMITTED, FoundState.REFUSED}
                assert found.raw
                assert [] == connector.find(desk.key(desk.invoice("ONE-2")))

    @staticmethod
    def _found_in_time(desk: Desk, find: object, invoice: object, can: Capabilities) -> list[Found]:
        """What the portal shows as soon as its search has settled."""
        ends = time.monotonic() + can.settles_within.total_seconds()
        while True:
            found: list[Found] = find(desk.key(invoice, by="one"))  # type: ignore[operator, arg-type]
            if found or time.monotonic() > ends:
                return found
            time.sleep(min(1.0, max(0.0, ends - time.monotonic())) + 0.1)

    def test_the_portal_has_what_was_submitted(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """One document with this number and total, by one request."""
        needs(not can.people, "people key it in")
        invoice = desk.invoice("ONE-3")
        with desk.connector() as connector:
            desk.submit(connector, invoice)
        assert [(invoice.total.amount, True)] == [(one.total, one.live) for one in stand.held(invoice.number)]
        assert stand.submits() in {None, 1}

    def test_a_yes_to_the_transmission_is_not_acceptance(self, desk: Desk, can: Capabilities, house: House) -> None:
        """Where the portal says later whether it takes an invoice in, nothing is accepted before it has said so."""
        needs(can.intake is Answer.ASYNC and not can.people, "the reply itself says whether it is taken in")
        with desk.connector() as connector:
            assert Intake.PENDING is desk.submit(connector, desk.invoice("YES-1")).intake
        house.put(desk.invoice("YES-2"))
        house.work()
        assert Submission.SENT == house.last("YES-2").state

    def test_a_fault_is_told_as_it_is(self, desk: Desk, stand: Stand, can: Capabilities, fault: Fault) -> None:
        """Kept by the portal says unknown or yes, a refused connection says no, and no fault looks like a yes."""
        said, reply = self._submit_under(desk, stand, fault)
        assert said in fault.says, f"{fault.words} {said}: {reply!r}"
        held = stand.held("FAULT-1")
        if said is Delivered.NO:
            time.sleep((fault.seconds or 0.0) if fault.name == "late_commit" else 0.0)
            assert [] == stand.held("FAULT-1")
        assert len(held) <= 1
        if can.lookup is not Lookup.NONE and said is Delivered.YES:
            with desk.connector() as connector:
                assert 1 == len(connector.find(desk.key(desk.invoice("FAULT-1"))))

    def test_a_submit_is_at_most_one_request(self, desk: Desk, stand: Stand, failing: Fault) -> None:
        """However it fails, the portal is asked to take the invoice no second time before the hub says so."""
        needs(stand.submits() is not None, "nobody counts the requests")
        self._submit_under(desk, stand, failing)
        assert stand.submits() <= 1
        assert desk.lent.points <= 1

    @staticmethod
    def _submit_under(desk: Desk, stand: Stand, fault: Fault) -> tuple[Delivered, object]:
        """What the connector says of a submit that meets a fault, and how."""
        settings = arm(stand, fault, verb="submit")
        with desk.connector(settings) as connector:
            steps = desk.steps(connector, desk.invoice("FAULT-1"))
            try:
                return Delivered.YES, desk.send(connector, steps)
            except PortalError as error:
                return error.delivered, error

    def test_could_not_ask_is_never_absent(
        self, desk: Desk, stand: Stand, can: Capabilities, unanswered: Fault
    ) -> None:
        """While the portal is down, `find` and `statuses` raise; there is nothing that they could answer."""
        needs(can.lookup is not Lookup.NONE or can.statuses, "nothing can be asked")
        invoice = desk.invoice("DOWN-1")
        tokens = Tokens()
        with desk.connector(tokens=tokens) as connector:
            desk.submit(connector, invoice)
            if can.lookup is not Lookup.NONE:
                assert connector.find(desk.key(invoice))  # signed in before it goes down
        calls = {
            "find": (can.lookup is not Lookup.NONE, lambda connector: connector.find(desk.key(invoice))),
            "statuses": (can.statuses, lambda connector: desk.poll(connector, desk.key(invoice))),
        }
        for verb, (declared, call) in calls.items():
            if declared:
                settings = arm(stand, unanswered, verb=verb, times=None)
                brief = desk.connector(settings, tokens=tokens, seconds=_BRIEF)
                with brief as connector, pytest.raises(PortalError) as raised:
                    call(connector)
                silent(stand, (f"the error of {verb}", told_by(raised.value)))
                stand.calm()

    @pytest.mark.parametrize("verb", ["submit", "find", "statuses"])
    @pytest.mark.parametrize("page", ["login_page", "login_redirect", "html_page"])
    def test_a_login_page_in_the_middle_is_no_answer(
        self, desk: Desk, stand: Stand, can: Capabilities, verb: str, page: str
    ) -> None:
        """A page for people, with HTTP 200 or behind a redirect, is an error; the call after it goes well."""
        needs(FAULTS[page] in stand.faults, "no page for people can come here")
        needs({"find": can.lookup is not Lookup.NONE, "statuses": can.statuses}.get(verb, True), "not declared")
        sent, other = desk.invoice("PAGE-1"), desk.invoice("PAGE-2")
        with desk.connector() as connector:
            desk.submit(connector, sent)
            calls = {
                "submit": lambda: desk.submit(connector, other, by="2"),
                "find": lambda: connector.find(desk.key(sent)),
                "statuses": lambda: desk.poll(connector, desk.key(sent)),
            }
            stand.befall(FAULTS[page], verb=verb)
            with pytest.raises(PortalError):
                calls[verb]()
            assert [] == stand.held(other.number)
            assert calls[verb]()

    def test_a_refusal_comes_with_its_reasons_and_the_raw_answer(self, desk: Desk, stand: Stand) -> None:
        """The portal's words are in a reason and in the raw answer, and it has nothing."""
        asked = stand.refusable(desk.invoice("REF-1"))
        needs(asked, "this portal refuses nothing at once")
        assert asked is not None
        invoice, words = asked
        with desk.connector() as connector, pytest.raises(Rejected) as raised:
            desk.submit(connector, invoice)
        assert not isinstance(raised.value, Duplicate)
        assert any(words in reason.text for reason in raised.value.reasons)
        assert words.encode() in raised.value.reply
        assert [] == stand.held(invoice.number)

    def test_a_refusal_is_the_end_and_its_answer_is_kept(self, desk: Desk, stand: Stand, house: House) -> None:
        """Through the hub: refused with the portal's words, its raw answer in the archive, nobody tries again."""
        asked = stand.refusable(desk.invoice("REF-2"))
        needs(asked, "this portal refuses nothing at once")
        assert asked is not None
        invoice, words = asked
        house.put(invoice)
        house.work()
        refused = house.last(invoice.number)
        assert (Submission.REFUSED, True) == (refused.state, words in refused.reason_text)
        (attempt,) = house.attempts(invoice.number)
        assert words.encode() in house.ws.blobs.read(attempt.reply_sha256)
        assert [] == stand.held(invoice.number)

    def test_a_duplicate_is_recognised(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """The same bytes again, and the same number in other bytes: never a second invoice that looks like a first."""
        needs(not can.people, "people key it in")
        needs(True in stand.unique, "this portal takes every number")
        invoice = desk.invoice("DUP-1")
        with desk.connector() as connector:
            steps = desk.steps(connector, invoice)
            desk.send(connector, steps)
            if steps[-1].repeat is Repeat.SAFE:
                assert isinstance(desk.send(connector, steps), Receipt)
            else:
                with pytest.raises(Duplicate):
                    desk.send(connector, steps)
            with pytest.raises(Duplicate):
                desk.submit(connector, invoice, by="other")
        assert 1 == len([one for one in stand.held(invoice.number) if one.live])

    def test_a_repeat_of_the_same_bytes_is_as_declared(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """A step that says it may be repeated leaves one invoice, also where every number is taken."""
        needs(not can.people, "people key it in")
        needs(False in stand.unique, "this portal takes no number twice")
        invoice = desk.invoice("REP-1", unique=False)
        with desk.connector() as connector:
            steps = desk.steps(connector, invoice, unique=False)
            needs({Repeat.UNSAFE}.isdisjoint(step.repeat for step in steps), "a repeat is declared unsafe")
            desk.send(connector, steps)
            try:
                again = desk.send(connector, steps)
            except Duplicate:
                again = None
        assert (again is not None) is (steps[-1].repeat is Repeat.SAFE)
        assert 1 == len([one for one in stand.held(invoice.number) if one.live])

    @pytest.mark.parametrize("text", _TEXTS)
    def test_all_text_survives(self, desk: Desk, stand: Stand, can: Capabilities, text: str) -> None:
        """Character for character, as the portal kept it, or as the person reads it."""
        invoice = desk.invoice("TEXT-1", text=_TEXTS[text])
        assert _TEXTS[text] in self._arrived(desk, stand, can, invoice)

    @pytest.mark.parametrize("char", _CONTROLS)
    def test_a_character_that_cannot_be_sent_is_a_problem_and_not_dropped(
        self, desk: Desk, stand: Stand, can: Capabilities, char: str
    ) -> None:
        """It arrives, or a clerk is told; only a sheet for people shows a blank in its place."""
        invoice = desk.invoice("TEXT-2", text=f"before{_CONTROLS[char]}after")
        problems: tuple[str, ...] = ()
        arrived = ""
        try:
            arrived = self._arrived(desk, stand, can, invoice)
        except Unpreparable as error:
            problems = error.problems
        if problems:
            assert all(problems)
            assert [] == stand.held(invoice.number)
        else:
            assert f"before{' ' if can.people else _CONTROLS[char]}after" in arrived

    @staticmethod
    def _arrived(desk: Desk, stand: Stand, can: Capabilities, invoice: object, timeout: float = 20) -> str:
        """What the portal, or the person, has to read of an invoice."""
        with desk.connector(stand.settings(timeout=timeout), seconds=timeout) as connector:
            steps = desk.steps(connector, invoice)  # type: ignore[arg-type]
            if can.people:
                with pytest.raises(NeedsHuman) as raised:
                    desk.send(connector, steps)
                return raised.value.action
            desk.send(connector, steps)
        (held,) = stand.held(invoice.number)  # type: ignore[attr-defined]
        return held.text

    def test_ten_thousand_lines_arrive(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """With every line, and the total to the cent."""
        lines = tuple((Decimal(n % 7 + 1), Decimal(n) / 100) for n in range(1, 10_001))
        invoice = desk.invoice("LONG-1", lines=lines)
        text = self._arrived(desk, stand, can, invoice, _LONG)
        name = invoice.lines[1].name
        assert name
        assert text.count(name) >= 9_999
        if not can.people:
            assert [invoice.total.amount] == [one.total for one in stand.held(invoice.number)]

    @pytest.mark.parametrize("amounts", _ROUNDED)
    def test_amounts_arrive_to_the_cent(
        self, desk: Desk, stand: Stand, can: Capabilities, house: House, amounts: str
    ) -> None:
        """What is rounded by 0.01 in a line or in its tax goes through the rules and the portal as it is stated."""
        invoice = desk.invoice("CENT-1", lines=_ROUNDED[amounts])
        house.put(invoice)
        house.work()
        if can.people:
            (task,) = house.tasks()
            assert f"{invoice.totals.payable:f}" in task.action
            return
        assert house.last("CENT-1").state in THERE, house.told("CENT-1")
        assert [invoice.total.amount] == [one.total for one in stand.held("CENT-1")]
