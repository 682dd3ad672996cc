"""The conformance suite for the wrong connectors, and for the honest one beside them; not collected by itself.

Run it to see them fail: python -m pytest tests/wrong_connectors/suite.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "connectors" / "ariba"))

from ariba_stand import AribaStand
from conformance import Conformance
from wrong import NoneOnError, OptimisticStatus, RetryOnError


class _Retrying(AribaStand):
    connector = RetryOnError


class _Optimistic(AribaStand):
    connector = OptimisticStatus


class _Silent(AribaStand):
    connector = NoneOnError


class TestHonest(Conformance):
    """What the others pretend to be."""

    Stand = AribaStand


class TestRetryOnError(Conformance):
    """It may send twice."""

    Stand = _Retrying


class TestOptimisticStatus(Conformance):
    """It shows what is not known."""

    Stand = _Optimistic


class TestNoneOnError(Conformance):
    """It loses what it could not ask about."""

    Stand = _Silent
