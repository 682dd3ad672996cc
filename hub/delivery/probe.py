"""Proving a connection without changing anything at the portal."""

from __future__ import annotations

from hub.contract.connector import Checked
from hub.delivery import ledger
from hub.delivery.workspace import Workspace
from hub.store import tables as t


def check_connection(ws: Workspace, connection: str) -> Checked:
    """What this connection's login proves. Raises LookupError for an unknown one, PortalError if it fails."""
    return ws.portal(connection).for_reading().check()


def resume(ws: Workspace, connection: str, *, by: str) -> bool:
    """Let a paused connection and its accounts go on after a check; False if nothing was paused.

    What hub.yaml itself pauses stays paused.
    """
    config = ws.config
    at = ws.now()
    actor = f"person:{by}"
    with ws.db.writing() as tx:
        resumed = False
        if not config.connections[connection].paused:
            resumed = ledger.resume(tx, t.connection, connection, at=at, actor=actor, why="checked")
        for key, account in config.accounts.items():
            if account.connection == connection and not account.paused:
                resumed |= ledger.resume(tx, t.account, key, at=at, actor=actor, why="checked")
    return resumed
