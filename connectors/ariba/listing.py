"""The network's list of our invoices: SAP Business Network's Invoice Header Data Extraction API.

Only number and status of a row are known for certain (portals/ariba.md, 9); every field's place is a setting. Times are
sent as UTC, without a zone as in SAP's own sample (KB0407597).
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from urllib.parse import quote, urlencode

from connectors.ariba.settings import Rest
from connectors.http import Http
from connectors.rest import amount, at, bearer, read_json
from hub.contract.connector import Tokens
from hub.contract.errors import PortalChanged
from hub.contract.status import Delivered

_SHORTEST = dt.timedelta(seconds=2)  # a window that is not split further


@dataclass(frozen=True)
class Row:
    """One invoice in the list."""

    number: str
    status: str
    amount: Decimal | None
    currency: str | None
    raw: bytes


@dataclass(frozen=True)
class Listing:
    """Reading the list for one of our accounts."""

    http: Http
    tokens: Tokens
    rest: Rest
    identity: str

    def invoices(self, verb: str, buyer: str, start: dt.datetime, end: dt.datetime, number: str | None) -> list[Row]:
        """What the network took in for a buyer from `start` to `end`, under this number."""
        asked = {"buyerANID": buyer}
        if number is not None and "'" not in number:  # how the API quotes a quote is not known; the caller compares
            asked["documentNumber"] = number
        return [
            row
            for first, last in windows(start, end, dt.timedelta(days=self.rest.window_days))
            for row in self._pages(verb, asked, "startDate", "endDate", first, last)
        ]

    def changed(self, buyer: str, start: dt.datetime, end: dt.datetime) -> Iterator[tuple[dt.datetime, list[Row]]]:
        """What changed its status from `start` to `end`, in windows that end ever later, each with its end.

        A window of more than one page is halved instead of paged through: an invoice that changes while pages are read
        leaves the window and moves another one past the place where the next page begins.
        """
        asked = {"buyerANID": buyer}
        names = ("documentStatusUpdatedStartDate", "documentStatusUpdatedEndDate")
        ahead = list(reversed(list(windows(start, end, dt.timedelta(days=self.rest.window_days)))))
        while ahead:
            first, last = ahead.pop()
            rows, whole = self._page("statuses", asked, *names, first, last, 0)
            if not whole and last - first > _SHORTEST:
                middle = (first + (last - first) / 2).replace(microsecond=0)
                ahead += [(middle, last), (first, middle)]
                continue
            yield last, rows if whole else list(self._pages("statuses", asked, *names, first, last))

    def probe(self, now: dt.datetime) -> None:
        """Read a page of the last day's invoices, to see whether that is allowed."""
        self._page("check", {}, "startDate", "endDate", now - dt.timedelta(days=1), now, 0)

    def _pages(
        self, verb: str, asked: dict[str, str], start: str, end: str, first: dt.datetime, last: dt.datetime
    ) -> Iterator[Row]:
        skip, whole = 0, False
        while not whole:
            rows, whole = self._page(verb, asked, start, end, first, last, skip)
            skip += len(rows)
            yield from rows

    def _page(
        self, verb: str, asked: dict[str, str], start: str, end: str, first: dt.datetime, last: dt.datetime, skip: int
    ) -> tuple[list[Row], bool]:
        """The rows from `skip` on, and whether they are the last."""
        terms = {**asked, start: _plain(first), end: _plain(last)}
        query = {
            "$filter": " and ".join(f"{name} eq '{value}'" for name, value in terms.items()),
            "$top": str(self.rest.page_size),
            "$skip": str(skip),
        }
        url = f"{self.rest.url}?{urlencode(query, quote_via=quote, safe='$')}"
        token = bearer(
            self.http,
            self.tokens,
            self.rest.token_url,
            self.rest.client_id,
            self.rest.client_secret.get_secret_value(),
        )
        headers = {
            "Authorization": f"Bearer {token}",
            "apiKey": self.rest.api_key.get_secret_value(),
            "X-ARIBA-NETWORK-ID": self.identity,
            "Accept": "application/json",
        }
        reply = self.http.send(verb, "GET", url, headers=headers)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            self.tokens.forget(self.rest.token_url)
        answer = read_json(reply, f"{verb} at {self.rest.url}")
        items = at(answer, self.rest.fields.items)
        last_page = at(answer, self.rest.fields.last_page)
        if not isinstance(items, list) or not isinstance(last_page, bool):
            what = f"no list {self.rest.fields.items} or no {self.rest.fields.last_page}"
            raise self._not_as_known(what, reply.body)
        if not items and not last_page:
            raise self._not_as_known("a page without rows that is not the last", reply.body)
        return [self._row(item) for item in items], last_page

    def _row(self, item: object) -> Row:
        fields = self.rest.fields
        raw = json.dumps(item, ensure_ascii=False).encode()
        number, status, currency = (at(item, path) for path in (fields.number, fields.status, fields.currency))
        if not isinstance(number, str) or not isinstance(status, str):
            raise self._not_as_known(f"a row without {fields.number} or {fields.status}", raw)
        return Row(
            number=number,
            status=status,
            amount=amount(at(item, fields.amount)),
            currency=currency if isinstance(currency, str) else None,
            raw=raw,
        )

    def _not_as_known(self, what: str, body: bytes) -> PortalChanged:
        return PortalChanged(
            f"{self.rest.url}: {what}; compare rest.fields with the answer", delivered=Delivered.NO, reply=body
        )


def windows(start: dt.datetime, end: dt.datetime, longest: dt.timedelta) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """`start` to `end` in whole seconds and in pieces no longer than `longest`; each begins where the last one ends."""
    start, end = start.replace(microsecond=0), end.replace(microsecond=0)
    while start + longest < end:
        yield start, start + longest
        start += longest
    yield start, end


def _plain(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
