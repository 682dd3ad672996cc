"""The connector on the wire: what it sends, what it makes of every answer, what it never tells."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime as dt
import email
import email.policy
import hashlib
import json
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from lxml import etree
from mapped_samples import SAMPLES, SESAME, STAMP, settings

from connectors.ariba.connector import AribaConnector, Connector
from hub.contract.connector import Context, Deadline, FoundState, InvoiceKey, Lookup, OpenRef, Repeat, Step
from hub.contract.errors import (
    AuthFailed,
    Duplicate,
    NeedsHuman,
    PortalChanged,
    PortalError,
    Rejected,
    Scope,
    Transient,
    Undeclared,
)
from hub.contract.invoice import Kind, Money
from hub.contract.status import Delivered, Intake, Stage

REPLIES = Path(__file__).resolve().parents[3] / "fixtures" / "replies" / "ariba"
BUYER = "AN01000000777-T"
CLIENT, CLIENT_WORD, API_KEY, TOKEN = "client-1", "client-canary-1", "key-canary-2", "token-canary-3"
NOW = dt.datetime.now(dt.UTC)


def http(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{more}\r\n".encode() + content


def recorded(name: str, **changes: str) -> bytes:
    text = (REPLIES / name).read_text()
    for old, new in changes.items():
        text = text.replace(f"@{old}@", new)
    return http(text)


@contextlib.contextmanager
def connector(context: Context, url: str, **changes: Any) -> Iterator[AribaConnector]:
    made = AribaConnector(settings(url=f"{url}/cxml", **changes), context)
    try:
        yield made
    finally:
        made.close()


def step(name: str = "po_goods") -> Step:
    with contextlib.closing(AribaConnector(settings(), None)) as made:  # type: ignore[arg-type] - prepare needs none
        (prepared,) = made.prepare(SAMPLES[name], STAMP, None)
    return prepared


def failure(context: Context, portal: Any, **changes: Any) -> PortalError:
    with connector(context, portal.url, **changes) as ariba, pytest.raises(PortalError) as raised:
        ariba.submit(step(), {})
    return raised.value


def test_the_registry_finds_the_connector() -> None:
    """By the module's attribute, with its settings."""
    assert (AribaConnector, "AribaSettings") == (Connector, Connector.Settings.__name__)


# --- capabilities ----------------------------------------------------------------------------------------------------


def rest(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "url": f"{url}/api/invoices",
        "token_url": f"{url}/token",
        "client_id": CLIENT,
        "client_secret": CLIENT_WORD,
        "api_key": API_KEY,
        **changes,
    }


def test_without_rest_nothing_can_be_asked(context: Context) -> None:
    """Lookup none, no statuses, no acknowledgement awaited; the verbs say so."""
    with connector(context, "http://127.0.0.1:9") as ariba:
        can = ariba.capabilities
        assert (Lookup.NONE, False, None, frozenset()) == (
            can.lookup,
            can.statuses,
            can.acknowledged_within,
            can.stages,
        )
        with pytest.raises(Undeclared, match="rest"):
            ariba.find(key())
        with pytest.raises(Undeclared, match="rest"):
            ariba.statuses(None, [])


def test_with_rest_the_portal_can_be_asked(context: Context) -> None:
    """Lookup exact, statuses with the stages that can come, an acknowledgement awaited for a day."""
    with connector(context, "http://127.0.0.1:9", rest=rest("http://127.0.0.1:9"), settles_within="1s") as ariba:
        can = ariba.capabilities
        assert (Lookup.EXACT, True, dt.timedelta(days=1)) == (can.lookup, can.statuses, can.acknowledged_within)
        assert {Stage.APPROVED, Stage.PAID, Stage.REJECTED, Stage.CANCELLED} == can.stages
        assert (dt.timedelta(seconds=1), 4, frozenset({Kind.INVOICE, Kind.CREDIT, Kind.DEBIT})) == (
            can.settles_within,
            can.max_parallel,
            can.documents,
        )


# --- submit ----------------------------------------------------------------------------------------------------------


def test_what_goes_out_is_what_was_stored_with_the_secret_in_its_place(context: Context, lent: Any, serve: Any) -> None:
    """One POST: the prepared bytes with the escaped secret; the gate and the point of no return before it."""
    portal = serve(recorded("taken.xml"))
    with connector(context, portal.url) as ariba:
        taken = ariba.submit(step(), {})
    head, _, body = portal.heard[0].partition(b"\r\n\r\n")
    assert body.replace(b'sesame &amp; "&lt;open&gt;"', STAMP.marker.encode()) == step().bytes
    assert SESAME == etree.fromstring(body).findtext(".//SharedSecret")
    assert head.startswith(b"POST /cxml HTTP/1.1")
    assert b"Content-Type: text/xml; charset=utf-8" in head
    assert (Intake.PENDING, STAMP.payload_id, "OK") == (taken.intake, taken.refs.payload_id, taken.words)
    assert ["gate submit", "point of no return"] == lent.asked


@pytest.mark.parametrize("subtype", ["related", "mixed"])
def test_attachments_go_out_around_the_document(context: Context, lent: Any, serve: Any, subtype: str) -> None:
    """multipart, the cXML first, each part under the content id that the document names."""
    prepared, contents = step("attachments"), (b"%PDF-1.7 image", b"\x89PNG ticket")
    lent.stored = {hashlib.sha256(each).hexdigest(): each for each in contents}
    enclosures = tuple(
        dataclasses.replace(each, sha256=sha) for each, sha in zip(prepared.enclosures, lent.stored, strict=True)
    )
    portal = serve(recorded("taken.xml"))
    with connector(context, portal.url, multipart_subtype=subtype) as ariba:
        ariba.submit(dataclasses.replace(prepared, enclosures=enclosures), {})
    message = email.message_from_bytes(portal.heard[0].partition(b"\r\n")[2], policy=email.policy.HTTP)
    root, *parts = message.iter_parts()
    assert f"multipart/{subtype}" == message.get_content_type()
    document = etree.fromstring(root.get_payload(decode=True))
    named = [url.text.removeprefix("cid:") for url in document.iterfind(".//Comments/Attachment/URL")]
    assert named == [part["Content-ID"].strip("<>") for part in parts]
    assert list(contents) == [part.get_payload(decode=True) for part in parts]
    assert SESAME == document.findtext(".//SharedSecret")


@pytest.mark.parametrize("stored", [{}, {"a" * 64: b"other bytes", "b" * 64: b"x"}], ids=["gone", "other"])
def test_a_damaged_attachment_stops_before_the_wire(
    context: Context, lent: Any, serve: Any, stored: dict[str, bytes]
) -> None:
    """A person restores it; nothing was sent, and nothing counted."""
    portal = serve(recorded("taken.xml"))
    lent.stored = stored
    with connector(context, portal.url) as ariba, pytest.raises(NeedsHuman) as raised:
        ariba.submit(step("attachments"), {})
    assert (Delivered.NO, [], []) == (raised.value.delivered, portal.heard, lent.asked)


def test_a_document_without_its_marker_stops_before_the_wire(context: Context, serve: Any) -> None:
    """Bytes that are not those that were prepared are not sent."""
    portal = serve(recorded("taken.xml"))
    spoilt = dataclasses.replace(step(), bytes=step().bytes.replace(b"SharedSecret", b"SharedS3cret"))
    with connector(context, portal.url) as ariba, pytest.raises(NeedsHuman, match="exactly once"):
        ariba.submit(spoilt, {})
    assert [] == portal.heard


OUTCOMES: dict[str, tuple[bytes, type[PortalError], Delivered]] = {
    "unauthorized": (recorded("unauthorized.xml"), AuthFailed, Delivered.NO),
    "no relationship": (recorded("no-relationship.xml"), AuthFailed, Delivered.NO),
    "duplicate by code": (recorded("duplicate-409.xml"), Duplicate, Delivered.NO),
    "duplicate by words": (recorded("duplicate-417.xml"), Duplicate, Delivered.NO),
    "order obsolete": (recorded("order-obsolete.xml"), Rejected, Delivered.NO),
    "rule or failure": (recorded("rule-broken-500.xml"), Transient, Delivered.UNKNOWN),
    "maintenance": (recorded("maintenance.xml"), Transient, Delivered.NO),
    "throttled": (http("slow down", "429 Too Many Requests", Retry_After="30"), Transient, Delivered.NO),
    "HTTP 401": (http("who?", "401 Unauthorized"), Transient, Delivered.NO),
    "HTML page": (http("<html>Bad gateway</html>", "502 Bad Gateway"), Transient, Delivered.UNKNOWN),
    "HTML page with 200": (http("<!DOCTYPE html><html>Welcome</html>"), Transient, Delivered.UNKNOWN),
    "empty 200": (http(""), Transient, Delivered.UNKNOWN),
    "torn headers": (b"HTTP/1.1 200 OK\r\nServ", Transient, Delivered.UNKNOWN),
    "success cut off": (
        b"HTTP/1.1 200 OK\r\n\r\n" + (REPLIES / "taken.xml").read_bytes()[:-9],
        Transient,
        Delivered.UNKNOWN,
    ),
    "redirect": (http("", "302 Found", Location="/login"), Transient, Delivered.UNKNOWN),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_answer_to_a_submit(context: Context, serve: Any, name: str) -> None:
    """What it raises, whether the portal has the invoice, and one request only."""
    answer, kind, delivered = OUTCOMES[name]
    portal = serve(answer)
    error = failure(context, portal)
    assert (kind, delivered, 1) == (type(error), error.delivered, len(portal.heard))


def test_a_portal_that_reads_and_says_nothing_leaves_doubt(context: Context, serve: Any) -> None:
    """Reset after reading, and silence until the deadline."""

    def reset(portal: Any, line: socket.socket) -> None:
        portal.hear(line)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    assert Delivered.UNKNOWN is failure(context, serve(reset)).delivered
    context.deadline = Deadline(0.3)
    assert (
        Delivered.UNKNOWN is failure(context, serve(lambda portal, line: (portal.hear(line), line.recv(1)))).delivered
    )


# --- check -----------------------------------------------------------------------------------------------------------


def test_check_proves_the_credentials_and_says_what_it_does_not(context: Context, lent: Any, serve: Any) -> None:
    """A ProfileRequest to the network itself; no customer is asked, nothing is sent that counts."""
    portal = serve(lambda p, line: (p.hear(line), line.sendall(recorded("profile.xml", URL=f"{p.url}/new"))))
    with connector(context, portal.url) as ariba:
        checked = ariba.check()
    sent = etree.fromstring(portal.heard[0].partition(b"\r\n\r\n")[2])
    assert "AN01000000001" == sent.findtext("Header/To/Credential/Identity")
    assert SESAME == sent.findtext(".//SharedSecret")
    assert sent.find("Request/ProfileRequest") is not None
    assert ["gate check"] == lent.asked
    assert any("AN01000000555-T and its credentials" in each for each in checked.proved)
    assert any("linked" in each for each in checked.not_proved)
    assert any("rest" in each for each in checked.not_proved)


def test_invoices_go_where_the_profile_says(context: Context, serve: Any) -> None:
    """On the same host, from this check on."""
    profile = lambda p, line: (p.hear(line), line.sendall(recorded("profile.xml", URL=f"{p.url}/new")))  # noqa: E731 - the portal's own address is in it
    portal = serve(profile, recorded("taken.xml"))
    with connector(context, portal.url) as ariba:
        ariba.check()
        ariba.submit(step(), {})
    assert portal.heard[1].startswith(b"POST /new HTTP/1.1")


def test_a_profile_that_sends_us_elsewhere_stops_the_connection(context: Context, serve: Any) -> None:
    """The secret goes to no host that nobody allowed; allowed, it goes."""
    elsewhere = serve(recorded("taken.xml"))
    answer = recorded("profile.xml", URL=f"{elsewhere.url}/cxml")
    portal = serve(answer)
    with connector(context, portal.url) as ariba:
        with pytest.raises(PortalChanged) as raised:
            ariba.check()
        assert f"{elsewhere.url}/cxml" in str(raised.value)
        assert f"{portal.url}/cxml" in str(raised.value)
    with connector(context, serve(answer).url, allowed_hosts=(f"127.0.0.1:{elsewhere.port}",)) as ariba:
        ariba.check()
        ariba.submit(step(), {})
    assert 1 == len(elsewhere.heard)


def test_a_wrong_secret_fails_the_check(context: Context, serve: Any) -> None:
    """The connection stops before an invoice waits."""
    with connector(context, serve(recorded("unauthorized.xml")).url) as ariba, pytest.raises(AuthFailed) as raised:
        ariba.check()
    assert Scope.CONNECTION is raised.value.scope


def test_an_account_that_may_not_invoice_is_told(context: Context, serve: Any) -> None:
    """A profile without InvoiceDetailRequest proves the login only."""
    with connector(context, serve(recorded("taken.xml")).url) as ariba:
        checked = ariba.check()
    assert any("does not offer it" in each for each in checked.not_proved)


# --- find ------------------------------------------------------------------------------------------------------------


class Api:
    """The network's REST: a token, then the given pages; it notes what was asked."""

    def __init__(self, serve: Any, *pages: object, token: bytes | None = None) -> None:
        self._pages = list(pages)
        self._token = token or http(json.dumps({"access_token": TOKEN, "expires_in": 3600}))
        self.filters: list[dict[str, str]] = []
        self.heads: list[str] = []
        self.tokens = 0
        self.portal = serve(self._behave)
        self.url = self.portal.url

    def _behave(self, portal: Any, line: socket.socket) -> None:
        while heard := portal.hear(line):
            head = heard.partition(b"\r\n\r\n")[0].decode()
            self.heads.append(head)
            if head.startswith("POST /token"):
                self.tokens += 1
                line.sendall(self._token)
                if b"Content-Length" not in self._token:
                    return
                continue
            query = parse_qs(urlsplit(head.split(" ", 2)[1]).query)
            (terms,) = query["$filter"]
            asked = dict(term.split(" eq ") for term in terms.split(" and "))
            self.filters.append({**asked, "$skip": query["$skip"][0], "$top": query["$top"][0]})
            page = self._pages.pop(0) if len(self._pages) > 1 else self._pages[0]
            page = page(self.filters[-1]) if callable(page) else page
            line.sendall(page if isinstance(page, bytes) else http(json.dumps(page)))
            if isinstance(page, bytes) and b"Content-Length" not in page:
                return


def page(*rows: dict[str, Any], last: object = True) -> dict[str, Any]:
    return {"content": list(rows), "lastPage": last}


def row(number: str = "KB-26-0101", status: str = "Sent", amount: object = 108.25, **more: Any) -> dict[str, Any]:
    return {"documentNumber": number, "status": status, "invoiceAmount": {"amount": amount}, **more}


def key(**changes: Any) -> InvoiceKey:
    given = {
        "entity": "kestrel",
        "customer": "vale",
        "kind": Kind.INVOICE,
        "number": "KB-26-0101",
        "shown_number": "KB-26-0101",
        "issue_date": NOW.date(),
        "total": Money(Decimal("108.25"), "USD"),
        "portal_customer": BUYER,
        "first_attempt": NOW,
        **changes,
    }
    return InvoiceKey(**given)


def found(context: Context, api: Api, wanted: InvoiceKey, **changes: Any) -> list[Any]:
    with connector(context, api.url, rest=rest(api.url, **changes)) as ariba:
        return ariba.find(wanted)


def test_find_asks_for_the_number_at_the_buyer_around_the_attempt(context: Context, lent: Any, serve: Any) -> None:
    """One request after the token, with every credential in its header and none in the address."""
    api = Api(serve, page())
    assert [] == found(context, api, key())
    (asked,) = api.filters
    assert ("'KB-26-0101'", f"'{BUYER}'", "0", "100") == (
        asked["documentNumber"],
        asked["buyerANID"],
        asked["$skip"],
        asked["$top"],
    )
    start, end = (dt.datetime.fromisoformat(asked[name].strip("'")) for name in ("startDate", "endDate"))
    assert dt.timedelta(days=2) <= end - start < dt.timedelta(days=2, hours=1)
    assert abs((start - NOW.replace(tzinfo=None)).total_seconds() + 86400) < 30
    token, query = api.heads
    assert f"Authorization: Basic {base64.b64encode(f'{CLIENT}:{CLIENT_WORD}'.encode()).decode()}" in token
    for header in (f"Authorization: Bearer {TOKEN}", f"apiKey: {API_KEY}", "X-ARIBA-NETWORK-ID: AN01000000555-T"):
        assert header in query
    assert ["gate find", "gate token"] == sorted(lent.asked)


def test_what_is_found_is_compared_without_case_and_blanks(context: Context, serve: Any) -> None:
    """The number as identities compare it; other numbers that the portal lists are not ours."""
    api = Api(serve, http((REPLIES / "page.json").read_bytes()))
    results = found(context, api, key())
    assert [("KB-26-0101", FoundState.SUBMITTED), ("kb-26-0101 ", FoundState.REFUSED)] == [
        (each.number, each.state) for each in results
    ]
    assert [Money(Decimal("108.25"), "USD"), Money(Decimal("108.250"), "USD")] == [each.total for each in results]
    assert {BUYER} == {each.customer for each in results}
    assert [None, None] == [each.refs.payload_id for each in results]
    assert "see the portal" in results[1].reasons[0].text
    assert "Acknowledged" == json.loads(results[0].raw)["status"]


@pytest.mark.parametrize(
    ("given", "kind", "total"),
    [
        ({"amount": "1234567.10", "currency": "EUR"}, Kind.INVOICE, Money(Decimal("1234567.10"), "EUR")),
        ({"amount": -108.25}, Kind.CREDIT, Money(Decimal("108.25"), "USD")),
        ({"amount": -108.25}, Kind.INVOICE, Money(Decimal("-108.25"), "USD")),
        ({"amount": None}, Kind.INVOICE, None),
        ({}, Kind.INVOICE, None),
        ({"amount": "NaN"}, Kind.INVOICE, None),
        ({"amount": "1e999999999"}, Kind.INVOICE, None),
        ({"amount": [1]}, Kind.INVOICE, None),
    ],
)
def test_the_total_is_exact_or_none(
    context: Context, serve: Any, given: dict[str, Any], kind: Kind, total: Money | None
) -> None:
    """Never through a float; a credit's without its sign; what is no amount is not known."""
    listed = {"documentNumber": "KB-26-0101", "status": "Sent", "invoiceAmount": given}
    (result,) = found(context, Api(serve, page(listed)), key(kind=kind))
    assert total == result.total


def test_find_reads_every_page(context: Context, serve: Any) -> None:
    """By as many rows as came, not as were asked for."""
    api = Api(serve, page(row(), row("X"), last=False), page(row(status="Failed"), last=False), page(row("Y")))
    assert 2 == len(found(context, api, key()))
    assert ["0", "2", "3"] == [asked["$skip"] for asked in api.filters]


def test_find_before_the_first_attempt_looks_from_the_invoices_date(context: Context, serve: Any) -> None:
    """Somebody may have keyed it in; in windows of at most 31 days without a gap."""
    api = Api(serve, page())
    found(context, api, key(first_attempt=None, issue_date=(NOW - dt.timedelta(days=70)).date()))
    spans = [
        tuple(dt.datetime.fromisoformat(asked[name].strip("'")) for name in ("startDate", "endDate"))
        for asked in api.filters
    ]
    assert 3 == len(spans)
    assert all(end - start <= dt.timedelta(days=31) for start, end in spans)
    assert [end for _, end in spans[:-1]] == [start for start, _ in spans[1:]]
    assert spans[0][0].date() == (NOW - dt.timedelta(days=71)).date()


def test_a_number_with_a_quote_is_compared_here(context: Context, serve: Any) -> None:
    """How the API quotes is not known: it is asked for the buyer's invoices and the number compared."""
    api = Api(serve, page(row("O'HARA-1"), row("O'HARA-2")))
    (result,) = found(context, api, key(shown_number="O'HARA-1"))
    assert ("O'HARA-1", False) == (result.number, "documentNumber" in api.filters[0])


def test_find_without_the_buyers_id_asks_a_person(context: Context, serve: Any) -> None:
    """The buyer is proven by the filter; without it, anything found might be another's."""
    with pytest.raises(NeedsHuman, match="network id is not known"):
        found(context, Api(serve, page()), key(portal_customer=None))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http("<html>", "503 Service Unavailable"), Transient),
        (http("", "429 Too Many Requests", Retry_After="9"), Transient),
        (http("", "403 Forbidden"), AuthFailed),
        (http("{}", "400 Bad Request"), PortalChanged),
        (http("{}", "404 Not Found"), PortalChanged),
        (http(""), Transient),
        (http("<html>"), Transient),
        (http('{"content": [], "lastPage": tr'), Transient),
        (http("[" * 100_000), Transient),
        (http("[]"), PortalChanged),
        (http("{}"), PortalChanged),
        (http('{"content": {}, "lastPage": true}'), PortalChanged),
        (http('{"content": [], "lastPage": "true"}'), PortalChanged),
        (http('{"content": [], "lastPage": false}'), PortalChanged),
        (http('{"content": [{"status": "Sent"}], "lastPage": true}'), PortalChanged),
        (http('{"content": [{"documentNumber": ["7"], "status": "Sent"}], "lastPage": true}'), PortalChanged),
        (http('{"content": [{"documentNumber": "KB-26-0101"}], "lastPage": true}'), PortalChanged),
        (http('{"content": ["KB-26-0101"], "lastPage": true}'), PortalChanged),
    ],
)
def test_could_not_ask_is_never_absent(context: Context, serve: Any, answer: bytes, kind: type[PortalError]) -> None:
    """Whatever is no list as we know it raises."""
    with pytest.raises(kind):
        found(context, Api(serve, answer), key())


def test_the_fields_of_the_answer_are_settings(context: Context, serve: Any) -> None:
    """The field list is not official; other names need no new version."""
    fields = {"items": "data.rows", "last_page": "end", "number": "id", "status": "state.word", "amount": "sum"}
    api = Api(serve, {"data": {"rows": [{"id": "KB-26-0101", "state": {"word": "Paid"}, "sum": "1.00"}]}, "end": True})
    (result,) = found(context, api, key(), fields=fields)
    assert Money(Decimal("1.00"), "USD") == result.total


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_fetched_once_and_forgotten_when_refused(context: Context, serve: Any) -> None:
    """Two questions, one token; HTTP 401 drops it, and the next question fetches another."""
    api = Api(serve, page(), page(), http("{}", "401 Unauthorized"), page())
    with connector(context, api.url, rest=rest(api.url)) as ariba:
        ariba.find(key())
        ariba.find(key())
        assert 1 == api.tokens
        with pytest.raises(Transient) as raised:
            ariba.find(key())
        assert Delivered.NO is raised.value.delivered
        ariba.find(key())
        assert 2 == api.tokens


def test_a_token_about_to_end_is_not_used_again(context: Context, serve: Any) -> None:
    """It might end on its way."""
    api = Api(serve, page(), token=http(json.dumps({"access_token": TOKEN, "expires_in": "59"})))
    with connector(context, api.url, rest=rest(api.url)) as ariba:
        ariba.find(key())
        ariba.find(key())
    assert 2 == api.tokens


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (http('{"error": "invalid_client"}', "401 Unauthorized"), AuthFailed),
        (http('{"error": "invalid_client"}', "400 Bad Request"), AuthFailed),
        (http("<html>", "502 Bad Gateway"), Transient),
        (http(""), Transient),
        (http("{}"), PortalChanged),
        (http('{"access_token": "a\\r\\nX: y"}'), PortalChanged),
        (b"", Transient),
    ],
)
def test_no_token_means_that_nothing_was_sent(
    context: Context, serve: Any, answer: bytes, kind: type[PortalError]
) -> None:
    """Even where it is not known what became of the request for a token."""
    silent = Api(serve, page(), token=answer) if answer else None
    portal = silent or serve(lambda p, line: p.hear(line))
    with connector(context, portal.url, rest=rest(portal.url)) as ariba, pytest.raises(kind) as raised:
        ariba.find(key())
    assert (Delivered.NO, b"") == (raised.value.delivered, raised.value.reply)


# --- statuses --------------------------------------------------------------------------------------------------------


def refs(*numbers: str, **changes: Any) -> list[OpenRef]:
    return [OpenRef(key(number=number, shown_number=number, **changes), None) for number in numbers or ("KB-26-0101",)]


def test_statuses_come_as_events_and_only_once(context: Context, serve: Any) -> None:
    """The second poll begins before the first one's end and tells nothing anew; a change it tells."""
    api = Api(serve, page(row(status="Acknowledged")), page(row(status="Acknowledged")), page(row(status="Rejected")))
    with connector(context, api.url, rest=rest(api.url)) as ariba:
        (first,) = ariba.statuses(None, refs())
        (second,) = ariba.statuses(first.next_cursor, refs())
        (third,) = ariba.statuses(second.next_cursor, refs())
    (accepted,) = first.events
    (rejected,) = third.events
    assert ((Intake.ACCEPTED, "Acknowledged"), (), (Stage.REJECTED, "Rejected")) == (
        (accepted.word, accepted.raw),
        second.events,
        (rejected.word, rejected.raw),
    )
    assert (None, "KB-26-0101", BUYER) == (accepted.refs.payload_id, accepted.refs.number, accepted.refs.customer)
    assert "rejected; reason not given by this channel; see the portal" == rejected.reasons[0].text
    asked = api.filters[1]
    began = dt.datetime.fromisoformat(asked["documentStatusUpdatedStartDate"].strip("'"))
    assert began < dt.datetime.fromisoformat(api.filters[0]["documentStatusUpdatedEndDate"].strip("'"))
    assert f"'{BUYER}'" == asked["buyerANID"]


def test_an_error_between_two_customers_keeps_what_was_read(context: Context, serve: Any) -> None:
    """The first page was yielded with its cursor; the next poll goes on from there."""
    other = "AN01000000888-T"
    api = Api(serve, page(row(status="Approved")), http("", "500 Oops"), page(row(status="Approved")), page())
    with connector(context, api.url, rest=rest(api.url)) as ariba:
        both = [*refs(), *refs("KB-2", portal_customer=other)]
        pages = ariba.statuses(None, both)
        first = next(pages)
        with pytest.raises(Transient):
            next(pages)
        again = list(ariba.statuses(first.next_cursor, both))
    assert ([Stage.APPROVED], [(), ()]) == ([event.word for event in first.events], [each.events for each in again])


def test_check_with_rest_reads_a_page(context: Context, serve: Any) -> None:
    """The REST client is proven as well."""
    api = Api(serve, page())
    portal = serve(recorded("taken.xml"))
    with connector(context, portal.url, rest=rest(api.url)) as ariba:
        assert any("REST client" in each for each in ariba.check().proved)


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OUTCOMES)
def test_no_failing_submit_tells_the_secret(context: Context, serve: Any, name: str) -> None:
    """Neither message, nor representation, nor what hangs on the exception."""
    assert_silent(failure(context, serve(OUTCOMES[name][0])))


@pytest.mark.parametrize("answer", [http("<html>", "500 Oops"), http("", "403 Forbidden"), http("{}"), b"HTTP/1.1 2"])
@pytest.mark.parametrize("of_token", [True, False])
def test_no_failing_question_tells_a_secret(context: Context, serve: Any, answer: bytes, of_token: bool) -> None:  # noqa: FBT001
    """Client secret, application key and token stay where they belong."""
    api = Api(serve, page() if of_token else answer, token=answer if of_token else None)
    with pytest.raises(PortalError) as raised:
        found(context, api, key())
    assert_silent(raised.value)


def assert_silent(error: BaseException) -> None:
    told, seen = "", error
    while seen is not None:
        told += f"{seen!s} {seen!r} {seen.args!r} {seen.__dict__!r}"
        seen = seen.__cause__  # type: ignore[assignment]
    login = base64.b64encode(f"{CLIENT}:{CLIENT_WORD}".encode()).decode()
    for secret in (SESAME, "sesame", CLIENT_WORD, API_KEY, TOKEN, login):
        assert secret not in told


def test_repeats_are_refused_unless_the_settings_doubt_it() -> None:
    """The network's INVOICE_DUPLICATE check is documented, not proven."""
    assert Repeat.REFUSES is step().repeat
