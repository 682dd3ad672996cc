"""The one door to the connectors. Nothing else in `hub` imports them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pkgutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import connectors
from hub.contract.connector import Attachments, Connector, Context, Deadline, Evidence, Tokens
from hub.delivery.gate import Gate
from hub.delivery.slots import Slots

CALL_SECONDS = 60.0  # the whole of one call to a portal, however many reads it takes


def known() -> tuple[str, ...]:
    """The names of all connectors: the packages in `connectors` that have a `connector` module."""
    found = pkgutil.iter_modules(connectors.__path__)
    return tuple(
        sorted(m.name for m in found if m.ispkg and importlib.util.find_spec(f"connectors.{m.name}.connector"))
    )


def connector_class(name: str) -> type[Connector]:
    """The connector called `name`; LookupError that names the known ones."""
    if name not in known():
        raise LookupError(f"there is no connector {name!r}; known are {', '.join(known())}")
    module = importlib.import_module(f"connectors.{name}.connector")
    connector: type[Connector] = module.Connector
    return connector


def settings_model(name: str) -> type[Any]:
    """The Settings of the connector called `name`; LookupError that names the known ones."""
    return connector_class(name).Settings


@dataclass
class _LentGate:
    """The connection's gate under one call's deadline."""

    gate: Gate
    context: Context | None = None

    def wait(self, verb: str) -> None:
        if self.context is not None:
            self.gate.wait(verb, left=self.context.deadline.left)


@dataclass
class Portal:
    """One connection: what its threads share, and a connector for each of them."""

    key: str
    connector: type[Connector]
    settings: Any
    gate: Gate
    slots: Slots
    cap: int | None  # fewer calls side by side than the connector allows
    evidence: Evidence
    attachments: Attachments
    cancel: threading.Event
    tokens: Tokens = field(default_factory=Tokens)
    _local: threading.local = field(default_factory=threading.local)
    _open: list[Connector] = field(default_factory=list)

    def for_call(self, point_of_no_return: Callable[[], None], *, seconds: float = CALL_SECONDS) -> Connector:
        """This thread's connector, with a fresh deadline."""
        mine: Connector | None = getattr(self._local, "connector", None)
        if mine is None:
            lent = _LentGate(self.gate)
            context = Context(
                gate=lent,
                evidence=self.evidence,
                attachments=self.attachments,
                tokens=self.tokens,
                cancel=self.cancel,
                deadline=Deadline(seconds),
                point_of_no_return=point_of_no_return,
            )
            lent.context = context
            mine = self.connector(self.settings, context)
            self._local.connector = mine
            self._open.append(mine)
        mine.context.deadline = Deadline(seconds)
        mine.context.point_of_no_return = point_of_no_return
        return mine

    def for_reading(self) -> Connector:
        """This thread's connector for calls that change nothing at the portal."""
        return self.for_call(_nothing_to_send)

    @property
    def max_parallel(self) -> int:
        """How many calls may be under way at this portal at once, over all processes."""
        allowed = self.for_reading().capabilities.max_parallel
        return min(allowed, self.cap or allowed)

    @contextlib.contextmanager
    def slot(self, *, seconds: float = CALL_SECONDS) -> Iterator[None]:
        """A place for one piece of work at this portal; within another such block of this thread it is the same one.

        Raises Transient (delivered: no) if no process gives one free in so many seconds, or a stop is called;
        StoreError where the places cannot be counted.
        """
        if getattr(self._local, "has_slot", False):
            yield
            return
        with self.slots.one(self.max_parallel, left=Deadline(seconds).left):
            self._local.has_slot = True
            try:
                yield
            finally:
                self._local.has_slot = False

    def close(self) -> None:
        """Close every thread's connector."""
        while self._open:
            self._open.pop().close()


def _nothing_to_send() -> None:
    raise AssertionError("a call that only reads came to the point of no return")
