"""The task sheet against everything that a connector must do; what it does not declare is proved to raise."""

from __future__ import annotations

from conformance import Conformance
from manual_stand import ManualStand


class TestManual(Conformance):
    """Only people go to this portal."""

    Stand = ManualStand
