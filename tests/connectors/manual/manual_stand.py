"""A portal that only people use, for the conformance suite: it is told nothing and keeps nothing by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from conformance import Held, Stand

from connectors.manual.connector import ManualConnector


class ManualStand(Stand):
    """Oakhurst's supplier site."""

    connector = ManualConnector
    name = "manual"
    unique = (True,)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        yield cls()

    def settings(self, *, timeout: float = 20) -> dict[str, Any]:  # noqa: ARG002 - people have time
        return {"portal": "Oakhurst supplier site", "url": "https://suppliers.oakhurst.example"}

    def hub_yaml(self) -> dict[str, Any]:
        return {
            "entities": {"kestrel": {"name": "Kestrel Bearings Ltd", "identifiers": {"tax": "84-5550007"}}},
            "customers": {"oakhurst": {"name": "Oakhurst Regional Hospital", "identifiers": {"legal": "36-5550177"}}},
            "accounts": {"oakhurst": {"entity": "kestrel", "customer": "oakhurst", "connection": "portal"}},
        }

    def account(self, *, unique: bool) -> str:  # noqa: ARG002 - there is one
        return "oakhurst"

    @classmethod
    def invoice(cls, *, unique: bool) -> dict[str, Any]:  # noqa: ARG003 - there is one customer
        return {
            "currency": "USD",
            "seller": {"name": "Kestrel Bearings Ltd", "tax_id": "84-5550007"},
            "buyer": {"name": "Oakhurst Regional Hospital", "legal_id": {"value": "36-5550177"}},
            "taxes": [{"category": "E", "rate": "0", "exemption_reason": "Hospital"}],
            "lines": [{"unit": "H87", "name": "Bearing"}],
        }

    def reset(self) -> None:
        """It keeps nothing."""

    def held(self, number: str) -> list[Held]:  # noqa: ARG002 - nobody has keyed anything in
        return []
