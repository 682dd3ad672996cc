"""The contract between the hub and a portal: what a connector is given, what it answers, what it promises.

A connector translates; the hub decides and remembers. A connector holds no state that matters between two calls: what
must survive is in the steps, receipts, references and cursors that it hands to the hub.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict

from hub.contract.errors import Reason
from hub.contract.invoice import Invoice, Kind, Money
from hub.contract.status import Concerns, Intake, Stage

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: object) -> object:
    """`15m`, `1s`, `1.5h`, `2d` as a timedelta; anything else is refused with the forms that are taken."""
    if isinstance(value, dt.timedelta):
        return value
    text = str(value).strip()
    try:
        return dt.timedelta(seconds=float(text[:-1]) * _UNITS[text[-1:]])
    except (KeyError, ValueError, OverflowError):
        raise ValueError(f"{text!r} is no duration; write a number and s, m, h or d, as in 15m") from None


Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]


class Lookup(StrEnum):
    """How a portal can be asked whether it has an invoice."""

    EXACT = "exact"  # by number: absence is a fact after settling
    LISTING = "listing"  # by reading through a list
    NONE = "none"  # not at all


class Answer(StrEnum):
    """When a portal says whether it takes an invoice in."""

    SYNC = "sync"  # in its reply to the submit
    ASYNC = "async"  # later, as an intake event


class Repeat(StrEnum):
    """What happens when a step's bytes reach the portal a second time."""

    SAFE = "safe"  # nothing new: it recognises the key
    REFUSES = "refuses"  # it refuses the second one
    UNSAFE = "unsafe"  # a second invoice, or we do not know


class FoundState(StrEnum):
    """In what state a portal holds a document."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    REFUSED = "refused"
    VOID = "void"


@dataclass(frozen=True)
class Capabilities:
    """What this account can do, computed from its settings. A verb that is not declared raises `Undeclared`."""

    documents: frozenset[Kind]
    lookup: Lookup
    settles_within: dt.timedelta  # so long after a submit may the portal's search still miss it
    intake: Answer
    acknowledged_within: dt.timedelta | None = None  # no intake word by then makes a task; None: never awaited
    attachments: bool = False
    statuses: bool = False
    statuses_by_customer: bool = False  # it is asked for each customer by itself; else one call tells of all
    stages: frozenset[Stage] = frozenset()
    max_parallel: int = 1
    people: bool = False  # every submit is a person's task (manual); nothing is automated


@dataclass(frozen=True)
class Refs:
    """How one document is known at a portal; every part may be missing."""

    payload_id: str | None = None  # the id that we gave the transmission
    portal_id: str | None = None  # the id that the portal gave the document
    number: str | None = None  # the invoice number as the portal shows it
    customer: str | None = None  # the portal's id of the customer


@dataclass(frozen=True)
class InvoiceKey:
    """What identifies one submission when a portal is asked for it."""

    entity: str
    customer: str
    kind: Kind
    number: str  # ours
    shown_number: str  # as the portal shows it
    issue_date: dt.date
    total: Money  # with tax, BT-112
    portal_customer: str | None = None
    payload_id: str | None = None
    portal_id: str | None = None
    first_attempt: dt.datetime | None = None  # UTC
    last_attempt: dt.datetime | None = None  # UTC


@dataclass(frozen=True)
class Found:
    """One document that a portal says it has. `total` is None where the portal does not tell it."""

    refs: Refs
    number: str
    customer: str | None
    total: Money | None
    state: FoundState
    raw: bytes
    reasons: tuple[Reason, ...] = ()  # of a refused one


@dataclass(frozen=True)
class MappedInvoice:
    """An invoice with what its mapping adds: identifiers, codes, extras. Amounts, dates and text stay the invoice's."""

    invoice: Invoice
    fields: Mapping[str, str]
    lines: tuple[Mapping[str, str], ...]  # one per invoice line, in its order
    related: Mapping[str, Refs] = field(default_factory=dict)  # preceding number → how the portal knows it


@dataclass(frozen=True)
class Stamp:
    """What one submission's documents carry that no mapping gives. Made once by the hub: a resend is the same."""

    payload_id: str  # unique: <UTC time>.<random>@<host>
    at: dt.datetime  # UTC
    boundary: str  # of a MIME multipart
    marker: str  # random; stands exactly once in the bytes where the secret goes, replaced right before the wire


@dataclass(frozen=True)
class Enclosure:
    """An attachment of a step: stored once under its hash, placed into the multipart body right before the wire."""

    content_id: str
    name: str
    media_type: str
    sha256: str


@dataclass(frozen=True)
class Step:
    """One exact thing to send. `bytes` are stored durably before `submit` is called, and resent as they are."""

    name: str
    bytes: bytes
    key: str  # what the portal may recognise a repeat by
    repeat: Repeat
    media_type: str
    enclosures: tuple[Enclosure, ...] = ()
    boundary: str | None = None  # of the multipart body, where there are enclosures
    leaves: FoundState = FoundState.SUBMITTED  # what find() shows once this step has worked; it settles doubt about it


@dataclass(frozen=True)
class Receipt:
    """The portal's yes to one step."""

    refs: Refs
    intake: Intake  # PENDING: more will be said; ACCEPTED: it is in
    reply: bytes
    words: str = ""  # the portal's own, for people


@dataclass(frozen=True)
class Prior:
    """What stands at the portal from the revision before this one."""

    refs: Refs
    state: FoundState
    receipts: Mapping[str, Receipt]


@dataclass(frozen=True)
class StatusEvent:
    """One thing a portal said of one document. `word` is ours (Intake or Stage), `raw` the portal's own."""

    event_id: str  # unique per connection; the same event always has the same id
    refs: Refs
    concerns: Concerns
    word: str
    raw: str
    observed_at: dt.datetime  # UTC
    happened_at: dt.datetime | None = None  # UTC, where the portal says it
    reasons: tuple[Reason, ...] = ()
    document: bytes = b""  # what it was read from, for the archive


@dataclass(frozen=True)
class Page:
    """Some events and where to go on from. The hub stores both in one transaction."""

    events: tuple[StatusEvent, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class OpenRef:
    """A submission whose status is awaited, and the portal's last word on it that we hold."""

    key: InvoiceKey
    last_raw: str | None


@dataclass(frozen=True)
class Checked:
    """What `check` proved, and what it could not."""

    proved: tuple[str, ...]
    not_proved: tuple[str, ...]


class Settings(BaseModel):
    """A connection's settings, from hub.yaml. Secrets are pydantic's SecretStr; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Gate(Protocol):
    """The connection's rate gate."""

    def wait(self, verb: str) -> None:
        """Return when one more request may go out; raises Transient (delivered: no) if that is past the deadline."""


class Evidence(Protocol):
    """Diagnostics of a call, scrubbed before anything is written; losing one never fails a call."""

    def keep(self, name: str, content: bytes) -> None:
        """Keep `content` under `name` for people to look at."""


class Attachments(Protocol):
    """The hub's store of attachments."""

    def read(self, sha256: str) -> bytes:
        """The bytes with this hash; raises FileNotFoundError if they are gone, ValueError if they are damaged."""


class Tokens:
    """Access tokens of one connection, shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}

    def get(self, name: str, fetch: Callable[[], tuple[str, float]]) -> str:
        """The token called `name`; `fetch` gives a new one and its life in seconds, and is called by one thread."""
        with self._lock:
            token, ends = self._held.get(name, ("", 0.0))
            if time.monotonic() >= ends:
                token, life = fetch()
                self._held[name] = (token, time.monotonic() + life)
            return token

    def forget(self, name: str) -> None:
        """Drop a token that the portal refused."""
        with self._lock:
            self._held.pop(name, None)


class Deadline:
    """When a call must be over, in total, however many reads it takes."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left; 0 or less when it has passed."""
        return self._ends - time.monotonic()


@dataclass
class Context:
    """What the hub lends a connector. `deadline` and `point_of_no_return` are set anew before each call."""

    gate: Gate
    evidence: Evidence
    attachments: Attachments
    tokens: Tokens
    cancel: threading.Event
    deadline: Deadline
    point_of_no_return: Callable[[], None]
    # Called right before the wire by `submit`, once. Raises Transient (delivered: no) if the right to send is gone.


class Connector(ABC):
    """One portal. Synchronous; one instance per thread and connection."""

    Settings: ClassVar[type[Settings]]
    version: ClassVar[str]

    def __init__(self, settings: Any, context: Context) -> None:
        self.settings = settings
        self.context = context

    # Subclasses must implement these two.

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What this connection can do, from its settings alone."""

    @abstractmethod
    def prepare(self, invoice: MappedInvoice, stamp: Stamp, prior: Prior | None) -> tuple[Step, ...]:
        """The exact steps that bring this invoice to the portal, in order.

        Pure: the same arguments give the same bytes, in every process, zone and locale. Raises Unpreparable.
        """

    # Subclasses must implement these as far as their capabilities declare them.

    @abstractmethod
    def submit(self, step: Step, done: Mapping[str, Receipt]) -> Receipt:
        """Send one step: at most one state-changing request, no retry inside. Raises PortalError."""

    @abstractmethod
    def find(self, key: InvoiceKey) -> list[Found]:
        """What the portal has under this key; [] says that it has nothing. "Could not ask" raises PortalError."""

    @abstractmethod
    def statuses(self, cursor: str | None, open_refs: Sequence[OpenRef]) -> Iterator[Page]:
        """What the portal has said since `cursor`. Repeats and any order are allowed. Raises PortalError."""

    @abstractmethod
    def check(self) -> Checked:
        """Prove what can be proved without changing anything at the portal. Raises PortalError."""

    def close(self) -> None:  # noqa: B027 - most connectors hold nothing; closing twice is allowed
        """Give back what the connector holds open."""
