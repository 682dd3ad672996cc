"""A buyer whose turn it is not keeps its place in the cursor, so that asking about some buyers only loses nothing."""

from __future__ import annotations

from test_ariba_poll import BUYER, HOUR, NOW, Network, polled, ref, rows, told

OTHER = "AN01000000888-T"


def test_a_buyer_that_was_skipped_goes_on_where_it_was() -> None:
    """Two polls of one buyer later, the other is asked from its own last poll on, and tells nothing twice."""
    network = Network(
        rows(("A-1", "Sent")),
        rows(("B-1", "Sent")),
        rows(("A-1", "Sent")),
        rows(("A-1", "Approved")),
        rows(("B-1", "Sent"), ("B-2", "Rejected")),
    )
    refs, others = [ref("A-1")], [ref("B-1", buyer=OTHER), ref("B-2", buyer=OTHER)]
    both = polled(network, None, refs + others)
    first = polled(network, both[-1].next_cursor, refs, NOW + HOUR)
    second = polled(network, first[-1].next_cursor, refs, NOW + 2 * HOUR)
    later = polled(network, second[-1].next_cursor, others, NOW + 3 * HOUR)
    assert [("A-1", "Sent"), ("B-1", "Sent")] == told(both)
    assert ([], [("A-1", "Approved")], [("B-2", "Rejected")]) == (told(first), told(second), told(later))
    buyer, start, end = network.asked[-1]
    assert (OTHER, NOW + 3 * HOUR) == (buyer, end)
    assert NOW - 2 * 24 * HOUR <= start <= NOW
    assert [BUYER, OTHER, BUYER, BUYER, OTHER] == [asked[0] for asked in network.asked]
