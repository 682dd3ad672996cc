from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from ledger_rows import HOSTILE, NOW

from hub.view.wording import age, clean, clean_lines, money


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1bP1$r\x1b\\dcs", "dcs"),
        ("\x1bcreset", "reset"),
        ("a\x00b\x07c\x08d\x7fe", "abcde"),
        ("one\r\ntwo\rthree\tfour", "one two three four"),
        ("\u202egnirts\u202c", "gnirts"),
        ("a\u2066b\u2069c\u200fd", "abcd"),
        ("الخليج", "الخليج"),
        ("\x1b", ""),
        ("[bold]kept[/bold] <b>kept</b>", "[bold]kept[/bold] <b>kept</b>"),
    ],
)
def test_untrusted_text_can_do_nothing(text: str, shown: str) -> None:
    """No escape reaches a terminal, no control a page, and nothing turns the text around it."""
    assert shown == clean(text)


def test_lines_may_stay() -> None:
    """Where several lines are wanted, line breaks survive and nothing else."""
    assert "a\nb\tc" == clean_lines("a\r\nb\tc\x1b[2J")
    assert clean(HOSTILE) == clean(clean(HOSTILE))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1210", "1,210.00 EUR"),
        ("0.1", "0.10 EUR"),
        ("4410.1250", "4,410.125 EUR"),
        ("-5", "-5.00 EUR"),
        ("1E+6", "1,000,000.00 EUR"),
        ("0", "0.00 EUR"),
    ],
)
def test_money(amount: str, shown: str) -> None:
    """Two decimals, or as many as it needs; never rounded."""
    assert shown == money(Decimal(amount), "EUR")


@pytest.mark.parametrize(
    ("past", "shown"),
    [
        ({"seconds": 59}, "<1 min"),
        ({"minutes": 1}, "1 min"),
        ({"minutes": 59, "seconds": 59}, "59 min"),
        ({"hours": 23}, "23 h"),
        ({"days": 400}, "400 d"),
        ({"seconds": -5}, "<1 min"),
    ],
    ids=str,
)
def test_age(past: dict[str, float], shown: str) -> None:
    """One unit, and never more than has passed."""
    assert shown == age(NOW - dt.timedelta(**past), NOW)


def test_what_never_happened() -> None:
    """No time is invented."""
    assert "never" == age(None, NOW)
