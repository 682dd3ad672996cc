"""What the end of an attempt means. Pure: decided by the error's own facts, never by its class alone."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from hub.contract.errors import (
    AuthFailed,
    Duplicate,
    NeedsHuman,
    PortalChanged,
    PortalError,
    Reason,
    Rejected,
    Scope,
    Transient,
)
from hub.contract.status import Delivered
from hub.delivery.lifecycle import Happening

MAX_TRIES = 15  # that did not arrive, in a row: over six hours, as cXML's own advice has it (portals/ariba.md 3.2)
_FIRST_PAUSE = dt.timedelta(seconds=5)
_LONGEST_PAUSE = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Verdict:
    """What an attempt's end means for its submission."""

    happening: Happening
    due_in: dt.timedelta | None = None
    reason: Reason | None = None
    duplicate: bool = False


def stops(error: Exception) -> Scope | None:
    """What stands still after `error` beyond its own invoice: an account, a connection, or nothing."""
    if isinstance(error, AuthFailed):
        return error.scope
    if isinstance(error, PortalChanged):
        return Scope.CONNECTION
    if isinstance(error, NeedsHuman) and error.scope is not Scope.INVOICE:
        return error.scope
    return None


def backoff(tries: int, retry_after: dt.timedelta | None = None, *, spread: float = 0.5) -> dt.timedelta:
    """How long to wait after `tries` attempts in a row that did not arrive; never less than the portal asked for.

    `spread` from 0 to 1 shifts it by up to a fifth, so that what failed together does not come back together.
    """
    doubled: dt.timedelta = min(_FIRST_PAUSE * 2.0 ** min(max(tries - 1, 0), 20), _LONGEST_PAUSE)
    return max(doubled * (0.8 + 0.4 * spread), retry_after or dt.timedelta(0))


def after_error(
    error: Exception,
    *,
    tries: int,
    earlier_may_have_arrived: bool,
    settles_within: dt.timedelta,
    held: bool = False,
    spread: float = 0.5,
) -> Verdict:
    """What `error` means. An exception that is no PortalError is a defect of the connector: it may have arrived.

    `held`: the portal fails for all, so that this one is not to blame for its tries.
    """
    delivered = error.delivered if isinstance(error, PortalError) else Delivered.UNKNOWN
    reason = Reason(str(error) or type(error).__name__)
    if isinstance(error, Duplicate):
        return Verdict(Happening.DOUBTED, settles_within, error.reasons[0] if error.reasons else reason, duplicate=True)
    if delivered is not Delivered.NO:
        return Verdict(Happening.DOUBTED, settles_within, reason)
    if isinstance(error, Rejected):
        because = error.reasons[0] if error.reasons else reason
        if earlier_may_have_arrived:  # the refusal may speak of a second one beside the first
            return Verdict(Happening.DOUBTED, settles_within, because)
        return Verdict(Happening.REFUSED, reason=because)
    return not_sent(error, tries=tries, held=held, spread=spread)


def not_sent(error: Exception, *, tries: int, held: bool, spread: float) -> Verdict:
    """What follows where nothing left, or it certainly did not arrive: it goes again, or a person is asked."""
    reason = Reason(str(error) or type(error).__name__)
    if isinstance(error, NeedsHuman) and error.scope is Scope.INVOICE:
        return Verdict(Happening.STUCK, reason=reason)
    if stops(error):
        return Verdict(Happening.RETURNED, dt.timedelta(0), reason)
    retry_after = error.retry_after if isinstance(error, Transient) else None
    if tries >= MAX_TRIES and not held and retry_after is None:
        return Verdict(Happening.STUCK, reason=reason)
    return Verdict(Happening.RETURNED, backoff(tries, retry_after, spread=spread), reason)
