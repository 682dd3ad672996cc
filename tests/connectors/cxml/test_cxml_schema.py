"""Our grammar against invoices that somebody else wrote."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from connectors.cxml.schema import _grammar, load_dtd

MEANT = [
    "inv_po_goods",
    "inv_multi_po",
    "inv_non_po_orderidinfo",
    "inv_contract_release",
    "inv_header_level",
    "inv_line_tax_discount",
    "inv_po_goods_attachment_pdf",
    "cm_header",
    "cm_line_quantity",
]
# What no connector of ours writes: service entry lines, price adjustments, cancellations.
NOT_MEANT = {
    "inv_service_ses": "InvoiceDetailServiceItem",
    "cm_line_price_adjust": "isPriceAdjustmentInLine",
    "inv_cancel_delete": "InvoiceDetailRequestHeader",
}


@pytest.mark.parametrize("name", MEANT)
def test_invoices_of_the_kinds_we_send_are_taken(name: str, shared: Path) -> None:
    """Written independently of our connector and valid against the DTD."""
    root = etree.parse(shared / "data/cxml/synthetic" / f"{name}.xml", etree.XMLParser(load_dtd=False))
    assert _grammar().validate(root), _grammar().error_log


@pytest.mark.parametrize("name", NOT_MEANT)
def test_invoices_of_other_kinds_are_refused(name: str, shared: Path) -> None:
    """The grammar is of what we emit; it names what it does not know."""
    root = etree.parse(shared / "data/cxml/synthetic" / f"{name}.xml", etree.XMLParser(load_dtd=False))
    assert not _grammar().validate(root)
    assert NOT_MEANT[name] in str(_grammar().error_log)


def test_every_synthetic_invoice_is_spoken_of(shared: Path) -> None:
    """A new one in the data is meant or not meant."""
    found = {path.stem for path in (shared / "data/cxml/synthetic").glob("inv_*.xml")}
    found |= {path.stem for path in (shared / "data/cxml/synthetic").glob("cm_*.xml")}
    assert {*MEANT, *NOT_MEANT} == found


def test_a_file_that_is_no_dtd_is_named(tmp_path: Path) -> None:
    """The settings' reader sees which file it is."""
    (tmp_path / "x.dtd").write_text("no dtd")
    with pytest.raises(ValueError, match=r"x\.dtd is no DTD"):
        load_dtd(tmp_path / "x.dtd")
