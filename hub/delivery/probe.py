"""Proving a connection without changing anything at the portal."""

from __future__ import annotations

from hub.contract.connector import Checked
from hub.delivery import ledger
from hub.delivery.workspace import Workspace
from hub.store import tables as t
from hub.yamlsource import did_you_mean


def check_connection(ws: Workspace, connection: str) -> Checked:
    """What this connection's login proves. Raises LookupError for an unknown one, PortalError if it fails."""
    known = ws.config.connections
    if connection not in known:
        raise LookupError(f"hub.yaml has no connection {connection!r}{did_you_mean(connection, known)}")
    portal = ws.portal(connection)
    with portal.slot():
        return portal.for_reading().check()


def resume(ws: Workspace, connection: str, *, by: str) -> tuple[str, ...]:
    """Let a connection and its accounts go on after a check; those that were paused, as `connection ariba`.

    What hub.yaml itself pauses stays paused.
    """
    config = ws.config
    parts = [(t.connection, connection, config.connections[connection].paused)]
    parts += [(t.account, key, each.paused) for key, each in config.accounts.items() if each.connection == connection]
    at, actor = ws.now(), f"person:{by}"
    with ws.db.writing("probe.resume") as tx:
        return tuple(
            f"{table.name} {key}"
            for table, key, by_file in parts
            if not by_file and ledger.resume(tx, table, key, at=at, actor=actor, why="checked")
        )
