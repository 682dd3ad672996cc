"""What a connector's test gives: a portal to try it against, and the words to speak of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Self

from faults import Fault

from hub.contract.connector import Connector
from hub.contract.invoice import Invoice


@dataclass(frozen=True)
class Held:
    """One document as the portal keeps it, whatever the connector says of it."""

    number: str
    total: Decimal  # with tax, without a sign
    live: bool  # a buyer would see it: neither refused nor cancelled
    text: str  # everything in it that a person could read
    body: bytes  # as it came
    attachments: tuple[str, ...] = ()  # SHA-256 of each


class Stand(ABC):
    """One portal with an account of ours at it. Subclasses give the first part, and of the second what they can.

    What is left out of the second part is skipped, with its reason; what the connector's capabilities do not declare is
    skipped too, but for the proof that it raises Undeclared.
    """

    connector: ClassVar[type[Connector]]
    name: ClassVar[str]  # of the connector in hub.yaml; its rules and mappings are found by it
    secrets: ClassVar[tuple[str, ...]] = ()  # canaries: every secret in `settings` and `wrong`

    @classmethod
    @abstractmethod
    def open(cls) -> AbstractContextManager[Self]:
        """The portal, for the tests of one class."""

    @abstractmethod
    def settings(self, *, timeout: float = 20) -> dict[str, Any]:
        """Settings of a connection that works, as hub.yaml writes them but with the secrets in clear.

        No call may take longer than `timeout` seconds; a portal that settles late needs its settles_within.
        """

    @abstractmethod
    def hub_yaml(self) -> dict[str, Any]:
        """The other parts of hub.yaml: entities, customers and accounts; each account's connection is `portal`."""

    @abstractmethod
    def account(self, *, unique: bool) -> str:
        """The account, and thereby the customer, at which numbers must be unique, or where every number is taken."""

    @classmethod
    @abstractmethod
    def invoice(cls, *, unique: bool) -> dict[str, Any]:
        """An invoice to that customer in the canonical form: parties, currency, one line, one tax with its rate.

        The tests give number, date, amounts and totals.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget every document, word and fault."""

    @abstractmethod
    def held(self, number: str) -> list[Held]:
        """Every document that the portal keeps under this number, oldest first."""

    # What follows is needed as far as the portal can do it.

    faults: ClassVar[tuple[Fault, ...]] = ()  # what can befall it; `befall` arms each of them
    unique: ClassVar[tuple[bool, ...]] = (True, False)  # which kinds of account there are
    words: ClassVar[Mapping[str, str]] = {}  # our word, of Intake or Stage → the portal's; every declared stage
    strange_word: ClassVar[str] = "Betwixt"  # a status word that the connector does not know

    def befall(self, fault: Fault, *, verb: str = "submit", number: str | None = None, times: int | None = 1) -> None:
        """Arm a fault for the next requests of this verb."""
        raise NotImplementedError

    def calm(self) -> None:  # noqa: B027 - where nothing befalls there is nothing to disarm
        """Disarm every fault."""

    def befallen(self, fault: Fault) -> dict[str, Any]:
        """Settings under which `fault` befalls, where it is one of the settings (faults.py: by `settings`)."""
        raise NotImplementedError(fault.name)

    def submits(self) -> int | None:
        """How many state-changing requests have arrived since the reset; None where nobody counts."""
        return None

    def wrong(self) -> dict[str, Any] | None:
        """Settings with a credential that the portal does not know."""
        return None

    def expire(self) -> bool:
        """Let every session and token that was given out be no longer good; False where there are none."""
        return False

    def say(self, number: str, word: str, reason: str = "") -> None:
        """Let the portal give its living document of this number this status word."""
        raise NotImplementedError

    def refusable(self, invoice: Invoice) -> tuple[Invoice, str] | None:  # noqa: ARG002 - this one refuses none
        """This invoice changed so that the portal refuses it at once, and a piece of the portal's words for it."""
        return None

    @classmethod
    def is_sandbox(cls, settings: Any) -> bool:  # noqa: ARG003 - unless it is known
        """Whether these settings lead to a portal that keeps nothing that counts: there `--live` may submit."""
        return False
