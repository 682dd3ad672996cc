"""The shape of hub.yaml: which keys there are, what each may hold, and what holds where nothing is written."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import zoneinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from hub.contract.connector import Duration
from hub.identifiers import identity
from hub.schedule import cron_of, days_of, spans_of
from hub.yamlsource import did_you_mean, shown

FILE = "hub.yaml"
CUSTOMERS_FILE = "customers.csv"
_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _key(value: str) -> str:
    if not _KEY.fullmatch(value):
        raise ValueError(f"{shown(value)} cannot be a key; use small letters, digits, - and _, as in north-plant_2")
    return value


def _positive(value: dt.timedelta) -> dt.timedelta:
    if value <= dt.timedelta():
        raise ValueError("must be longer than nothing, as in 5m")
    return value


def _not_negative(value: dt.timedelta) -> dt.timedelta:
    if value < dt.timedelta():
        raise ValueError("must not be negative, as in 30s")
    return value


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(str(value), zoneinfo.available_timezones())
        raise ValueError(f"{shown(str(value))} is no IANA time zone, as in Europe/Berlin{near}") from None


def _loopback(value: str) -> str:
    try:
        local = value == "localhost" or ipaddress.ip_address(value).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ValueError("this version serves its pages to this machine only; write 127.0.0.1, ::1 or localhost")
    return value


def _identifier(value: str) -> str:
    if not identity(None, value).value:
        raise ValueError("is no identifier; write its letters and digits, or delete the key")
    return value


def _days(value: str) -> str:
    days_of(value)
    return value


def _spans(value: str) -> str:
    spans_of(value)
    return value


def _date(value: object) -> object:
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{shown(str(value))} is no date; write it as in 2026-12-25") from None


_TEXT_OR_NUMBER = {"type": ["string", "number"]}
Key = Annotated[str, AfterValidator(_key)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Id = Annotated[Text, WithJsonSchema(_TEXT_OR_NUMBER)]
_DURATION = {"type": "string", "pattern": r"^\d+(\.\d+)?[smhd]$"}
Every = Annotated[Duration, AfterValidator(_positive), WithJsonSchema(_DURATION)]
Jitter = Annotated[Duration, AfterValidator(_not_negative), WithJsonSchema(_DURATION)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})]
Hours = dict[
    Annotated[Text, AfterValidator(_days)],
    Annotated[Text, AfterValidator(_spans), WithJsonSchema({"type": "string", "examples": ["08:00-18:00"]})],
]
"""As in `mon-fri: 08:00-12:00, 13:00-18:00`."""
Cron = Annotated[Text, AfterValidator(cron_of), WithJsonSchema({"type": "string", "examples": ["0 8,14 * * mon-fri"]})]
Date = Annotated[dt.date, BeforeValidator(_date)]
Identifiers = dict[Text, Annotated[Id, AfterValidator(_identifier)]]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_absent(cls, data: Any) -> Any:
        """`owner:` with nothing behind it says nothing."""
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


class Entity(_Part):
    """One of our selling companies. Identifiers by scheme: vat, tax, legal, duns, gln … (`hub.identifiers`)."""

    name: Text
    identifiers: Identifiers = {}


class Customer(_Part):
    """A buyer as accounts receivable knows it."""

    name: Text
    identifiers: Identifiers = {}
    corrections_after_rejection: bool = True  # other content under the same number, once the buyer has rejected
    owner: Text | None = None  # who of us looks after this customer


class Limits(_Part):
    """How many requests a connection may make, all verbs together; every window holds."""

    per_second: PositiveInt | None = None
    per_minute: PositiveInt | None = None
    per_hour: PositiveInt | None = None
    per_day: PositiveInt | None = None


class Web(_Part):
    """Where the pages are served."""

    host: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8321


class ConnectionEntry(_Part):
    """A connection as it is written; `settings` are judged by its connector."""

    connector: Text
    settings: dict[str, Any] = {}
    limits: Limits = Limits()
    poll_every: Every = Field("5m", validate_default=True)  # while something is young or about to change
    submit_every: Every = Field("5s", validate_default=True)
    poll_at: Cron | None = None  # instead: only at these times
    submit_at: Cron | None = None  # what is ready waits until the next of these times
    jitter: Jitter = Field("0s", validate_default=True)  # polls and the times above come up to so much later
    polls_per_hour: PositiveInt | None = None  # at most so many requests an hour are for statuses
    time_zone: Zone | None = None  # of all times here
    business_hours: Hours = {}  # invoices are sent only then
    holidays: list[Date] = []  # and not on these days
    holidays_file: Text | None = None
    portal_hours: Hours = {}  # outside of them the portal is asked nothing at all
    max_parallel: PositiveInt | None = None
    paused: bool = False


class AccountEntry(_Part):
    """An account as it is written."""

    entity: Text
    customer: Text
    connection: Text
    portal_customer: Id | None = None
    time_zone: Zone | None = None
    identifiers: dict[Text, Id] = {}
    paused: bool = False
    send_within: Every | None = None  # after its date an invoice may be sent so long
    cut_off: Annotated[int, Field(ge=1, le=31)] | None = None  # and until the next such day of a month


class FolderEntry(_Part):
    """A watched folder as it is written."""

    folder: Text
    every: Every = Field("10s", validate_default=True)


class HubFile(_Part):
    """The whole of hub.yaml."""

    database: Text = "hub.db"  # a file for SQLite, a PostgreSQL URL, or env:NAME or file:PATH of one of them
    store: Text = "store"
    rules: Text = "rules"
    mappings: Text = "mappings"
    time_zone: Zone = Field("UTC", validate_default=True)
    web: Web = Web()
    entities: dict[Key, Entity] = {}
    customers: dict[Key, Customer] = {}
    customers_file: Text = CUSTOMERS_FILE
    connections: dict[Key, ConnectionEntry] = {}
    accounts: dict[Key, AccountEntry] = {}
    sources: dict[Key, FolderEntry] = Field({"inbox": {"folder": "inbox"}}, validate_default=True)


class ListFile(_Part):
    """What a customer list may say of it."""

    customers: dict[Key, Customer]
    accounts: dict[Key, AccountEntry]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of hub.yaml, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **HubFile.model_json_schema(), "title": FILE}
