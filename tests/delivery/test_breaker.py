from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from delivery_house import ON_BOTH, House, invoice, open_tasks, receive, row, rows
from portal_in_memory import Portal, raises

from hub.contract.errors import AuthFailed, PortalError, Reason, Rejected, Scope, Transient
from hub.contract.status import Delivered
from hub.delivery import breaker, check, deliver, ledger
from hub.delivery.verdict import MAX_TRIES
from hub.delivery.workspace import Workspace
from hub.store import tables as t

NO, UNKNOWN = Delivered.NO, Delivered.UNKNOWN


def down(scope: Scope = Scope.CONNECTION, delivered: Delivered = NO, **more: Any) -> Transient:
    return Transient("no connection", delivered=delivered, scope=scope, **more)


def ready(ws: Workspace, *numbers: str) -> list[int]:
    made = [receive(ws, invoice(number)) for number in numbers]
    for one in made:
        check.check(ws, one)
    return made


def place(ws: Workspace, table: sa.Table = t.connection) -> Any:
    with ws.db.reading() as tx:
        return tx.execute(sa.select(table).where(table.c.key == "acme")).one()


def try_all(ws: Workspace, submissions: list[int]) -> list[int]:
    """Those that were really tried."""
    return [one for one in submissions if deliver.deliver(ws, one) is not None]


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (2, 0), (3, 30), (4, 60), (5, 120), (9, 1800), (10, 1800), (10_000, 1800)]
)
def test_each_further_failure_doubles_the_hold(failures: int, seconds: int) -> None:
    """Nothing before the third in a row, then 30 s, doubled each time, half an hour at most."""
    assert dt.timedelta(seconds=seconds) == breaker.hold(failures)


def test_the_hold_is_never_shorter_than_the_portal_asked_for() -> None:
    """Retry-After holds at the first failure, and for as long as it says."""
    assert dt.timedelta(minutes=7) == breaker.hold(1, dt.timedelta(minutes=7))
    assert dt.timedelta(seconds=120) == breaker.hold(5, dt.timedelta(seconds=3))


@ON_BOTH
def test_a_portal_that_is_down_is_left_alone_and_tried_with_one_invoice(house: House) -> None:
    """Three failures hold the rest; then one goes as a trial while the others wait; its success lets all go."""
    ws, portal = house.acme(lookup="none")
    portal.acts.extend([raises(down)] * 4)
    ones = ready(ws, "A-1", "A-2", "A-3", "A-4", "A-5", "A-6")
    assert ones[:3] == try_all(ws, ones)
    assert (3, "no connection") == (place(ws).failures, place(ws).failing_why)
    assert house.clock() + dt.timedelta(seconds=30) == place(ws).retry_at
    house.clock.forward(seconds=31)
    assert 1 == len(try_all(ws, ones)), "the trial"
    assert (4, house.clock() + dt.timedelta(seconds=60)) == (place(ws).failures, place(ws).retry_at)
    house.clock.forward(seconds=61)
    waiting = [one for one in ones if row(ws, one).due_at is None or row(ws, one).due_at <= house.clock()]
    assert waiting == try_all(ws, waiting)
    assert (0, None, None) == (place(ws).failures, place(ws).retry_at, place(ws).failing_why)
    told = [(each.before, each.after) for each in rows(ws, t.transition, t.transition.c.subject == "connection:acme")]
    assert [("running", "held"), ("held", "held"), ("held", "running")] == told


def test_while_a_trial_is_on_its_way_nothing_else_goes(sqlite: House) -> None:
    """The second to be claimed is not to be had, even before the first one's answer is there."""
    ws, portal = sqlite.acme(lookup="none")
    portal.acts.extend([raises(down)] * 3)
    ones = ready(ws, "A-1", "A-2", "A-3", "A-4", "A-5")
    try_all(ws, ones[:3])
    sqlite.clock.forward(seconds=31)
    meanwhile: list[object] = []

    def act(portal: Portal, told: dict[str, Any]) -> Any:
        meanwhile.append(deliver.deliver(ws, ones[4]))
        return portal.receipt(portal.take(told))

    portal.acts.append(act)
    assert "sent" == deliver.deliver(ws, ones[3])
    assert [None] == meanwhile
    assert "sent" == deliver.deliver(ws, ones[4])


def test_what_was_on_its_way_when_it_opened_does_not_hold_it_longer(sqlite: House) -> None:
    """Sixteen threads that fail at the same moment are one outage, not sixteen."""
    ws, _ = sqlite.acme()
    with ws.db.writing("test") as tx:
        for _ in range(16):
            breaker.failed(
                tx, down(), connection="acme", account="acme", seen=0, at=sqlite.clock(), words="no connection"
            )
    assert (3, sqlite.clock() + dt.timedelta(seconds=30)) == (place(ws).failures, place(ws).retry_at)


def test_one_customers_trouble_holds_that_account_alone(sqlite: House) -> None:
    """A failure of the account's scope leaves the connection alone."""
    ws, portal = sqlite.acme(lookup="none")
    portal.acts.extend([raises(lambda: down(Scope.ACCOUNT))] * 3)
    try_all(ws, ready(ws, "A-1", "A-2", "A-3"))
    assert (0, 3) == (place(ws).failures, place(ws, t.account).failures)
    assert sqlite.clock() + dt.timedelta(seconds=30) == place(ws, t.account).retry_at


@pytest.mark.parametrize(
    "error",
    [
        lambda: down(Scope.INVOICE, UNKNOWN),
        lambda: Rejected("no", reasons=(Reason("line 3 is wrong"),)),
        lambda: PortalError("odd", delivered=NO),
        lambda: ValueError("a defect"),
    ],
)
def test_what_is_about_one_invoice_opens_nothing(sqlite: House, error: Any) -> None:
    """A refusal, an error of one invoice or a defect of the connector is no outage."""
    ws, portal = sqlite.acme(lookup="none")
    portal.acts.extend([raises(error)] * 5)
    try_all(ws, ready(ws, "A-1", "A-2", "A-3", "A-4", "A-5"))
    assert (0, None) == (place(ws).failures, place(ws).retry_at)


def test_an_answer_of_any_kind_ends_the_count(sqlite: House) -> None:
    """Two failures and a refusal are no row of failures."""
    ws, portal = sqlite.acme(lookup="none")
    refused = raises(lambda: Rejected("no", reasons=(Reason("line 3 is wrong"),)))
    portal.acts.extend([raises(down), raises(down), refused, raises(down), raises(down)])
    try_all(ws, ready(ws, "A-1", "A-2", "A-3", "A-4", "A-5"))
    assert (2, None) == (place(ws).failures, place(ws).retry_at)


def test_a_portal_that_asks_for_time_gets_it_from_all(sqlite: House) -> None:
    """After one Retry-After nothing else is sent before it has passed."""
    ws, portal = sqlite.acme(lookup="none")
    portal.acts.append(raises(lambda: down(retry_after=dt.timedelta(minutes=7))))
    ones = ready(ws, "A-1", "A-2")
    assert ones[:1] == try_all(ws, ones)
    sqlite.clock.forward(minutes=6, seconds=59)
    assert [] == try_all(ws, ones)
    sqlite.clock.forward(seconds=2)
    assert ones == try_all(ws, ones)


def test_a_login_that_is_refused_pauses_and_leaves_no_breaker(sqlite: House) -> None:
    """A refused login is an admin's, and answered by `hub check`; it is no outage that passes."""
    ws, portal = sqlite.acme(lookup="none")
    portal.acts.extend([raises(down), raises(lambda: AuthFailed("who?"))])
    try_all(ws, ready(ws, "A-1", "A-2"))
    assert (0, None) == (place(ws).failures, place(ws).retry_at)
    assert ledger.is_paused(ws.db, t.connection, "acme")


def lone_failures(house: House, error: Any, *, lookup: str = "none") -> tuple[Workspace, int]:
    """One invoice fails again and again while others go."""
    ws, portal = house.acme(lookup=lookup)
    (one,) = ready(ws, "A-1")
    for n in range(MAX_TRIES + 5):
        if row(ws, one).state != "ready":
            break
        house.clock.now = max(house.clock(), row(ws, one).due_at or house.clock()) + dt.timedelta(seconds=1)
        portal.acts.clear()
        portal.acts.append(raises(error))
        deliver.deliver(ws, one)
        (other,) = ready(ws, f"B-{n}")
        deliver.deliver(ws, other)
    return ws, one


def test_an_invoice_that_alone_cannot_be_sent_becomes_a_persons(sqlite: House) -> None:
    """After so many tries in a row that did not arrive a person is asked, with the words; `done` sends it again."""
    from hub.delivery import tasks  # noqa: PLC0415 - only here

    ws, one = lone_failures(sqlite, down)
    assert ("needs_human", MAX_TRIES) == (row(ws, one).state, row(ws, one).tries)
    (task,) = open_tasks(ws, one)
    assert "A-1 could not be sent 15 times in a row: no connection" == task.title
    tasks.answer(ws, task.id, tasks.Spoken(tasks.Say.DONE, "ann"))
    assert ("ready", 0) == (row(ws, one).state, row(ws, one).tries)
    assert "sent" == deliver.deliver(ws, one)


def test_in_an_outage_no_invoice_is_given_up(sqlite: House) -> None:
    """While nothing goes to the portal at all, the invoice that is tried is not to blame."""
    ws, portal = sqlite.acme(lookup="none")
    (one,) = ready(ws, "A-1")
    for _ in range(2 * MAX_TRIES):
        portal.acts.append(raises(down))
        later = [at for at in (row(ws, one).due_at, place(ws).retry_at) if at]
        sqlite.clock.now = max([sqlite.clock(), *later]) + dt.timedelta(seconds=1)
        deliver.deliver(ws, one)
    assert ("ready", []) == (row(ws, one).state, open_tasks(ws))
    assert 2 * MAX_TRIES == place(ws).failures
