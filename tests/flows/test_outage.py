"""A portal that is down, one that is too busy, and an invoice that alone cannot pass: what is held, what is parked."""

from __future__ import annotations

from workbench import Bench, elbow, service

from hub.contract.status import Submission, WhoseMove

S = Submission


def test_what_the_network_cannot_say_no_to_is_parked_with_its_number(bench: Bench) -> None:
    """HTTP 200 with cXML 500 "ANERR-": looked up and sent again three times, then a person gets the reference.

    Others go meanwhile: it is that invoice's trouble, not the network's.
    """
    bench.put("more.xml", elbow("EL-1", 501))  # the order has 500
    bench.work()
    while bench.row("EL-1").submission in (S.IN_DOUBT, S.READY):
        bench.work(later=4000)
    row = bench.row("EL-1")
    assert (S.NEEDS_HUMAN, WhoseMove.US_OPS) == (row.submission, row.whose_move)
    assert "sent 4 times, and the portal shows no trace of it; the last ended in: submit: 500 [ANERR-" in (
        row.reason_text or ""
    )
    assert 4 == len(bench.network.requests("submit"))
    assert [] == bench.at_portal("EL-1")
    assert (0, None) == (bench.lane("ariba-us").failures, bench.lane("ariba-us").retry_at)
    bench.put("less.xml", elbow("EL-2", 1))
    bench.work()
    assert S.SENT == bench.row("EL-2").submission


def test_a_network_that_is_down_is_left_alone_and_nothing_is_given_up(bench: Bench) -> None:
    """Few requests reach a port that is shut, and when it opens everything goes, once."""
    numbers = [f"SV-{n}" for n in range(12)]
    for number in numbers:
        bench.put(f"{number}.xml", service(number))
    bench.network.fault("refuse", seconds=600)
    bench.work()
    held = bench.lane("ariba-de")
    assert held.retry_at is not None
    assert "nothing was sent" in held.failing_why
    assert {S.READY} == set(bench.states().values())
    for _ in range(3):
        bench.work(later=3600)
    assert {S.READY} == set(bench.states().values())
    bench.network.clear_faults()
    for _ in range(3):
        bench.work(later=4000)
    assert dict.fromkeys(numbers, S.SENT) == bench.states()
    assert sorted(numbers) == sorted(document["number"] for document in bench.network.documents())
    assert (0, None, None) == (
        bench.lane("ariba-de").failures,
        bench.lane("ariba-de").retry_at,
        bench.lane("ariba-de").failing_why,
    )
