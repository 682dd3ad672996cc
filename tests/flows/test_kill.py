"""`hub run` killed without warning in the middle of its work: nothing is sent twice, nothing is lost, nothing hangs."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import sqlalchemy as sa
from workbench import NETWORK, Running, elbow, make_bench, network, service, until

from hub.contract.status import Submission
from hub.simulators.client import Simulator
from hub.store import tables as t

INVOICES = {f"{kind}-{n:02}" for n in range(1, 21) for kind in ("EL", "SV")}
LOST = {  # replies that never come
    "drop_after_commit": ("EL-02", "SV-03", "EL-09", "SV-15"),
    "reset_after_commit": ("EL-11", "SV-19"),
    "torn_headers_after_commit": ("SV-07",),
    "drop_before_commit": ("EL-16",),
}
KILLS = ((6, "EL-04"), (16, "SV-09"), (27, "EL-15"))  # once so many are there, with the answer of this one on the wire


def test_killed_three_times_it_brings_each_of_forty_invoices_there_once(tmp_path: Path) -> None:
    """The network would take every number twice; whatever dies, it gets each one once, and the ledger knows it."""
    buyers = [buyer | {"enforce_unique_numbers": False} for buyer in NETWORK["buyers"]]
    with Simulator.start(network(buyers=buyers), settle=0.3) as sim:
        bench = make_bench(tmp_path / "workspace", sim)
        bench.change(
            "    submit_every: 1s", "    limits: {per_second: 12}\n    submit_every: 0.2s"
        )  # slow enough to hit
        bench.change("inbox, every: 2s", "inbox, every: 0.2s")
        for number in INVOICES:
            bench.put(f"{number}.xml", elbow(number, int(number[3:])) if number < "F" else service(number))
            os.utime(bench.inbox / f"{number}.xml", (1, 1))
        for fault, numbers in LOST.items():
            for number in numbers:
                sim.fault(fault, verb="submit", number=number)

        def there() -> list[str]:
            return [document["number"] for document in sim.documents()]

        for least, on_the_wire in KILLS:
            sim.fault("hang_after_commit", verb="submit", number=on_the_wire, seconds=60)
            with Running("-w", bench.folder, "run") as run:
                until(lambda: len(found := there()) >= least and on_the_wire in found, 60)  # noqa: B023 - called at once
                assert -signal.SIGKILL == run.end(signal.SIGKILL)
            assert len(there()) < len(INVOICES), "it was over before it was killed"
        with Running("-w", bench.folder, "run") as run:
            until(lambda: set(bench.states().values()) == {Submission.SENT}, 60)
            assert 0 == run.end(signal.SIGTERM), run.lines
        assert dict.fromkeys(INVOICES, 1) == Counter(there())
        assert INVOICES == bench.states().keys()
        assert [] == [entry for entry in sim.requests("submit") if "409" in entry["outcome"]]
        with bench.open() as ws, ws.db.reading() as tx:
            doubted = sa.select(t.transition.c.submission_id).where(t.transition.c.after == Submission.IN_DOUBT)
            lost = sum(map(len, LOST.values()))
            assert len(set(tx.execute(doubted).scalars())) >= lost + len(KILLS)
            assert [] == tx.execute(sa.select(t.task.c.id)).all()
    assert INVOICES == {path.stem for path in (bench.folder / "done").iterdir()}
