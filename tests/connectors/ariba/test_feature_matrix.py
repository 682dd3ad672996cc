"""The table in connectors/README.md is what the code says."""

from __future__ import annotations

from pathlib import Path

from connectors.__main__ import EXAMPLES, names, table

README = Path(__file__).resolve().parents[3] / "connectors" / "README.md"
BEGIN, END = "<!-- python -m connectors -->\n", "<!-- end -->\n"


def test_the_table_in_the_readme_is_current() -> None:
    """Paste what `python -m connectors` prints between the two comments."""
    assert table() == README.read_text().partition(BEGIN)[2].partition(END)[0]


def test_every_connector_stands_in_the_table() -> None:
    """One without example settings would be missing."""
    assert sorted(EXAMPLES) == list(names())
    assert {"ariba", "manual"} <= set(names())
