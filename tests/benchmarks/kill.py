"""`kill`: the real `hub run`, killed twenty times at random moments over a thousand invoices, 3 % of the replies lost.

Twice: where the simulated network takes a number again, and where it enforces unique numbers. Then every invoice must
be there once, the ledger must know it, and nobody may have been asked: double, lost, stuck and asked are 0, or it ends
with status 1. SEED=… repeats a run's moments and lost replies (not the threads' order).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

import sqlalchemy as sa

from hub.contract.status import Submission
from hub.simulators.client import Simulator
from hub.store import tables as t
from hub.store.database import Database
from tests.benchmarks.result import Result
from tests.workbench import NETWORK, Bench, Running, elbow, make_bench, network, service

INVOICES = 1_000
KILLS = 20
LOST_SHARE = 0.03
LOST = (
    "drop_after_commit",
    "reset_after_commit",
    "torn_headers_after_commit",
    "500_after_commit",
    "drop_before_commit",
)
STILL = 60.0  # seconds in which nothing moves: what has not arrived then is stuck
_ARRIVED = (Submission.SENT, Submission.ACCEPTED)
_ENDED = (*_ARRIVED, Submission.REFUSED, Submission.NEEDS_HUMAN)


@dataclass(frozen=True)
class Ended:
    """What became of the invoices."""

    kills: int
    double: int  # more than once at the network
    lost: int  # not at the network, whatever the ledger says
    stuck: int  # on its way still, or in the ledger otherwise than at the network
    asked: int  # tasks for people
    seconds: float


def run() -> Iterator[Result]:
    """Four figures that must be 0, for each of the two networks, and how long it took."""
    seed = int(os.environ.get("SEED") or secrets.randbelow(10**6))
    _tell(f"kill: seed {seed}; SEED={seed} make kill repeats it")
    bad = 0
    for name, unique in (("any_number", False), ("unique", True)):
        ended = _killed(random.Random(f"{seed}-{name}"), unique=unique)  # noqa: S311 - chooses moments, guards nothing
        _tell(f"kill_{name}: {ended}")
        bad += ended.double + ended.lost + ended.stuck + ended.asked + (KILLS - ended.kills)
        for figure in ("double", "lost", "stuck", "asked"):
            yield Result(f"kill_{name}_{figure}", getattr(ended, figure), f"of {INVOICES}")
        yield Result(f"kill_{name}_seconds", ended.seconds, f"{ended.kills} kills")
    if bad:
        raise SystemExit(1)


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _killed(chance: random.Random, *, unique: bool) -> Ended:
    begun = time.monotonic()
    numbers = [f"{kind}-{n:04}" for n in range(INVOICES // 2) for kind in ("EL", "SV")]
    with tempfile.TemporaryDirectory() as folder, Simulator.start(_network(unique=unique), settle=0.3) as sim:
        os.environ["HUB_STATE"] = str(Path(folder, "state"))  # this machine's own ledgers are none of its business
        bench = make_bench(Path(folder, "workspace"), sim)
        bench.change("    submit_every: 1s", "    submit_every: 0.2s")
        bench.change("inbox, every: 2s", "inbox, every: 0.2s")
        for number in chance.sample(numbers, len(numbers)):
            bench.put(f"{number}.xml", elbow(number) if number < "F" else service(number))
            os.utime(bench.inbox / f"{number}.xml", (1, 1))
        for number in chance.sample(numbers, int(INVOICES * LOST_SHARE)):
            sim.fault(chance.choice(LOST), verb="submit", number=number)

        kills = 0
        for least in sorted(chance.sample(range(1, INVOICES * 19 // 20), KILLS)):
            with Running("-w", bench.folder, "run") as hub:
                _wait(hub, lambda: len(sim.documents()), least)
                time.sleep(chance.uniform(0, 0.3))
                kills += hub.end(SIGKILL) == -SIGKILL
        with Running("-w", bench.folder, "run") as hub, _ledger(bench) as db:
            _wait(hub, lambda: sum(state in _ENDED for state in _numbers(db).values()), INVOICES)
            hub.end(SIGTERM)
            at_portal = Counter(document["number"] for document in sim.documents())
            known = _numbers(db)
            with db.reading() as tx:
                asked = tx.execute(sa.select(sa.func.count()).select_from(t.task)).scalar_one()
    return Ended(
        kills,
        double=sum(times - 1 for times in at_portal.values()),
        lost=sum(number not in at_portal for number in numbers),
        stuck=sum(
            known.get(number) not in _ENDED or (known[number] in _ARRIVED) != (number in at_portal)
            for number in numbers
        ),
        asked=asked,
        seconds=time.monotonic() - begun,
    )


def _network(*, unique: bool) -> dict[str, object]:
    """The demo's, with orders that are large enough to take everything twice."""
    told = json.loads(json.dumps(NETWORK["buyers"]))
    for buyer in told:
        buyer["enforce_unique_numbers"] = unique
        for order in buyer["orders"]:
            for line in order["lines"]:
                line["quantity"] = "100000"
    return network(buyers=told)


def _wait(hub: Running, count: Callable[[], int], least: int) -> None:
    """Until so many are there, the hub ends by itself, or nothing moves any more."""
    before, since = -1, time.monotonic()
    while hub.process.poll() is None and (now := count()) < least and time.monotonic() < since + STILL:
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.1)


@contextlib.contextmanager
def _ledger(bench: Bench) -> Iterator[Database]:
    db = Database(f"sqlite:///{bench.folder / 'hub.db'}")
    yield db
    db.close()


def _numbers(db: Database) -> dict[str, str]:
    """The state of each invoice's newest submission."""
    s, d = t.submission.c, t.document.c
    query = sa.select(d.number, s.state).join(t.document, s.document_id == d.id).order_by(s.id)
    with db.reading() as tx:
        return {row.number: row.state for row in tx.execute(query)}
