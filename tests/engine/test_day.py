"""A simulated day on the real ledger with the real planner: how soon rejections are seen, and at what cost."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.day import TARGET_REQUESTS, TARGET_SEEN, Size, simulate


def test_rejections_are_seen_soon_and_cheaply(tmp_path: Path) -> None:
    """Within five minutes in the first hour, within the announced interval later, with hardly a request too many.

    A smaller day than the benchmark's (`python -m tests.benchmarks day`), with the same targets.
    """
    told = simulate(tmp_path, Size(connections=2, accounts=10, open_before=240, submitted=100, hours=12))
    assert 0 == told.unseen
    assert min(len(told.young), len(told.older)) > 10
    assert told.requests > told.polls  # a payment run took more than a page
    assert told.seen_soon >= TARGET_SEEN
    assert told.seen_in_time >= TARGET_SEEN
    assert told.ratio <= TARGET_REQUESTS
    assert told.worst_hour <= 1
