"""The connector against everything that a connector must do, on the simulated network."""

from __future__ import annotations

from ariba_stand import AribaStand
from conformance import Conformance
from conformance.access import Access
from conformance.once import Once


class TestAriba(Conformance):
    """With REST: it can be asked, and it tells statuses."""

    Stand = AribaStand


class _Blind(AribaStand):
    """An account that can only send."""

    with_rest = False


class TestAribaWithoutRest(Access, Once):
    """Whom nothing can be asked of: what is lost on the way ends with a person, and nothing goes twice."""

    Stand = _Blind
