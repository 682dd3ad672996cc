"""Who is let in, and what a connector says that it can do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from conformance.base import Base, needs, safe_live
from conformance.desk import Desk
from conformance.house import THERE, House
from conformance.stand import Stand
from hub.contract.connector import Capabilities, Lookup, Tokens
from hub.contract.errors import AuthFailed, NeedsHuman, PortalError, Undeclared
from hub.contract.invoice import AttachmentType, Kind
from hub.contract.status import Delivered, Stage, Submission

_PICTURE = b"%PDF-1.7 a picture of the invoice"


class Access(Base):
    """Credentials and capabilities."""

    @safe_live
    def test_good_credentials_are_proved(self, desk: Desk, can: Capabilities) -> None:
        """`check` says what it proved, and what it could not; where only people go it proves nothing."""
        with desk.connector() as connector:
            checked = connector.check()
        assert can.people is not bool(checked.proved)
        assert all(checked.proved + checked.not_proved)

    def test_a_check_changes_nothing(self, desk: Desk, stand: Stand) -> None:
        """It counts as no submit and never comes to the point of no return."""
        with desk.connector() as connector:
            connector.check()
        assert 0 == desk.lent.points
        assert not stand.submits()

    def test_bad_credentials_stop_the_connection(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """`check` raises AuthFailed; whatever else is asked raises too, and nothing was delivered."""
        needs(not can.people, "only people sign in here")
        settings = stand.wrong()
        needs(settings, "this stand knows no wrong credential")
        invoice = desk.invoice("BAD-1")
        with desk.connector(settings) as connector:
            with pytest.raises(AuthFailed):
                connector.check()
            with pytest.raises(PortalError) as raised:
                desk.submit(connector, invoice)
            assert Delivered.NO is raised.value.delivered
            if can.lookup is not Lookup.NONE:
                with pytest.raises(PortalError):
                    connector.find(desk.key(invoice))
            if can.statuses:
                with pytest.raises(PortalError):
                    desk.poll(connector, desk.key(invoice))
        assert [] == stand.held(invoice.number)

    def test_bad_credentials_lose_nothing(self, desk: Desk, stand: Stand, build: Callable[..., House]) -> None:
        """The connection stands still until a person has seen to it; with the right ones everything arrives once."""
        settings = stand.wrong()
        needs(settings, "this stand knows no wrong credential")
        house = build(settings)
        house.put(desk.invoice("BAD-2"), desk.invoice("BAD-3"))
        house.work()
        assert (1, [], []) == (len(house.stopped()), stand.held("BAD-2"), stand.held("BAD-3"))
        assert {Submission.READY} == set(house.states().values())
        house.close()
        (house.folder / "hub.yaml").write_bytes((build().folder / "hub.yaml").read_bytes())
        house.ends_well("BAD-2", "BAD-3")
        assert set(house.states().values()) <= set(THERE)

    def test_expired_credentials_are_renewed_and_say_nothing_of_invoices(
        self, desk: Desk, stand: Stand, can: Capabilities
    ) -> None:
        """A session or token that ended is an error, never an absence; the call after it works again."""
        needs(can.lookup is not Lookup.NONE, "nothing can be asked")
        tokens = Tokens()
        invoice = desk.invoice("EXP-1")
        with desk.connector(tokens=tokens) as connector:
            desk.submit(connector, invoice)
            assert 1 == len(connector.find(desk.key(invoice)))
            needs(stand.expire(), "nothing is given out here that could expire")
            found = []
            for _ in range(3):
                try:
                    found = connector.find(desk.key(invoice))
                except PortalError as error:
                    assert Delivered.NO is error.delivered  # noqa: PT017 - it may also work at once
                    continue
                assert [invoice.number] == [one.number for one in found]
            assert found, "it never worked again"

    def test_credentials_that_expire_on_the_way_lose_nothing(self, desk: Desk, stand: Stand, house: House) -> None:
        """What was under way when they ended arrives once."""
        house.put(desk.invoice("EXP-2"))
        house.ends_well("EXP-2")
        needs(stand.expire(), "nothing is given out here that could expire")
        house.put(desk.invoice("EXP-3"))
        house.ends_well("EXP-3")

    @safe_live
    def test_what_is_not_declared_raises(self, desk: Desk, can: Capabilities) -> None:
        """A verb that the settings do not provide raises Undeclared, and never looks like an answer."""
        key = desk.key(desk.invoice("UND-1"), attempted=False)
        with desk.connector() as connector:
            if can.lookup is Lookup.NONE:
                with pytest.raises(Undeclared):
                    connector.find(key)
            if not can.statuses:
                with pytest.raises(Undeclared):
                    desk.poll(connector, key)
        needs(can.lookup is Lookup.NONE or not can.statuses, "every verb is declared")

    def test_every_declared_kind_of_document_arrives(self, desk: Desk, can: Capabilities, house: House) -> None:
        """Each of them through the hub, once; a credit after the invoice that it corrects."""
        needs(not can.people, "people key them in: see the task")
        house.put(desk.invoice("KIND-1"))
        kinds = [kind for kind in (Kind.CREDIT, Kind.DEBIT) if kind in can.documents]
        for number, kind in enumerate(kinds, 2):
            house.put(desk.invoice(f"KIND-{number}", kind=kind, of="KIND-1"))
        house.work()
        assert dict.fromkeys((f"KIND-{n}" for n in range(1, len(kinds) + 2)), Submission.SENT).keys() == {
            number for number, state in house.states().items() if state in THERE
        }
        assert [1] * (1 + len(kinds)) == [len(house.live(number)) for number in sorted(house.states())]

    def test_declared_attachments_arrive(self, desk: Desk, stand: Stand, can: Capabilities, house: House) -> None:
        """The portal, or the person's task, has each of them."""
        needs(can.attachments, "no attachments")
        sha256 = hashlib.sha256(_PICTURE).hexdigest()
        about = {"name": "Rechnung № 7.pdf", "type": AttachmentType.INVOICE_IMAGE, "media_type": "application/pdf"}
        invoice = desk.invoice("ATT-1", attachments=[{**about, "sha256": sha256, "size": len(_PICTURE)}])
        house.put(invoice, attachments={sha256: _PICTURE})
        house.ends_well("ATT-1")
        if can.people:
            assert about["name"] in house.tasks()[0].action
            return
        assert [(sha256,)] == [one.attachments for one in stand.held("ATT-1")]

    def test_every_declared_stage_can_be_told(self, desk: Desk, stand: Stand, can: Capabilities) -> None:
        """For each there is a word of the portal, and the event bears ours."""
        needs(can.stages, "no stages are declared")
        assert can.stages <= {Stage(word) for word in stand.words if word in set(Stage)}
        with desk.connector() as connector:
            for stage in sorted(can.stages):
                invoice = desk.invoice(f"ST-{stage}")
                desk.submit(connector, invoice, by=stage)
                stand.say(invoice.number, stand.words[stage])
                events = [event for page in desk.poll(connector, desk.key(invoice, by=stage)) for event in page.events]
                told = [(event.word, event.raw) for event in events if event.refs.number in {None, invoice.number}]
                assert (stage, stand.words[stage]) in told

    def test_people_are_asked_with_everything_they_need(self, desk: Desk, can: Capabilities) -> None:
        """Where nothing is automated, submitting is a person's task, and certainly nothing was delivered."""
        needs(can.people, "it sends by itself")
        invoice = desk.invoice("MAN-1")
        with desk.connector() as connector, pytest.raises(NeedsHuman) as raised:
            desk.submit(connector, invoice)
        assert Delivered.NO is raised.value.delivered
        assert 1 == desk.lent.points
        assert "MAN-1" in raised.value.action
        assert f"{invoice.totals.payable:f}" in raised.value.action

    @safe_live
    def test_a_connector_may_be_closed_twice(self, desk: Desk) -> None:
        """Before it was used and after, and more than once."""
        with desk.connector() as unused:
            unused.close()
            unused.close()
        with desk.connector() as used:
            used.check()
            used.close()
            used.close()

    @safe_live
    def test_capabilities_come_from_the_settings_alone(self, desk: Desk) -> None:
        """The same before and after a check, and in another instance."""
        with desk.connector() as one, desk.connector() as other:
            before = replace(one.capabilities)
            one.check()
            assert before == one.capabilities == other.capabilities
