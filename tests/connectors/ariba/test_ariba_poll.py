"""From lists of how things stand to events of what changed: each told once, none lost, whatever breaks in between."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal

import pytest

from connectors.ariba.listing import Listing, Row, windows
from connectors.ariba.poll import poll
from connectors.ariba.settings import Rest
from hub.contract.connector import InvoiceKey, OpenRef, Page, StatusEvent
from hub.contract.errors import PortalChanged, Transient
from hub.contract.invoice import Kind, Money
from hub.contract.status import Concerns, Delivered, Intake, Stage

NOW = dt.datetime(2026, 10, 12, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
BUYER = "AN01000000777-T"


def ref(number: str = "A-1", last_raw: str | None = None, buyer: str | None = BUYER, days: int | None = 1) -> OpenRef:
    attempt = None if days is None else NOW - dt.timedelta(days=days)
    key = InvoiceKey(
        "e",
        "c",
        Kind.INVOICE,
        number,
        number,
        NOW.date(),
        Money(Decimal(1), "USD"),
        buyer,
        None,
        None,
        attempt,
        attempt,
    )
    return OpenRef(key, last_raw)


def rows(*pairs: tuple[str, str]) -> list[Row]:
    return [Row(number, status, None, None, f"{number} {status}".encode()) for number, status in pairs]


class Network:
    """Lists what it is told to, one list a poll; notes what it was asked."""

    def __init__(self, *lists: list[Row]) -> None:
        self.lists = list(lists)
        self.asked: list[tuple[str, dt.datetime, dt.datetime]] = []

    def __call__(self, buyer: str, start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, list[Row]]]:
        self.asked.append((buyer, start, end))
        yield end, self.lists.pop(0)


def polled(network: object, cursor: str | None, refs: list[OpenRef], now: dt.datetime = NOW) -> list[Page]:
    back = {"overlap": HOUR, "daily_overlap": dt.timedelta(days=2), "reach": dt.timedelta(days=30)}
    return list(poll(network, cursor, refs, identity="api AN1", now=now, **back))  # type: ignore[arg-type]


def told(pages: list[Page]) -> list[tuple[str | None, str]]:
    return [(event.refs.number, event.raw) for each in pages for event in each.events]


def test_a_first_poll_looks_back_to_the_oldest_attempt() -> None:
    """A day before it; where nothing was attempted, as far as one request reaches."""
    network = Network([], [])
    polled(network, None, [ref(days=3), ref("A-2", days=9)])
    polled(network, None, [ref(days=None)])
    assert [(BUYER, NOW - dt.timedelta(days=10), NOW), (BUYER, NOW - dt.timedelta(days=31), NOW)] == network.asked


def test_what_the_hub_knows_already_is_not_told() -> None:
    """By the last word that it holds, number compared without case and blanks."""
    network = Network(rows(("a-1 ", "Sent"), ("A-2", "Sent")))
    assert [("A-2", "Sent")] == told(polled(network, None, [ref(last_raw="Sent"), ref("A-2", "Acknowledged")]))


def test_the_overlap_tells_nothing_twice_and_every_change() -> None:
    """The cursor remembers what the last poll saw, also of invoices that nobody asked for; and a word may come back."""
    network = Network(
        rows(("A-1", "Sent"), ("KEYED", "Paid")),
        rows(("A-1", "Sent"), ("KEYED", "Paid")),
        rows(("A-1", "Approved")),
        rows(("A-1", "Sent")),
    )
    cursor, seen = None, []
    for minutes in range(4):
        pages = polled(network, cursor, [ref()], NOW + dt.timedelta(minutes=minutes))
        cursor = pages[-1].next_cursor
        seen.append(told(pages))
    assert [[("A-1", "Sent"), ("KEYED", "Paid")], [], [("A-1", "Approved")], [("A-1", "Sent")]] == seen
    assert [NOW - HOUR, NOW - HOUR + dt.timedelta(minutes=1)] == [start for _, start, _ in network.asked[1:3]]


def test_once_a_day_a_poll_reaches_further_back() -> None:
    """What a clock hours behind ours hid is told then; what was told is not, nor what somebody else's document was."""
    before = rows(("A-1", "Sent"), ("KEYED", "Paid"))
    network = Network(before, [], rows(("A-1", "Approved"), ("KEYED", "Paid")), [])
    cursor, seen = None, []
    for hours, last_raw in ((0, "Sent"), (1, "Sent"), (25, "Sent"), (26, "Approved")):
        pages = polled(network, cursor, [ref(last_raw=last_raw)], NOW + dt.timedelta(hours=hours))
        cursor = pages[-1].next_cursor
        seen.append(told(pages))
    assert [[("KEYED", "Paid")], [], [("A-1", "Approved")], []] == seen
    starts = [start - NOW for _, start, _ in network.asked[1:]]
    assert [dt.timedelta(hours=-1), dt.timedelta(hours=1 - 48), dt.timedelta(hours=24)] == starts


def test_two_documents_of_one_number_do_not_tell_each_other_anew() -> None:
    """A refused one and its successor stand in every list beside each other."""
    both = rows(("A-1", "Failed"), ("A-1", "Sent"))
    network = Network(both, list(reversed(both)), rows(("A-1", "Failed"), ("A-1", "Approved")))
    cursor, seen = None, []
    for minutes in range(3):
        pages = polled(network, cursor, [ref()], NOW + dt.timedelta(minutes=minutes))
        cursor = pages[-1].next_cursor
        seen.append(told(pages))
    assert [[("A-1", "Failed"), ("A-1", "Sent")], [], [("A-1", "Approved")]] == seen


def test_several_new_stages_of_one_number_in_one_answer_are_none() -> None:
    """The list has no times: whichever of them holds, it is not claimed; what is not new does not make it unsure."""
    network = Network(rows(("A-1", "Approved")), rows(("A-1", "Paid"), ("A-1", "Approved"), ("A-2", "Paid")))
    (first,) = polled(network, None, [ref()])
    (second,) = polled(network, first.next_cursor, [ref()])
    (both,) = polled(Network(rows(("A-1", "Paid"), ("A-1", "Approved"), ("A-1", "Sent"))), None, [ref()])
    assert [("Paid", Stage.PAID), ("Paid", Stage.PAID)] == [(event.raw, event.word) for event in second.events]
    assert [("Paid", Stage.UNKNOWN), ("Approved", Stage.UNKNOWN), ("Sent", Intake.PENDING)] == [
        (event.raw, event.word) for event in both.events
    ]


def test_an_event_has_one_id_and_says_what_was_said() -> None:
    """The same poll gives the same id; another status, number or end of the poll another."""

    def event(row: tuple[str, str], now: dt.datetime = NOW) -> StatusEvent:
        return polled(Network(rows(row)), None, [ref()], now)[0].events[0]

    first = event(("A-1", "Held somehow"))
    assert first.event_id == event(("A-1", "Held somehow")).event_id
    others = {event(("A-1", "Paid")).event_id, event(("A-2", "Held somehow")).event_id}
    others |= {event(("A-1", "Held somehow"), NOW + HOUR).event_id}
    assert 4 == len(others | {first.event_id})
    assert (Concerns.STAGE, Stage.UNKNOWN, "Held somehow", NOW, None, b"A-1 Held somehow") == (
        first.concerns,
        first.word,
        first.raw,
        first.observed_at,
        first.happened_at,
        first.document,
    )


def test_each_customer_has_its_own_place_in_the_cursor() -> None:
    """Asked one after the other; one that nothing is open with keeps its place."""
    other = "AN01000000888-T"
    network = Network(rows(("A-1", "Sent")), rows(("B-1", "Sent")), [], [])
    both = [ref(), ref("B-1", buyer=other)]
    pages = polled(network, None, both)
    assert [[("A-1", "Sent")], [("B-1", "Sent")]] == [told([each]) for each in pages]
    (alone,) = polled(network, pages[-1].next_cursor, [ref()], NOW + HOUR)
    polled(network, alone.next_cursor, [ref("B-1", buyer=other)], NOW + HOUR)
    assert (other, NOW - HOUR) == network.asked[-1][:2]


def test_without_a_customers_id_nothing_is_asked() -> None:
    """There is no filter that would prove whose invoice it is."""
    assert [] == polled(Network(), None, [ref(buyer=None)])


def test_what_was_yielded_before_an_error_is_not_told_again() -> None:
    """The page's own cursor goes on behind it."""

    def broken(_buyer: str, start: dt.datetime, _end: dt.datetime) -> Iterator[tuple[dt.datetime, list[Row]]]:
        yield start + HOUR, rows(("A-1", "Sent"))
        raise Transient("gone", delivered=Delivered.UNKNOWN)

    pages = poll(broken, None, [ref()], identity="x", now=NOW, overlap=HOUR, daily_overlap=HOUR, reach=HOUR)
    first = next(pages)
    with pytest.raises(Transient):
        next(pages)
    network = Network(rows(("A-1", "Sent"), ("A-2", "Sent")))
    assert [("A-2", "Sent")] == told(polled(network, first.next_cursor, [ref()]))
    until = NOW - dt.timedelta(days=2) + HOUR
    assert until - dt.timedelta(days=2) == network.asked[0][1], "not yet read far back in one piece"


@pytest.mark.parametrize("cursor", ["2026-10-12", "[]", '{"buyers": 7}', '{"buyers": {"x": {}}}'])
def test_a_cursor_of_somebody_else_is_not_guessed_at(cursor: str) -> None:
    """Reading on from a wrong place would lose what lies between."""
    with pytest.raises(PortalChanged, match="cursor"):
        polled(Network(), cursor, [ref()])


def test_a_clock_that_was_set_back_asks_for_no_window_backwards() -> None:
    """The start is never behind the end."""
    network = Network([], [])
    (first,) = polled(network, None, [ref()])
    polled(network, first.next_cursor, [ref()], NOW - dt.timedelta(days=3))
    _, start, end = network.asked[1]
    assert start <= end


# --- windows ---------------------------------------------------------------------------------------------------------


def test_windows_lie_end_to_end() -> None:
    """No gap, none longer than asked for, nothing outside."""
    spans = list(windows(NOW - dt.timedelta(days=70), NOW, dt.timedelta(days=31)))
    assert [dt.timedelta(days=31), dt.timedelta(days=31), dt.timedelta(days=8)] == [end - start for start, end in spans]
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert [(NOW, NOW)] == list(windows(NOW, NOW, HOUR))


class Busy(Listing):
    """A list of changes at given seconds, read through pages of three."""

    def __init__(self, changes: dict[str, dt.datetime]) -> None:
        rest = {"url": "https://x.example", "token_url": "https://x.example", "client_id": "c", "client_secret": "s"}
        super().__init__(None, None, Rest(**rest, api_key="k", page_size=3), "AN1")  # type: ignore[arg-type]
        object.__setattr__(self, "changes", changes)
        object.__setattr__(self, "asked", [])

    def _page(self, _verb, _asked, _start, _end, first, last, skip):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        self.asked.append((first, last, skip))
        found = sorted(number for number, at in self.changes.items() if first <= at <= last)
        return rows(*((number, "Sent") for number in found[skip : skip + 3])), skip + 3 >= len(found)


def test_a_window_of_several_pages_is_halved_until_one_holds_it() -> None:
    """Every change is in one page of one window, and the windows' ends only grow."""
    changes = {f"A-{place}": NOW - dt.timedelta(minutes=7 * place) for place in range(40)}
    busy = Busy(changes)
    read = list(busy.changed(BUYER, NOW - dt.timedelta(days=40), NOW))
    ends = [end for end, _ in read]
    assert sorted(ends) == ends
    assert ends[-1] == NOW
    assert set(changes) == {row.number for _, found in read for row in found}
    assert {0} == {skip for *_, skip in busy.asked}


def test_more_changes_in_one_second_than_a_page_holds_are_paged_through() -> None:
    """A window cannot be shorter than the seconds that the API knows."""
    changes = {f"A-{place}": NOW for place in range(10)}
    busy = Busy(changes)
    read = list(busy.changed(BUYER, NOW - HOUR, NOW))
    assert set(changes) == {row.number for _, found in read for row in found}


def test_the_cursor_is_text_that_json_reads() -> None:
    """It is stored and handed back as it is."""
    (page,) = polled(Network(rows(("A-1", "Sent"))), None, [ref()])
    assert {"A-1".casefold(): ["Sent"]} == json.loads(page.next_cursor or "")["buyers"][BUYER]["seen"]
