from __future__ import annotations

import datetime as dt
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from ledger_rows import HOSTILE, NOW, Rows, ago, every_state_and_stage, lanes
from lxml import html
from working_day import REPLY, SENT

from hub.contract.status import Stage, Submission, WhoseMove
from hub.store import tables as t
from hub.view import Outcome
from hub.view.wording import MARKS, MOVES, STAGES, SUBMISSIONS

STYLES = (Path(__file__).parent.parent.parent / "hub/web/static/hub.css").read_text(encoding="utf-8")


def page(site: Any, path: str, status: int = 200) -> html.HtmlElement:
    """A page, parsed; every page keeps a few promises of its own."""
    answer = site.client.get(path)
    assert (status, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"])
    tree = html.fromstring(answer.text)
    assert [] == tree.xpath(
        "//script | //style | //iframe | //object | //embed | //@style | //@*[starts-with(name(), 'on')]"
    )
    assert "en" == tree.get("lang")
    assert 1 == len(tree.xpath("//main")) == len(tree.xpath("//h1"))
    assert ["#main"] == tree.xpath("//a[@class='skip']/@href")
    assert [] == tree.xpath("//thead//th[not(@scope)] | //tbody/tr[not(th[@scope='row'])]")
    assert [] == tree.xpath("//input[not(@type='hidden')][not(ancestor::label)][not(@id = //label/@for)]")
    assert [] == [url for url in tree.xpath("//@src | //link/@href") if not url.startswith("/static/")]
    return tree


def text(element: html.HtmlElement) -> str:
    return " ".join(element.text_content().split())


def rows(tree: html.HtmlElement) -> dict[str, list[str]]:
    """The list's cells by number."""
    found = {}
    for row in tree.xpath("//table[@class='list']/tbody/tr"):
        cells = [text(cell) for cell in row]
        found[text(row.xpath("./th/a")[0])] = cells
    return found


def test_every_state_and_stage_is_shown_as_it_is(empty: Any) -> None:
    """On the list and on its own page each pair stands in plain English, and a stage only where one was heard."""
    with empty.db.writing("test") as tx:
        ledger = Rows(tx)
        lanes(ledger)
        documents = every_state_and_stage(ledger)
    shown: dict[int, tuple[str, str]] = {}
    path = "/"
    while path:
        tree = page(empty, path)
        for row in tree.xpath("//table[@class='list']/tbody/tr"):
            ours, buyers = row[3], row[4]
            document_id = int(row.xpath("./th/a/@href")[0].rpartition("/")[2])
            shown[document_id] = (_state(ours), _state(buyers))
        path = "".join(tree.xpath("//nav[@class='pages']/a[contains(., 'Older')]/@href"))
    expected = {
        document_id: (SUBMISSIONS[state], STAGES[stage] if stage else "— no stage heard yet")
        for (state, stage), document_id in documents.items()
    }
    assert expected == shown
    for (state, stage), document_id in list(documents.items())[::7]:
        facts = page(empty, f"/invoices/{document_id}").xpath("//dl[@class='facts']/div/dd")
        assert expected[document_id] == (_state(facts[0]), _state(facts[1])), (state, stage)


def _state(cell: html.HtmlElement) -> str:
    """A state's words without the mark that troubles carry."""
    (chip,) = cell.xpath("./span[contains(@class, 'chip') or @class='none']")
    return re.sub(f"^[{''.join(MARKS.values())}] ", "", text(chip))


def test_the_worklist(site: Any) -> None:
    """Each row says what, who, how much, how it stands, why, whose move it is and how old that is."""
    found = rows(page(site, "/"))
    assert len(site.ids) == len(found)
    assert [
        "INV-20802 order PO-15",
        "Acme Holding from Northern Pumps Ltd",
        "1,210.00 EUR due 2031-03-31",
        "Taken in by the portal",
        "⚑ Rejected by the buyer since 3 h tax rate differs from the order (supplier_tax)",
        "Us: invoice data Correct the invoice in the ERP and send it again under the same number.",
        "9 min ago ariba “Rejected”",
    ] == found["INV-20802"]
    assert "1 d ago stale openfield “In approval”" == found["SV-3190"][-1]
    assert "never ariba" == found["INV-20877"][-1]


def test_tabs_count_what_they_list(site: Any) -> None:
    """Each tab has its count and its money for each currency, and leads to exactly those invoices."""
    tabs = page(site, "/").xpath("//ul[@class='tabs']//a")
    assert ["All", *(MOVES[who] for who in WhoseMove)] == [text(tab[0]) for tab in tabs]
    counts = [int(text(tab[1])) for tab in tabs]
    assert counts[0] == sum(counts[1:]) == len(site.ids)
    for tab, count in zip(tabs, counts, strict=True):
        listed = page(site, tab.get("href"))
        assert count == len(rows(listed))
        assert [text(tab[0])] == [text(one[0]) for one in listed.xpath("//ul[@class='tabs']//a[@aria-current]")]
    assert ["1,210.00 EUR", "919,710.75 USD"] == [text(part) for part in tabs[2].xpath("./span[@class='sum']")]


def test_five_troubles_have_five_places_and_colours(site: Any) -> None:
    """Each is counted for itself, lists its own, and is told by a mark and words of its own."""
    chips = page(site, "/").xpath("//ul[@class='troubles']//a[contains(@class, 'chip')]")
    assert len(Outcome) == len(chips) == len({text(chip).split()[0] for chip in chips})
    for outcome, chip in zip(Outcome, chips, strict=True):
        assert outcome in chip.get("class").split()
        assert int(text(chip).split()[-1]) == len(rows(page(site, chip.get("href"))))
    grounds = [re.search(rf"\.chip\.{outcome}[ ,][^{{]*{{([^}}]*)}}", STYLES) for outcome in Outcome]
    assert len(Outcome) == len({ground.group(1) for ground in grounds if ground})


def test_search_and_filters_stay_in_the_address(site: Any) -> None:
    """Tabs, troubles, pages and chips lead on from the search that is on; a chip takes its filter away."""
    tree = page(site, "/?q=INV&customer=acme&stage=rejected&stage=paid&move=us_data")
    assert ["INV-20802"] == list(rows(tree))
    assert ["INV"] == tree.xpath("//input[@name='q']/@value")
    assert ["acme"] == tree.xpath("//select[@name='customer']/option[@selected]/@value")
    assert {"paid", "rejected"} == set(tree.xpath("//input[@name='stage'][@checked]/@value"))
    assert ["us_data"] == tree.xpath("//input[@name='move']/@value")
    assert "/?q=INV&customer=acme&stage=rejected&stage=paid" == tree.xpath("//ul[@class='tabs']//a/@href")[0]
    assert [
        "/?customer=acme&move=us_data&stage=rejected&stage=paid",
        "/?q=INV&move=us_data&stage=rejected&stage=paid",
        "/?q=INV&customer=acme&move=us_data&stage=paid",
        "/?q=INV&customer=acme&move=us_data&stage=rejected",
        "/",
    ] == tree.xpath("//ul[@class='chosen']//a/@href")


def test_a_search_is_text_and_nothing_else(site: Any) -> None:
    """What was searched for comes back harmless."""
    tree = page(site, "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E%1b%5b31m%E2%80%AE")
    assert ['"><script>alert(1)</script>'] == tree.xpath("//input[@name='q']/@value")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("customer=acmee", "customer: 'acmee' is not known; did you mean acme? Known: acme, basin, cedar"),
        ("stage=payed", "stage: 'payed' is not known; did you mean paid?"),
        ("move=them", "move: 'them'"),
        ("custmer=acme", "'custmer' is no filter; known: q, entity, customer,"),
        ("after=x", "after: 'x' is no place in the list"),
        ("after=99999999999999999999", "after: '99999999999999999999' is no place"),
        ("after=-1", "after: '-1' is no place"),
    ],
)
def test_a_wrong_address_is_told_so(site: Any, query: str, told: str) -> None:
    """On the page and in the JSON, with the known words and a way on."""
    told = told.replace("move:", "whose_move:")
    tree = page(site, f"/?{query}", 400)
    assert told in text(tree.xpath("//main")[0])
    assert ["/"] == tree.xpath("//main//a/@href")
    answer = site.client.get(f"/api/v1/invoices?{query}")
    assert (400, "application/problem+json") == (answer.status_code, answer.headers["Content-Type"])
    assert told in answer.json()["detail"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/invoices/4711", "/invoices/x", "/invoices/0", "/invoices/99999999999", "/documents/x"]
)
def test_what_is_not_there(site: Any, path: str) -> None:
    """404 in the look of the other pages, with a way on."""
    assert ["/"] == page(site, path, 404).xpath("//main//a/@href")


def test_an_empty_hub_says_what_to_do(empty: Any) -> None:
    """Nothing is here, and the page says how something comes in; a search that finds nothing says that."""
    assert "No invoice is here yet" == text(page(empty, "/").xpath("//h2")[0])
    assert "No invoice matches" == text(page(empty, "/?q=x").xpath("//h2")[0])
    page(empty, "/portals")


def test_pages_lead_on(empty: Any) -> None:
    """Fifty at a time, older ones behind a link that keeps the search, and back to the newest."""
    with empty.db.writing("test") as tx:
        ledger = Rows(tx)
        for _ in range(120):
            ledger.invoice()
    seen: list[str] = []
    path, sizes = "/?q=INV", []
    while path:
        tree = page(empty, path)
        sizes.append(len(rows(tree)))
        seen += rows(tree)
        path = "".join(tree.xpath("//nav[@class='pages']/a[contains(., 'Older')]/@href"))
        assert not path or path.startswith("/?q=INV&after=")
    assert [50, 50, 20] == sizes
    assert 120 == len(set(seen)) == len(seen)
    assert "/?q=INV" == tree.xpath("//nav[@class='pages']/a/@href")[0]


# ---- One invoice


def test_an_invoice_begins_with_how_it_stands(site: Any) -> None:
    """One sentence of state, what to do next and why come before everything else."""
    tree = page(site, f"/invoices/{site.ids['refused']}")
    assert "Invoice INV-20861" == text(tree.xpath("//h1")[0]).replace("invoice", "Invoice")
    assert [
        "✕ Refused by the portal. Since 2031-03-14 04:30:00 UTC (5 h).",
        "Correct the invoice in the ERP and send it again under the same number. Us: invoice data",
        "Why: PO line 20 is not known (supplier_line_mismatch, INV-07)",
        "Portal last heard: 5 h ago, through ariba. Its last word: “Invalid”.",
    ] == [text(line) for line in tree.xpath("//section[contains(@class, 'verdict')]/p")]


def test_the_story_links_what_it_rests_on(site: Any) -> None:
    """A move leads to the attempt or the word behind it, an attempt to what was sent and answered."""
    tree = page(site, f"/invoices/{site.ids['refused']}")
    moments = tree.xpath("//ol[@class='timeline']/li")
    assert 9 == len(moments)
    inside = tree.xpath("//ol[@class='timeline']//a[starts-with(@href, '#')]/@href")
    assert ["#attempt-1", "#attempt-2", "#event-1"] == inside
    assert {target.removeprefix("#") for target in inside} <= set(tree.xpath("//@id"))
    sent, reply = hashlib.sha256(SENT).hexdigest(), hashlib.sha256(REPLY).hexdigest()
    attempts = tree.xpath("//section[h2='Attempts']//tbody/tr")
    assert [f"/documents/{sent}", f"/documents/{reply}"] == attempts[1].xpath(".//a/@href")
    for target in tree.xpath("//a[starts-with(@href, '/documents/')]/@href"):
        assert 200 == site.client.get(target).status_code or target.endswith(f"{site.ids['refused']:064x}")


def test_findings_name_file_and_line(site: Any) -> None:
    """What blocks comes with how to mend it and where its rule stands."""
    first = page(site, f"/invoices/{site.ids['held']}").xpath("//ul[@class='findings']/li")[0]
    assert (
        "Blocks: the purchase order is missing To mend it: enter the order in the ERP and send the invoice again under "
        "the same number rule po_required, field purchase_order_reference, in rules/ariba/acme.yaml:12" == text(first)
    )


def test_a_task_says_what_to_do(site: Any) -> None:
    """Line by line, with its link, and where to answer it."""
    tree = page(site, f"/invoices/{site.ids['manual']}")
    (task,) = tree.xpath("//section[@class='task']")
    assert ["https://portal.example/invoices/new"] == task.xpath(".//a/@href")
    assert "hub tasks answer 2" in text(task)


@pytest.mark.parametrize("path", ["/", "/portals", "/invoices/3", "/?customer=%3F0a1b2c3d4e5f"])
def test_a_portals_words_are_inert(site: Any, path: str) -> None:
    """Markup, handlers, script links, escapes and marks of direction in what others wrote stay text, or go."""
    tree = page(site, path)
    whole = site.client.get(path).text
    assert [] == tree.xpath("//img[not(starts-with(@src, '/static/'))] | //main//b")
    assert [] == [url for url in tree.xpath("//@href") if not re.match(r"/|#|https?://portal\.example/", url)]
    assert '<script>alert("x")</script>' in tree.text_content()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", whole)


def test_other_scripts_are_shown_in_their_own_direction(site: Any) -> None:
    """A name from right to left turns nothing around it."""
    assert "شركة الخليج للطاقة" in [text(name) for name in page(site, "/").xpath("//td/bdi")]


def test_portals_and_tasks(site: Any) -> None:
    """What is paused and why, what a person must do, and what nobody knows."""
    tree = page(site, "/portals")
    lines = [text(row) for row in tree.xpath("//section[h2='Connections']//tbody/tr")]
    assert "ariba runs 9 min ago 9 min ago no" in lines
    assert any(
        line.startswith("openfield paused since 1 d the portal does not accept the password 1 d ago") for line in lines
    )
    assert 3 == len(tree.xpath("//section[@id='tasks']/div"))
    unknown = [text(row) for row in tree.xpath("//section[@id='unmatched']//tbody/tr")]
    assert 2 == len(unknown)
    assert unknown[1].startswith("INV-7777 ariba 2031-03-14 07:30:00 UTC “Received by network” accepted (intake)")


def test_what_is_left_alone_after_failures_is_told_with_its_reason(empty: Any) -> None:
    """On both pages, for connections and accounts; a portal's words stay words. Afterwards it runs again."""
    until = NOW + dt.timedelta(minutes=12)
    failing = {"failures": 5, "failing_why": HOSTILE}
    with empty.db.writing("test") as tx:
        rows = Rows(tx)
        rows.lane(t.connection, "ariba", retry_at=until, **failing)
        rows.lane(t.account, "north-acme", retry_at=until, **failing)
        rows.lane(t.connection, "openfield", retry_at=ago(minutes=1), **failing)
        rows.lane(t.connection, "quiet")
        rows.put(t.instance, id="i", host="h", created_at=NOW, armed=False, disarmed_why=f"ann: {HOSTILE}")
    tree = page(empty, "/portals")
    lines = [text(row) for row in tree.xpath("//section[h2='Connections']//tbody/tr | //section[h2='Connections']/p")]
    stopped = "stopped until 2031-03-14 09:42:00 UTC after 5 failures in a row <script>"
    assert lines[0].startswith(f"ariba {stopped}")
    assert lines[1].startswith("openfield runs, after 5 failures in a row <script>")
    assert lines[2].startswith("quiet stands still, as above")
    assert lines[3].startswith(f"Account north-acme: {stopped}")
    for alarms in (tree.xpath("//p[@class='alarm']"), page(empty, "/").xpath("//p[@class='alarm']")):
        assert text(alarms[0]).startswith("Nothing is sent. ann: <script>")
        assert text(alarms[0]).endswith("run `hub arm`")
    assert ["Stopped: ariba, north-acme. See why"] == [text(alarm) for alarm in alarms[1:]]


# ---- Documents


def test_documents_are_exact_and_inert(site: Any) -> None:
    """Text is given out as plain text, byte for byte, and never as a page; anything can be saved."""
    sha256 = hashlib.sha256(SENT).hexdigest()
    shown = site.client.get(f"/documents/{sha256}")
    assert (SENT, "text/plain; charset=utf-8") == (shown.content, shown.headers["Content-Type"])
    assert "nosniff" == shown.headers["X-Content-Type-Options"]
    saved = site.client.get(f"/documents/{sha256}?download=true")
    assert (SENT, "application/octet-stream") == (saved.content, saved.headers["Content-Type"])
    assert f'attachment; filename="{sha256[:16]}.bin"' == saved.headers["Content-Disposition"]


def test_what_is_no_text_is_only_saved(empty: Any) -> None:
    """A PDF, or text in an unknown encoding, is never shown."""
    content = b"%PDF-1.7\0<script>"
    sha256 = empty.blobs.put(content)
    with empty.db.writing("test") as tx:
        Rows(tx).invoice(revision={"source_sha256": sha256})
    answer = empty.client.get(f"/documents/{sha256}")
    assert (content, "application/octet-stream") == (answer.content, answer.headers["Content-Type"])
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_only_what_the_ledger_refers_to_is_given_out(empty: Any) -> None:
    """A hash alone opens nothing; lost and damaged documents say so."""
    stray = empty.blobs.put(b"stray")
    lost, damaged = empty.blobs.put(b"lost"), empty.blobs.put(b"damaged")
    with empty.db.writing("test") as tx:
        Rows(tx).invoice(revision={"source_sha256": lost})
        Rows(tx).invoice(number="INV-2", revision={"source_sha256": damaged})
    empty.blobs.path(lost).unlink()
    empty.blobs.path(damaged).write_bytes(b"other")
    told = {sha256: empty.client.get(f"/documents/{sha256}") for sha256 in (stray, lost, damaged)}
    assert [404, 404, 500] == [answer.status_code for answer in told.values()]
    assert "no document" in told[stray].text
    assert "no longer has it" in told[lost].text
    assert "damaged" in told[damaged].text
    assert not [answer for answer in told.values() if "stray" in answer.text]


# ---- JSON


def test_the_json_is_the_worklist(site: Any) -> None:
    """The same filters and the same objects as the terminal's, a page at a time."""
    answer = site.client.get("/api/v1/invoices?move=portal")
    assert (200, "application/json") == (answer.status_code, answer.headers["Content-Type"])
    assert ["2031/NORTH-PUMPS/ABERDEEN-TERMINAL-4/000000004711-REV-B", "INV-20896"] == [
        row["number"] for row in answer.json()["invoices"]
    ]
    row = answer.json()["invoices"][1]
    assert ("sent", None, "portal", "1210.00", "2031-03-14T09:21:00Z") == tuple(
        row[name] for name in ("submission", "stage", "whose_move", "amount", "as_of")
    )
    assert answer.json()["next"] is None


def test_health(site: Any) -> None:
    """A probe gets a plain yes."""
    assert {"status": "ok"} == site.client.get("/healthz").json()


# ---- Looks


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_pair_of_colours_can_be_read(theme: int) -> None:
    """WCAG 2.2 AA: text of 4.5 : 1 on its ground, in both themes."""
    block = re.findall(r":root \{([^}]*)\}", STYLES)[theme]
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", block))
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent", "refused-ink") for ground in ("paper", "card")]
    pairs += [("card", "accent"), ("unknown-ink", "card"), ("unknown-ink", "paper"), ("person-ink", "person")]
    pairs += [(f"{name}-ink", name) for name in ("held", "failed", "refused", "disputed", "good", "plain")]
    pairs += [(f"{name}-ink", "card") for name in ("held", "failed", "disputed")]
    weak = {pair: _contrast(*(colours[name] for name in pair)) for pair in pairs}
    assert {} == {pair: contrast for pair, contrast in weak.items() if contrast < 4.5}


def test_every_state_has_its_words() -> None:
    """No state or stage can appear as a bare word of the ledger."""
    assert set(Submission) == set(SUBMISSIONS)
    assert {None, *Stage} == set(STAGES)
