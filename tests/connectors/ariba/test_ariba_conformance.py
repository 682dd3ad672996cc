"""The connector against everything that a connector must do, on the simulated network."""

from __future__ import annotations

from ariba_stand import AribaStand
from conformance import Conformance
from conformance.access import Access
from conformance.once import Once
from faults import FAULTS


class TestAriba(Conformance):
    """With REST: it can be asked, and it tells statuses."""

    Stand = AribaStand


# What is the same with REST and without it is tried with it: here only one of each kind of what can be lost.
_ONE_OF_EACH = (
    "refuse",
    "drop_before_commit",
    "html_page",
    "401",
    "cut_request",
    "drop_after_commit",
    "500_after_commit",
    "cut_body_after_commit",
    "late_commit",
    "tls_broken",
)


class _Blind(AribaStand):
    """An account that can only send."""

    with_rest = False
    faults = tuple(FAULTS[name] for name in _ONE_OF_EACH)


class TestAribaWithoutRest(Access, Once):
    """Whom nothing can be asked of: what is lost on the way ends with a person, and nothing goes twice."""

    Stand = _Blind
