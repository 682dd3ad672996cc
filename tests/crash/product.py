"""The whole product: every death on every road of a trouble, at every kind of portal."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from hub.store.database import Database
from tests.crash.day import day
from tests.crash.plan import every_kind, roads, whole

LANES = 12  # side by side in one workspace


@dataclass
class Tally:
    """What became of the invoices of lanes on which a process died, by point, before a person was asked."""

    became: dict[str, Counter[str]] = field(default_factory=dict)
    roads: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for point, states in other.became.items():
            self.became.setdefault(point, Counter()).update(states)
        self.roads += other.roads
        self.wrong += other.wrong


def one_trouble(trouble: str) -> Tally:
    """Every death on the roads of one trouble."""
    logging.disable(logging.CRITICAL)  # the troubles are meant
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HUB_STATE"] = str(Path(folder, "state"))
        ledger = Path(folder, "hub.db")
        db = Database(f"sqlite:///{ledger}")
        db.migrate()
        db.close()
        seen = roads(day(Path(folder, "seen"), every_kind(trouble), ledger=ledger))
        left = whole(seen)
        for n, cases in enumerate(iter(lambda: list(islice(left, LANES)), [])):
            try:
                played = day(Path(folder, str(n)), cases, ledger=ledger)
            except Exception as error:  # noqa: BLE001 - told at the end, and the others go on
                tally.wrong.append(f"{type(error).__name__}: {error}")
                continue
            tally.roads += len(cases)
            for key, point in played.trap.died:
                tally.became.setdefault(point, Counter())[played.became[key]] += 1
    return tally
