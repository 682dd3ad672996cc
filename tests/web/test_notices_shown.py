"""What presses is the first thing on the page."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ledger_rows import NOW, Rows, lanes
from lxml import html

from hub.contract.status import Submission


def test_what_must_be_sent_soon_is_called_for(empty: Any) -> None:
    """Above the list with a link, in its own row, and on its own page."""
    with empty.db.writing("test") as tx:
        rows = Rows(tx)
        lanes(rows)
        one = rows.invoice(Submission.HELD, "near", send_by=NOW.date() + dt.timedelta(days=1))
        rows.invoice(Submission.HELD, "far", send_by=NOW.date() + dt.timedelta(days=30))
    tree = html.fromstring(empty.client.get("/").text)
    [alarm] = tree.xpath("//p[@class='alarm']")
    assert "To be sent soon: near must be sent by 15 Mar, 1 day left." == " ".join(alarm.text_content().split())
    assert [f"/invoices/{one}"] == alarm.xpath(".//a/@href")
    row = tree.xpath("//tbody/tr[.//a[text()='near' or .//bdi[text()='near']]]")[0]
    assert "must be sent by 15 Mar, 1 day left" in row.text_content()
    page = html.fromstring(empty.client.get(f"/invoices/{one}").text)
    assert "Must be sent by 15 Mar, 1 day left." in page.text_content()
