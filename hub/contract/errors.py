"""What a connector raises. An error's kind says who acts; `delivered` says what may be sent again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from hub.contract.status import Delivered, ReasonCode


@dataclass(frozen=True)
class Reason:
    """Why a portal said no: our code, and the portal's own words and code untouched."""

    text: str
    code: ReasonCode = ReasonCode.OTHER
    portal_code: str | None = None


class Scope(StrEnum):
    """How much an error stops."""

    INVOICE = "invoice"
    ACCOUNT = "account"
    CONNECTION = "connection"


class PortalError(Exception):
    """Something went wrong at a portal. `reply` is the portal's answer as it came, for the archive."""

    def __init__(self, message: str, *, delivered: Delivered, reply: bytes = b"") -> None:
        super().__init__(message)
        self.delivered = delivered
        self.reply = reply


class Rejected(PortalError):
    """The portal refused this invoice and says why. It has it in no list: delivered is `no` unless said otherwise."""

    def __init__(
        self, message: str, *, reasons: tuple[Reason, ...], delivered: Delivered = Delivered.NO, reply: bytes = b""
    ) -> None:
        super().__init__(message, delivered=delivered, reply=reply)
        self.reasons = reasons


class Duplicate(Rejected):
    """The portal says that it has this number already: ours, perhaps, from an attempt whose answer was lost."""


class Transient(PortalError):
    """It may work later: a refused connection, maintenance, a limit, a reply that is no reply.

    `scope` says whose trouble it is: after a few in a row the connection, or the account, is left alone for a while.
    """

    def __init__(
        self,
        message: str,
        *,
        delivered: Delivered,
        scope: Scope = Scope.CONNECTION,
        retry_after: dt.timedelta | None = None,
        reply: bytes = b"",
    ) -> None:
        super().__init__(message, delivered=delivered, reply=reply)
        self.scope = scope
        self.retry_after = retry_after


class AuthFailed(PortalError):
    """The portal does not know us: the login (scope connection), or no relationship to the buyer (scope account)."""

    def __init__(
        self,
        message: str,
        *,
        scope: Scope = Scope.CONNECTION,
        delivered: Delivered = Delivered.NO,
        reply: bytes = b"",
    ) -> None:
        super().__init__(message, delivered=delivered, reply=reply)
        self.scope = scope


class NeedsHuman(PortalError):
    """Only a person can go on: a captcha, new terms, an invoice to be keyed. `action` says what to do, line by line."""

    def __init__(
        self,
        message: str,
        *,
        action: str,
        scope: Scope = Scope.INVOICE,
        url: str | None = None,
        expires_at: dt.datetime | None = None,
        delivered: Delivered = Delivered.NO,
        reply: bytes = b"",
    ) -> None:
        super().__init__(message, delivered=delivered, reply=reply)
        self.action = action
        self.scope = scope
        self.url = url
        self.expires_at = expires_at


class PortalChanged(PortalError):
    """The portal is not as the connector knows it; the connection stops until its author has looked."""


class Unpreparable(Exception):
    """This invoice cannot be put into the portal's form. `problems` are in a clerk's words; nothing was sent."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class Undeclared(Exception):
    """A verb was called that this account's settings do not provide; see its capabilities."""
