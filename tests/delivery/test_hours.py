"""When something may go: business hours, times, deadlines; and what people are told meanwhile."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from delivery_house import House, Lane, at, invoice, receive, row, state
from portal_in_memory import PORTALS, START, Portal, raises

from hub.contract.errors import Transient
from hub.contract.status import Delivered
from hub.delivery import check, deliver
from hub.delivery.workspace import Workspace
from hub.view import Filters, InvoiceRow, Names, invoices, pressing, wording

BERLIN = ZoneInfo("Europe/Berlin")  # START is Friday, 14 March 2031, 10:30 there


def opened(house: House, *, account: dict[str, Any] | None = None, **connection: Any) -> tuple[Workspace, Portal]:
    """A workspace with one lane, and more keys for its connection and its account."""
    house.write(Lane("acme", {"lookup": "none"}))
    path = house.folder / "hub.yaml"
    told = json.loads(path.read_text(encoding="utf-8"))
    told["time_zone"] = "Europe/Berlin"
    told["connections"]["acme"] |= connection
    told["accounts"]["acme"] |= account or {}
    path.write_text(json.dumps(told), encoding="utf-8")
    PORTALS["acme"] = Portal(house.clock)
    return house.open(), PORTALS["acme"]


def ready(ws: Workspace, number: str, **more: Any) -> int:
    submission_id = receive(ws, invoice(number, **more))
    check.check(ws, submission_id)
    return submission_id


def shown(ws: Workspace) -> tuple[InvoiceRow, tuple[str, ...]]:
    """The newest invoice, and what is told of it."""
    names = Names(
        sending={key: one.submitting for key, one in ws.config.connections.items()},
        zones={key: one.time_zone for key, one in ws.config.accounts.items()},
    )
    one = invoices(ws.db, Filters(), now=ws.now()).rows[0]
    return one, wording.notices(one, names, ws.now())


def test_outside_business_hours_nothing_is_submitted(sqlite: House) -> None:
    """It is ready and stays so, its row says what it waits for, and at the opening it goes."""
    ws, portal = opened(sqlite, business_hours={"mon-fri": "08:00-10:00"})
    submission_id = ready(ws, "A-1")
    assert [] == deliver.due(ws, "acme")
    one, told = shown(ws)
    assert ("ready", ("waits for business hours: opens Mon 08:00 Europe/Berlin",)) == (one.submission, told)
    sqlite.clock.now = dt.datetime(2031, 3, 17, 8, 0, tzinfo=BERLIN).astimezone(dt.UTC)
    assert () == shown(ws)[1]
    assert [submission_id] == deliver.due(ws, "acme")
    deliver.deliver(ws, submission_id)
    assert ("sent", 1) == (state(ws, submission_id), len(portal.sent))


def test_at_certain_times_goes_what_was_ready_by_then(sqlite: House) -> None:
    """What becomes ready a minute later waits for the next time; a time that was slept through is made up for."""
    ws, _ = opened(sqlite, submit_at="0 8,11 * * *")
    before = ready(ws, "A-1")
    assert [] == deliver.due(ws, "acme")
    assert ("waits for its time: goes Fri 11:00 Europe/Berlin",) == shown(ws)[1]
    sqlite.clock.now = at(31)
    after = ready(ws, "A-2")
    assert [before] == deliver.due(ws, "acme")
    sqlite.clock.forward(days=3)  # nobody was here on Saturday at eight
    assert [before, after] == deliver.due(ws, "acme")


def test_what_is_tried_again_does_not_wait_for_the_next_time(sqlite: House) -> None:
    """Its time had come; that it did not arrive is no reason to wait until the afternoon."""
    ws, portal = opened(sqlite, submit_at="0 8,11 * * *")
    submission_id = ready(ws, "A-1")
    sqlite.clock.now = at(31)
    portal.acts.append(raises(lambda: Transient("busy", delivered=Delivered.NO)))
    deliver.deliver(ws, submission_id)
    assert ("ready", []) == (state(ws, submission_id), deliver.due(ws, "acme"))
    sqlite.clock.forward(minutes=30)
    assert [submission_id] == deliver.due(ws, "acme")


def test_what_must_go_first_goes_first(sqlite: House) -> None:
    """The last day to send is reckoned at the check; the most urgent comes before those that came earlier."""
    ws, _ = opened(sqlite, account={"send_within": "30d", "cut_off": 25})
    dates = {"A-1": dt.date(2031, 3, 10), "A-2": dt.date(2031, 2, 20), "A-3": dt.date(2031, 2, 26)}
    ids = {number: ready(ws, number, issue_date=date) for number, date in dates.items()}
    last = {number: row(ws, one).send_by for number, one in ids.items()}
    assert {"A-1": dt.date(2031, 3, 25), "A-2": dt.date(2031, 2, 25), "A-3": dt.date(2031, 3, 25)} == last
    assert [ids["A-2"], ids["A-1"], ids["A-3"]] == deliver.due(ws, "acme")


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (34, ()),
        (33, ("must be sent by 17 Mar, 3 days left",)),
        (31, ("must be sent by 15 Mar, 1 day left",)),
        (30, ("must be sent by 14 Mar, today is the last day",)),
        (29, ("TOO LATE: it had to be sent by 13 Mar, 1 day ago",)),
    ],
)
def test_a_deadline_is_called_for_before_it_passes(sqlite: House, days: int, told: tuple[str, ...]) -> None:
    """Above all where our own rules hold the invoice; once it is at the portal, nothing presses."""
    ws, _ = opened(sqlite, account={"send_within": f"{days}d"})
    submission_id = ready(ws, "A-1", issue_date=START.date() - dt.timedelta(days=30), buyer_reference=None)
    one, found = shown(ws)
    assert ("held", told) == (one.submission, found)
    assert [1] * bool(told) == [one.document_id for one in pressing(ws.db, now=ws.now())]
    tasks_free = ready(ws, "A-2", issue_date=START.date() - dt.timedelta(days=30))
    assert told == shown(ws)[1]
    deliver.deliver(ws, tasks_free)
    assert (None, ()) == (shown(ws)[0].send_by, shown(ws)[1])
    assert "held" == state(ws, submission_id)


def test_a_changed_deadline_is_reckoned_anew(sqlite: House) -> None:
    """Whoever changes it in hub.yaml has every invoice that waits checked again."""
    ws, _ = opened(sqlite, account={"send_within": "30d"})
    submission_id = ready(ws, "A-1")
    assert [] == check.due(ws)
    ws, _ = opened(sqlite, account={"send_within": "10d"})
    assert [submission_id] == check.due(ws)
    check.check(ws, submission_id)
    assert dt.date(2031, 3, 11) == row(ws, submission_id).send_by
