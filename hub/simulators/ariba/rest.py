"""The token endpoint and the invoices API (ariba.md 4.4 (a) and 9: what is known of them, and not a field more)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import functools
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from hub.simulators.ariba.config import Supplier
from hub.simulators.ariba.network import Document, Network
from hub.simulators.portal import Call
from hub.simulators.wire import Reply, Request

TOKEN_PATH = "/v2/oauth/token"  # noqa: S105 - an address
INVOICES_PATH = "/api/invoices/v1/prod/invoices"
MAX_PAGE = 100
MAX_WINDOW = dt.timedelta(days=31)
WINDOWS = {"minute": 60, "hour": 3600, "day": 86400}  # seconds
PERIODS = (
    {"start": "startDate", "end": "endDate"},
    {
        "start": "documentStatusUpdatedStartDate",
        "end": "documentStatusUpdatedEndDate",
    },
)
PLAIN = ("buyerANID", "documentNumber", "documentStatus")
FILTERS = frozenset({*PLAIN, *(name for period in PERIODS for name in period.values())})

_ONE = r"(\w+)\s+eq\s+(?:'((?:[^']|'')*)'|([^\s']+))"
_TERM = re.compile(_ONE)
_FILTER = re.compile(rf"\s*{_ONE}(?:\s+and\s+{_ONE})*\s*")


class Denied(Exception):
    """The API does not answer the question."""

    def __init__(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


@dataclass(frozen=True)
class Question:
    """What a query asks for: equal values, and periods whose both ends count, in whole seconds."""

    equals: Mapping[str, str]
    stored: tuple[dt.datetime, dt.datetime] | None
    updated: tuple[dt.datetime, dt.datetime] | None
    top: int
    skip: int


class Api:
    """The addresses under which suppliers ask for tokens and invoices."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def token(self, request: Request) -> Call:
        """A call for a token."""
        grant = functools.partial(self._grant, request)
        return Call("token", None, lambda: self._or_denied(grant), lambda: _denial(_unknown_client()))

    def invoices(self, request: Request) -> Call:
        """A call for invoices: find where a number is asked for, else statuses."""
        pairs = parse_qsl(request.query, keep_blank_values=True)
        terms = (term for name, value in pairs if name == "$filter" for term in _terms(value))
        number = next((value for name, value in terms if name == "documentNumber"), None)
        return Call(
            "statuses" if number is None else "find",
            number,
            lambda: self._or_denied(lambda: self._list(request, pairs, feed=number is None)),
            lambda: _denial(_unknown_token()),
        )

    def _grant(self, request: Request) -> Reply:
        if request.method != "POST" or request.media_type() != "application/x-www-form-urlencoded":
            raise Denied(400, "a token is asked for by POST with a form")
        supplier = self._client(request.header("Authorization") or "")
        grant = dict(parse_qsl(request.body.decode("latin-1"))).get("grant_type")
        if grant != "client_credentials":
            raise Denied(400, f"unsupported_grant_type: {grant!r} is not client_credentials")
        answer = {
            "access_token": self._network.token(supplier),
            "token_type": "bearer",
            "expires_in": self._network.config.token_seconds,
        }
        return _json(200, answer)

    def _client(self, authorization: str) -> Supplier:
        scheme, _, credentials = authorization.partition(" ")
        try:
            pair = base64.b64decode(credentials, validate=True) if scheme.lower() == "basic" else b""
        except binascii.Error:
            pair = b""
        for supplier in self._network.config.suppliers:
            if hmac.compare_digest(f"{supplier.client_id}:{supplier.client_secret}".encode(), pair):
                return supplier
        raise _unknown_client()

    def _list(self, request: Request, pairs: Sequence[tuple[str, str]], *, feed: bool) -> Reply:
        if request.method != "GET":
            raise Denied(405, "invoices are read by GET", (("Allow", "GET"),))
        supplier = self._caller(request)
        limits = self._counted(supplier)
        question = read_question(pairs)
        found = self._network.found(supplier.anid, question.equals.get("documentNumber"))
        now = self._network.now()
        matching = [document for document in found if _answers(document, question, now)]
        rows = [(document, document.at(now).status) for document in matching]
        if feed:
            rows += self._network.told_again(matching, now)
        shown = rows[question.skip : question.skip + question.top]
        last = question.skip + question.top >= len(rows)
        content = ", ".join(_shown(document, status) for document, status in shown)
        body = f'{{"content": [{content}], "lastPage": {json.dumps(last)}}}'
        return Reply(200, "application/json", body.encode(), limits, f"HTTP 200 {len(shown)} of {len(rows)}")

    def _caller(self, request: Request) -> Supplier:
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        supplier = self._network.bearer(token.strip()) if scheme.lower() == "bearer" else None
        if supplier is None:
            raise _unknown_token()
        if not hmac.compare_digest((request.header("apiKey") or "").encode(), supplier.api_key.encode()):
            raise Denied(401, "the apiKey is missing or not this application's")
        if request.header("X-ARIBA-NETWORK-ID") != supplier.anid:
            raise Denied(403, "X-ARIBA-NETWORK-ID is missing or not this account's")
        return supplier

    def _counted(self, supplier: Supplier) -> tuple[tuple[str, str], ...]:
        """Count one call; the headers that tell what is left. Raises Denied (429) beyond the limit."""
        seconds = self._network.now().timestamp()
        headers: list[tuple[str, str]] = []
        wait = 0
        with self._network.lock:
            for name, length in WINDOWS.items():
                limit = getattr(self._network.config.rate_limit, name)
                if limit is None:
                    continue
                window = supplier.anid, length, int(seconds // length)
                self._network.calls[window] += 1
                left = limit - self._network.calls[window]
                headers += [
                    (f"X-RateLimit-Limit-{name}", str(limit)),
                    (f"X-RateLimit-Remaining-{name}", f"{max(left, 0)}"),
                ]
                if left < 0:
                    wait = int(length - seconds % length) + 1
        if wait:
            raise Denied(429, "rate limit exceeded", (("Retry-After", str(wait)), *headers))
        return tuple(headers)

    def _or_denied(self, answer: Callable[[], Reply]) -> Reply:
        try:
            return answer()
        except Denied as denied:
            return _denial(denied)


def read_question(pairs: Sequence[tuple[str, str]]) -> Question:
    """What the query asks. Raises Denied (400) for what the API does not know, and for no or too long a window."""
    given: dict[str, str] = {}
    for _, value in (pair for pair in pairs if pair[0] == "$filter"):
        if not _FILTER.fullmatch(value):
            raise Denied(400, f"$filter {value!r} is not: name eq 'value' and name eq 'value'")
        for name, wanted in _terms(value):
            if name not in FILTERS or name in given:
                raise Denied(400, f"$filter {name} is unknown or given twice; there are {', '.join(sorted(FILTERS))}")
            given[name] = wanted
    if unknown := sorted({name for name, _ in pairs} - {"$filter", "$top", "$skip"}):
        raise Denied(400, f"parameter {unknown[0]} is not known")
    stored, updated = (_period(given, period["start"], period["end"]) for period in PERIODS)
    if not (stored or updated):
        raise Denied(400, "give startDate and endDate, or documentStatusUpdatedStartDate and ...EndDate")
    options = dict(pairs)
    top, skip = _whole(options, "$top", MAX_PAGE), _whole(options, "$skip", 0)
    if not 1 <= top <= MAX_PAGE:
        raise Denied(400, f"$top is {top}; 1 to {MAX_PAGE} are given at a time")
    return Question({name: given[name] for name in PLAIN if name in given}, stored, updated, top, skip)


def _terms(filter_: str) -> list[tuple[str, str]]:
    """The names of a filter with the values that they shall equal."""
    return [(m[1], m[3] if m[2] is None else m[2].replace("''", "'")) for m in _TERM.finditer(filter_)]


def _period(given: Mapping[str, str], start: str, end: str) -> tuple[dt.datetime, dt.datetime] | None:
    if start not in given and end not in given:
        return None
    if start not in given or end not in given:
        raise Denied(400, f"{start} and {end} go together")
    first, last = _time(given[start], start), _time(given[end], end)
    if not dt.timedelta() <= last - first <= MAX_WINDOW:
        raise Denied(400, f"{start} to {end} is {last - first}; the window may be {MAX_WINDOW.days} days at most")
    return first, last


def _time(text: str, name: str) -> dt.datetime:
    """A time; without a zone it is UTC."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Denied(400, f"{name} is {text!r}, not a time as 2026-09-01T08:00:00") from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def _whole(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name, str(default))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Denied(400, f"{name} is {text!r}, not a whole number")
    return int(text)


def _answers(document: Document, question: Question, now: dt.datetime) -> bool:
    change = document.at(now)
    held = {"buyerANID": document.buyer, "documentStatus": change.status}
    return (
        all(held.get(name, value) == value for name, value in question.equals.items())
        and _within(document.stored_at, question.stored)
        and _within(change.at, question.updated)
    )


def _within(time: dt.datetime, period: tuple[dt.datetime, dt.datetime] | None) -> bool:
    return period is None or period[0] <= time.replace(microsecond=0) <= period[1]


def _shown(document: Document, status: str) -> str:
    """The fields that have been seen in answers, and no other; amounts as JSON numbers with all their digits."""
    summary = document.invoice.summary
    amounts = {"invoiceAmount": summary.net, "subTotalAmount": summary.subtotal, "taxAmount": summary.amounts["tax"]}
    fields = [
        f'"documentNumber": {json.dumps(document.invoice.number)}',
        f'"status": {json.dumps(status)}',
        *(f'"{name}": {{"amount": {amount:f}}}' for name, amount in amounts.items()),
    ]
    return f"{{{', '.join(fields)}}}"


def _unknown_client() -> Denied:
    return Denied(401, "invalid_client: client authentication failed", (("WWW-Authenticate", "Basic"),))


def _unknown_token() -> Denied:
    return Denied(401, "the access token is unknown or has expired", (("WWW-Authenticate", "Bearer"),))


def _denial(denied: Denied) -> Reply:
    return _json(denied.status, {"error": str(denied)}, denied.headers)


def _json(status: int, content: object, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, "application/json", json.dumps(content).encode(), headers, f"HTTP {status}")
