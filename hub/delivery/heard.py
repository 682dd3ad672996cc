"""What a poll leaves behind: whom was asked about, who was heard, and what went wrong. Nothing is shown fresher."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub.contract.connector import OpenRef
from hub.contract.errors import Scope
from hub.delivery import asking, ledger
from hub.delivery.awaited import awaited
from hub.delivery.verdict import stops
from hub.delivery.workspace import Workspace
from hub.store import tables as t

Refs = Sequence[tuple[str | None, OpenRef]]  # each with its account


def order(ws: Workspace, connection: str, refs: Refs, customers: Collection[str] | None) -> list[str]:
    """The customers to ask about one by one, those first that were not asked about for longest; None is everybody.

    Those that were asked about together come in an order that is another each time: so it is not always the same ones
    that a failure keeps from being asked about.
    """
    mine = {ref.key.portal_customer for _, ref in refs if ref.key.portal_customer}
    last: dict[str, float] = {}
    for one in awaited(ws, connection):
        if one.customer in mine and (customers is None or one.customer in customers):
            asked = one.asked_at.timestamp() if one.asked_at else 0.0
            last[one.customer] = min(asked, last.get(one.customer, asked))
    return sorted(last, key=lambda one: (last[one], crc32(f"{last[one]} {one}".encode())))


@dataclass
class Round:
    """One poll of a connection: of the whole at once (customer None), or of one customer after the other."""

    ws: Workspace
    connection: str
    refs: Refs
    at: dt.datetime  # when it began: what was sent since is not among the refs, so nothing is known as of later
    failures: int = 0  # in a row
    stopped: bool = False  # by an error that stops the connection
    _heard: set[str] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        """Whether too much failed to go on."""
        return self.stopped or self.failures > 1

    def covered(self, customer: str | None) -> Refs:
        """What this call asks about."""
        return [(account, ref) for account, ref in self.refs if customer in (None, ref.key.portal_customer)]

    def _accounts(self, customer: str | None) -> set[str]:
        accounts = {account for account, _ in self.covered(customer) if account}
        return accounts | self._configured() if customer is None else accounts

    def _configured(self) -> set[str]:
        return {key for key, account in self.ws.config.accounts.items() if account.connection == self.connection}

    def worked(self, customer: str | None) -> None:
        """The call ended well: its accounts are as of when the poll began."""
        self.failures = 0
        heard = self._accounts(customer)
        if customer is not None:
            self._heard.add(customer)
            # An account whose customer has got another id meanwhile is heard once both were asked about.
            heard -= {account for account, ref in self.refs if account and ref.key.portal_customer not in self._heard}
        a, c = t.account.c, t.connection.c
        failing = sa.and_(a.polled_at.is_not(None), sa.or_(a.heard_at.is_(None), a.heard_at < a.polled_at))
        with self.ws.db.writing("collect.heard") as tx:
            self._asked(tx, customer)
            tx.execute(t.account.update().where(a.key.in_(heard)).values(heard_at=self.at))
            tx.execute(t.connection.update().where(c.key == self.connection).values(heard_at=self.at))
            if tx.execute(sa.select(a.key).where(a.key.in_(self._configured()), failing)).first() is None:
                tx.execute(t.connection.update().where(c.key == self.connection).values(poll_error=None))

    def failed(self, customer: str | None, error: Exception, rest: Sequence[str | None]) -> None:
        """The call failed: what it may have told before is stored, and still nobody was heard.

        Two in a row end the round: the rest wait like those who failed, for it may be the portal that is down.
        """
        self.failures += 1
        self.stopped = stops(error) is Scope.CONNECTION
        ws, at = self.ws, self.at
        told = ws.archive.scrub.text(str(error) or type(error).__name__)
        words = told if customer is None else f"customer {customer}: {told}"
        accounts = (
            sorted(self._accounts(customer)) if customer is not None and stops(error) is Scope.ACCOUNT else [None]
        )
        with ws.db.writing("collect.failed") as tx:
            for one in (customer, *(rest if self.is_over else ())):
                self._asked(tx, one)
            tx.execute(t.connection.update().where(t.connection.c.key == self.connection).values(poll_error=words))
            why = f"status poll failed: {words}"
            ledger.note(tx, f"connection:{self.connection}", at=at, actor=ledger.HUB, why=why)
            for account in accounts:
                asking.stop_for(tx, error, at=at, scrub=ws.archive.scrub, connection=self.connection, account=account)

    def _asked(self, tx: Connection, customer: str | None) -> None:
        for table, keys in ((t.connection, {self.connection}), (t.account, self._accounts(customer))):
            tx.execute(table.update().where(table.c.key.in_(sorted(keys))).values(polled_at=self.at))
