"""Every point crossed with every trouble: the process dies there, and each invoice is at its portal once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.contract.connector import Lookup
from tests.crash.day import Case, day
from tests.crash.plan import OPENING, WHOSE, Roads, a_second_time, in_pairs, missed
from tests.crash.points import points
from tests.crash.troubles import TROUBLES


def test_the_product_crosses_every_point(seen: Roads) -> None:
    """A point that no road crosses would never be tried; this names it."""
    crossed = {point for road in seen.values() for point in road}
    elsewhere = {point for names in WHOSE.values() for point in names}
    known = {point.name for point in points()}
    assert (set(), set()) == (known - crossed - elsewhere, (crossed | elsewhere) - known)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_wherever_it_dies_there_is_one_invoice_or_one_question(
    tmp_path: Path, ledger: Path, seen: Roads, trouble: str
) -> None:
    """Behind each point of a trouble's road the process dies at least once, the kinds of portal taking turns."""
    played = day(tmp_path / "first", in_pairs(trouble, seen), ledger=ledger)
    died = {point for _, point in played.trap.died}
    again = missed(trouble, seen, played)
    if again:
        died |= {point for _, point in day(tmp_path / "again", again, ledger=ledger).trap.died}
    crossed = {point for case, road in seen.items() if case.trouble == trouble for point in road}
    assert set() == crossed - died


def test_a_death_the_second_time_is_no_other(tmp_path: Path, ledger: Path, seen: Roads) -> None:
    """What is crossed again and again, for one invoice, may be died at later as well."""
    cases = a_second_time(seen)
    played = day(tmp_path, cases, ledger=ledger)
    assert {case.deaths[0] for case in cases} == {point for _, point in played.trap.died}


@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("point", OPENING)
def test_a_death_while_it_opens(tmp_path: Path, point: str, nth: int) -> None:
    """A workspace whose making was cut off is opened by the next process as if nothing had been."""
    played = day(tmp_path, [Case("ok"), Case("death, arrived")], opening=Case("ok", deaths=(point,), nth=nth))
    tried = nth == 1 or point != "store.migrate"  # the tables are made once
    assert tried == bool(played.trap.died)


ON_THE_WIRE = ("deliver.", "portal.", "marks.", "reconcile.", "collect.page", "tasks.")


@pytest.mark.parametrize("trouble", ["unknown, arrived", "answers after its lease", "death, nothing arrived"])
def test_the_same_on_postgresql(tmp_path: Path, postgresql: str, seen: Roads, trouble: str) -> None:
    """There another worker may live: what was in sending is given up when its lease is over."""
    cases = [
        Case(trouble, case.lookup, case.repeat, case.unique, deaths=(point,))
        for case, road in seen.items()
        for point in road
        if (case.trouble, case.lookup) == (trouble, Lookup.EXACT) and point.startswith(ON_THE_WIRE)
    ]
    played = day(tmp_path, cases, database=postgresql.replace("postgresql+psycopg://", "postgresql://"))
    assert len(cases) == len(played.trap.died) > 5
