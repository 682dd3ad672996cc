from __future__ import annotations

import datetime as dt
from itertools import product

import pytest

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
from hub.delivery.verdict import after_error, backoff, stops

SETTLES = dt.timedelta(seconds=42)
NOT_NOW = (Reason("line 3 is wrong"),)

# name, the error with this `delivered`, what a certain non-delivery makes of it, what it stops
ERRORS = {
    "rejected": (lambda d: Rejected("no", reasons=NOT_NOW, delivered=d), Happening.REFUSED, None),
    "duplicate": (lambda d: Duplicate("no", reasons=NOT_NOW, delivered=d), Happening.DOUBTED, None),
    "transient": (lambda d: Transient("later", delivered=d), Happening.RETURNED, None),
    "auth connection": (lambda d: AuthFailed("who?", delivered=d), Happening.RETURNED, Scope.CONNECTION),
    "auth account": (
        lambda d: AuthFailed("who?", scope=Scope.ACCOUNT, delivered=d),
        Happening.RETURNED,
        Scope.ACCOUNT,
    ),
    "human invoice": (lambda d: NeedsHuman("captcha", action="solve it", delivered=d), Happening.STUCK, None),
    "human account": (
        lambda d: NeedsHuman("terms", action="sign", scope=Scope.ACCOUNT, delivered=d),
        Happening.RETURNED,
        Scope.ACCOUNT,
    ),
    "human connection": (
        lambda d: NeedsHuman("terms", action="sign", scope=Scope.CONNECTION, delivered=d),
        Happening.RETURNED,
        Scope.CONNECTION,
    ),
    "changed": (lambda d: PortalChanged("new page", delivered=d), Happening.RETURNED, Scope.CONNECTION),
    "other": (lambda d: PortalError("hm", delivered=d), Happening.RETURNED, None),
}


@pytest.mark.parametrize(("name", "delivered", "earlier"), list(product(ERRORS, Delivered, (False, True))))
def test_every_error_with_every_fact(name: str, delivered: Delivered, earlier: bool) -> None:  # noqa: FBT001 - a fact
    """Only a certain non-delivery goes on at once; a refusal beside an earlier attempt, and all else, is doubt."""
    make, if_not_delivered, stopped = ERRORS[name]
    error = make(delivered)
    verdict = after_error(error, tries=1, earlier_may_have_arrived=earlier, settles_within=SETTLES)
    doubtful = delivered is not Delivered.NO or name == "duplicate" or (name == "rejected" and earlier)
    assert verdict.happening is (Happening.DOUBTED if doubtful else if_not_delivered)
    assert verdict.duplicate is (name == "duplicate")
    assert stops(error) is stopped
    if doubtful:
        assert verdict.due_in == SETTLES
    elif verdict.happening is Happening.RETURNED:
        assert verdict.due_in == dt.timedelta(0) if stopped else verdict.due_in > dt.timedelta(seconds=3)
    else:
        assert verdict.due_in is None
    expected = "line 3 is wrong" if name == "rejected" and delivered is Delivered.NO else str(error)
    assert verdict.reason is not None
    assert verdict.reason.text in (expected, "line 3 is wrong")


@pytest.mark.parametrize("error", [ValueError("odd"), KeyError("x"), RuntimeError()])
def test_an_error_of_the_connector_itself_may_have_arrived(error: Exception) -> None:
    """An exception that says nothing of delivery is doubt, and is named even if it has no words."""
    verdict = after_error(error, tries=1, earlier_may_have_arrived=False, settles_within=SETTLES)
    assert (Happening.DOUBTED, SETTLES) == (verdict.happening, verdict.due_in)
    assert verdict.reason == Reason(str(error) or "RuntimeError")
    assert stops(error) is None


@pytest.mark.parametrize("tries", range(1, 40))
def test_retries_back_off_and_honour_what_the_portal_asks_for(tries: int) -> None:
    """From about 5 s doubling to about an hour, never sooner than the portal said."""
    expected = min(5.0 * 2 ** (tries - 1), 3600.0)
    assert expected * 0.79 <= backoff(tries).total_seconds() <= expected * 1.21
    asked = dt.timedelta(hours=3)
    assert asked == backoff(tries, asked)
    error = Transient("busy", delivered=Delivered.NO, retry_after=asked)
    verdict = after_error(error, tries=tries, earlier_may_have_arrived=False, settles_within=SETTLES)
    assert asked == verdict.due_in
