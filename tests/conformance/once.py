"""Never twice, never lost: each fault and each death, through the hub, ends in one invoice or one task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from faults import FAULTS, Fault

from conformance import child
from conformance.base import Base, arm, needs
from conformance.desk import Desk
from conformance.house import THERE, House
from conformance.stand import Stand
from hub.contract.connector import Capabilities, Lookup
from hub.contract.status import Stage, Submission
from hub.delivery.tasks import Say
from hub.engine import local

_POINT = "portal.answered"  # the portal has answered, and nobody has written it down (hub/durable.py)


class Once(Base):
    """Through the hub: House, ledger, the real engine, and the clock moved on for every wait."""

    def test_every_fault_ends_in_one_invoice_or_one_task(
        self, desk: Desk, stand: Stand, build: Callable[..., House], fault: Fault
    ) -> None:
        """Whatever befalls a submit, where numbers must be unique and where the portal takes every number."""
        numbers = {f"ONCE-{unique}": unique for unique in stand.unique}
        for number in numbers:
            settings = arm(stand, fault, verb="submit", number=number)
        house = build(settings)
        house.put(*(desk.invoice(number, unique=unique) for number, unique in numbers.items()))
        local.once(house.ws, quiet=0)
        if fault.by == "settings" or fault.name == "refuse":  # it lasts until somebody ends it
            assert [] == [one for number in numbers for one in stand.held(number)]
            stand.calm()
            house.close()
            (house.folder / "hub.yaml").write_bytes((build().folder / "hub.yaml").read_bytes())
        house.ends_well(*numbers, pause=(fault.seconds or 0.0) + 0.2 if fault.name == "late_commit" else 0.0)
        for number in numbers:
            assert len(stand.held(number)) <= 1, house.told(number)

    @pytest.mark.parametrize("search", ["search_lag", "search_never"])
    @pytest.mark.parametrize("lost", ["drop_after_commit", "drop_before_commit"])
    def test_a_search_that_lags_or_never_shows_it_makes_no_second_one(
        self, desk: Desk, stand: Stand, can: Capabilities, house: House, search: str, lost: str
    ) -> None:
        """The answer is lost, and the portal's search does not show what it has, for a while or for ever."""
        searched = can.lookup is not Lookup.NONE
        needs(searched and {FAULTS[search], FAULTS[lost]} <= set(stand.faults), "it has no search that could lag")
        numbers = {f"LAG-{unique}": unique for unique in stand.unique}
        for number in numbers:
            stand.befall(FAULTS[lost], number=number)
            stand.befall(FAULTS[search], verb="find", number=number)
        house.put(*(desk.invoice(number, unique=unique) for number, unique in numbers.items()))
        house.ends_well(*numbers, pause=(FAULTS[search].seconds or 0.0) + 0.2)

    def test_doubt_stays_doubt_while_the_portal_cannot_be_asked(
        self, desk: Desk, stand: Stand, can: Capabilities, house: House
    ) -> None:
        """However long it lasts, nothing is sent again and nothing is claimed; then it is settled."""
        lost, page = FAULTS["drop_after_commit"], FAULTS["html_page"]
        needs(can.lookup is not Lookup.NONE and {lost, page} <= set(stand.faults), "nothing can be asked")
        stand.befall(lost, number="MUTE-1")
        house.put(desk.invoice("MUTE-1"))
        local.once(house.ws, quiet=0)
        stand.befall(page, verb="find", times=None)
        for _ in range(3):
            house.ahead += (house.last("MUTE-1").due_at - house.now()) * 2
            local.once(house.ws, quiet=0)
            assert (Submission.IN_DOUBT, 1) == (house.last("MUTE-1").state, len(house.attempts("MUTE-1")))
        stand.calm()
        house.ends_well("MUTE-1")
        assert (True, 1) == (house.last("MUTE-1").state in THERE, len(house.attempts("MUTE-1")))

    def test_faults_of_many_at_once_leave_each_there_once(
        self, desk: Desk, stand: Stand, can: Capabilities, house: House
    ) -> None:
        """Twelve invoices side by side, as many at once as the connector allows, every second answer lost."""
        losses = [FAULTS[name] for name in ("drop_after_commit", "cut_body_after_commit", "drop_before_commit")]
        needs(set(losses) <= set(stand.faults), "nothing can be lost on the way")
        needs(not can.people, "people key them in")
        numbers = [f"MANY-{n:02}" for n in range(12)]
        for place, number in enumerate(numbers[::2]):
            stand.befall(losses[place % 3], number=number)
        house.put(*(desk.invoice(number, unique=bool(place % 4)) for place, number in enumerate(numbers)))
        house.work()
        assert [1] * 12 == [len(house.live(number)) for number in numbers]
        stuck = {number for number, state in house.states().items() if state not in THERE}
        assert len(stuck) == len(house.tasks())
        assert not stuck or can.lookup is Lookup.NONE

    def test_killed_without_warning_it_goes_on_and_sends_no_second_one(
        self, desk: Desk, stand: Stand, can: Capabilities, house: House
    ) -> None:
        """By kill -9 between the portal's commit and our record of it; make kill crosses every other point."""
        house.put(desk.invoice("KILL-1"))
        house.close()
        connector = stand.connector
        command = ["work", str(house.folder), stand.name, connector.__module__, connector.__qualname__, _POINT]
        died = subprocess.run(
            [sys.executable, child.__file__, *command],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert -signal.SIGKILL == died.returncode, died.stderr.decode()
        there = not can.people
        assert there is bool(stand.held("KILL-1"))
        house.ends_well("KILL-1")
        if there and can.lookup is not Lookup.NONE:
            assert (True, 1) == (house.last("KILL-1").state in THERE, len(house.attempts("KILL-1")))

    def test_a_person_who_keys_it_in_is_asked_once(self, desk: Desk, can: Capabilities, house: House) -> None:
        """One task; with the portal's confirmation it is accepted, and nothing is asked again."""
        needs(can.people, "it sends by itself")
        house.put(desk.invoice("MAN-2"))
        for _ in range(3):
            house.work()
        assert (Submission.NEEDS_HUMAN, 1) == (house.last("MAN-2").state, len(house.tasks()))
        house.answer(Say.SENT, reference="CONF-77")
        house.work()
        row = house.last("MAN-2")
        assert (Submission.ACCEPTED, "CONF-77", []) == (row.state, row.portal_id, house.tasks())
        assert 1 == len(house.attempts("MAN-2"))

    def test_a_person_may_say_that_it_is_not_there(self, desk: Desk, can: Capabilities, house: House) -> None:
        """Then he is asked anew; refused, it stays refused with his words, and no stage was ever claimed."""
        needs(can.people, "it sends by itself")
        house.put(desk.invoice("MAN-3"))
        house.work()
        house.answer(Say.NOT_THERE)
        house.work()
        assert (Submission.NEEDS_HUMAN, 1) == (house.last("MAN-3").state, len(house.tasks()))
        house.answer(Say.REFUSED, words="order closed")
        house.work()
        row = house.last("MAN-3")
        assert (Submission.REFUSED, "order closed", []) == (row.state, row.reason_text, house.tasks())
        assert row.stage in {None, Stage.UNKNOWN}
