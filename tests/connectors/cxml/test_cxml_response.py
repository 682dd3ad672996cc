"""Reading a cXML reply: lenient where real ones are odd, deaf to everything that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.cxml.response import Answer, NoCxml, read

REPLIES = Path(__file__).resolve().parents[3] / "fixtures" / "replies" / "ariba"
DOCTYPE = '<!DOCTYPE cXML SYSTEM "http://xml.cxml.org/schemas/cXML/1.2.069/cXML.dtd">'


def reply(status: str, doctype: str = DOCTYPE) -> bytes:
    return (
        f'<?xml version="1.0"?>{doctype}<cXML payloadID="1" timestamp="x"><Response>{status}</Response></cXML>'.encode()
    )


def answer(body: bytes) -> Answer:
    found = read(body)
    assert isinstance(found, Answer), found
    return found


def why(body: bytes) -> str:
    found = read(body)
    assert isinstance(found, NoCxml), found
    return found.why


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        ('<Status code="200" text="OK"/>', 200, "OK"),
        ('<Status code="200 " text="OK"></Status>', 200, "OK"),
        ('<Status code=" 400" text="Bad Request">INV-98: missing</Status>', 400, "Bad Request: INV-98: missing"),
        ('<Status code="400" text="">\n INV-98 \n</Status>', 400, "INV-98"),
        ('<Status code="406" text="same">same</Status>', 406, "same"),
        ('<Status code="200"/>', 200, ""),
        ('<Status code="500" text="Błąd">ошибка &amp; <b>x</b></Status>', 500, "Błąd: ошибка & x"),
        ('<Status code="201" text="a"/><Status code="500" text="b"/>', 201, "a"),
    ],
)
def test_code_and_words_are_read_from_attribute_and_text(status: str, code: int, words: str) -> None:
    """Details stand now in one, now in the other; blanks around the code are real."""
    assert (code, words) == (answer(reply(status)).code, answer(reply(status)).words)


def test_a_doctype_with_a_system_id_is_ordinary() -> None:
    """Every real reply has one; it is never loaded. None, and blanks before the declaration, are taken as well."""
    for body in (
        reply('<Status code="200"/>'),
        reply('<Status code="200"/>', ""),
        b"\r\n " + reply('<Status code="200"/>'),
    ):
        assert 200 == answer(body).code


BOMB = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "boom"}">' for n in range(9))


@pytest.mark.parametrize(
    "doctype",
    [
        f"<!DOCTYPE cXML [{BOMB}]>",
        '<!DOCTYPE cXML [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE cXML SYSTEM "a.dtd" [<!ENTITY % p SYSTEM "http://127.0.0.1:1/p"> %p;]>',
        '<!DOCTYPE cXML [<!ATTLIST Status code CDATA "200">]>',
        "<!DOCTYPE cXML []>",
    ],
)
def test_a_doctype_with_declarations_is_refused(doctype: str) -> None:
    """Bombs, files and defaulted attributes: it is no reply, whatever stands below."""
    assert "its DOCTYPE declares things of its own" == why(reply('<Status code="200" text="&e8;"/>', doctype))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"<html><body>503 Service Unavailable</body></html>",
        b"<!DOCTYPE html><html><head><br></head></html>",
        b"OK",
        b'{"status": 200}',
        reply('<Status code="200"/>')[:-9],
        reply('<Status code="200"/>') + b"<more/>",
        reply('<Status code="200"/>').replace(b"<?xml version=", b'<?xml encoding="nonsense" version='),
        reply('<Status code="200"/>').replace(b'"1.0"', b'"1.0" encoding="no-such-code"'),
        reply('<Status code="200"/>').replace(b'"1.0"', b'"1.0" encoding="utf-7"'),
        reply('<Status code="200" text="\xff"/>').replace("ÿ".encode(), b"\xff"),
        reply(""),
        reply('<Status text="OK"/>'),
        reply('<Status code="OK"/>'),
        reply('<Status code="20"/>'),
        reply('<Status code="²00"/>'),
        b"<cXML><Request><InvoiceDetailRequest/></Request></cXML>",
        b'<Response><Status code="200"/></Response>',
        b"<a>" * 100_000,
        b"\x00" * 100,
    ],
)
def test_whatever_is_no_cxml_response_says_nothing(body: bytes) -> None:
    """Nothing is mended, guessed or taken for a success."""
    assert why(body)


def test_the_profile_is_read_with_its_urls() -> None:
    """Request names and where they are taken."""
    profile = answer((REPLIES / "profile.xml").read_bytes())
    assert {"InvoiceDetailRequest": "@URL@", "GetPendingRequest": "@URL@"} == profile.transactions


def test_the_synthetic_responses_are_read(shared: Path) -> None:
    """Twelve responses written for tests, each with the code in its name."""
    files = sorted((shared / "data/cxml/synthetic").glob("response_*.xml"))
    assert 12 == len(files)
    for path in files:
        assert int(path.stem.removeprefix("response_")) == answer(path.read_bytes()).code
