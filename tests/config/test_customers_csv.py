from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hub.config import Config
from hub.customers_csv import MAX_BYTES, MAX_ROWS, read_customers_csv
from hub.requirements.customers import Imported, import_customers
from hub.yamlsource import MAX_PROBLEMS, SourceError

Loaded = Callable[..., Config]
Faults = Callable[..., list[str]]

HUB = """\
entities:
  ridgeline-us: {name: Ridgeline Supply Inc., identifiers: {tax: 84-5550101}}
  ridgeline-de: {name: Ridgeline GmbH, identifiers: {vat: DE811555012}}
connections:
  paper: {connector: manual}
"""
LIST = """\
customer,name,entity,connection,account,portal_customer,owner,time_zone,id:duns,id:vat,account:site
cascadia,Cascadia Energy,ridgeline-us,paper,us-cascadia,AN01000000101-T,north,America/Chicago,080555501,,07
cascadia,,ridgeline-de,paper,de-cascadia,,,,,,
meridian,Meridian Werke,,,,,,,,DE811555204,
"""


def refused(tmp_path: Path, content: str | bytes) -> list[str]:
    """What reading a list says."""
    file = tmp_path / "list.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(SourceError) as caught:
        read_customers_csv(file, name="list.csv")
    return [str(problem).removeprefix("list.csv:") for problem in caught.value.problems]


def test_a_list_says_what_hub_yaml_would(loaded: Loaded) -> None:
    """One row an account; what a second row of a customer leaves empty the first has said."""
    config = loaded(HUB, LIST)
    assert list(config.customers) == ["cascadia", "meridian"]
    cascadia = config.customers["cascadia"]
    assert (cascadia.name, cascadia.owner, cascadia.identifiers) == ("Cascadia Energy", "north", {"duns": "080555501"})
    account = config.accounts["us-cascadia"]
    assert (account.customer, account.portal_customer, account.time_zone.key, account.identifiers) == (
        "cascadia",
        "AN01000000101-T",
        "America/Chicago",
        {"site": "07"},
    )
    assert config.accounts["de-cascadia"].entity == "ridgeline-de"


@pytest.mark.parametrize(
    "content",
    [
        LIST.replace(",", ";").encode("utf-8-sig"),
        LIST.replace("\n", "\r\n").encode(),
        (
            "\n" + LIST.replace("id:duns", "ID: Duns").replace("customer,name", " Customer ,Name") + "\n,,,,,,,,,,\n"
        ).encode(),
        LIST.replace("Cascadia Energy", '" Cascadia Energy "').encode(),
    ],
)
def test_however_a_spreadsheet_saves_it(tmp_path: Path, content: bytes) -> None:
    """Semicolons, a byte order mark, CRLF, capitals and empty rows change nothing."""
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    plain = tmp_path / "plain.csv"
    plain.write_text(LIST, encoding="utf-8")
    assert read_customers_csv(file).source.data == read_customers_csv(plain).source.data


def test_a_formula_is_text(loaded: Loaded) -> None:
    """What looks like a formula is a name like any other."""
    config = loaded(HUB, 'customer,name\na,"=HYPERLINK(""x"")"\nb,@SUM(1)\n')
    assert [customer.name for customer in config.customers.values()] == ['=HYPERLINK("x")', "@SUM(1)"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("customer,nmae\na,A\n", ["1:2: unknown column 'nmae'; did you mean 'name'?"]),
        ("customer,ids:vat\na,1\n", ["1:2: unknown column 'ids:vat'; did you mean 'id:vat'?"]),
        ("customer,id:\na,1\n", ["1:2: unknown column 'id:'; did you mean 'id:NAME'?"]),
        ("customer,name,Name\na,A,A\n", ["1:3: the column 'name' stands here twice; keep one"]),
        ("customer,name\n,A\n", ["2:1: column 'customer': the customer's key is missing"]),
        ("customer,name\na\n", ["2:1: has 1 cells, but the header 2; a text with a separator in it needs quotes"]),
        (
            "customer,name\na,A, Inc.\n",
            ["2:1: has 3 cells, but the header 2; a text with a separator in it needs quotes"],
        ),
        ("customer,name\na,\n", ["2:1: nothing is said of 'a' but its key; give it a name"]),
        (
            "customer,name\na,A\n\na,B\n",
            ["4:2: column 'name': 'B', but line 2 says 'A' of the same customer 'a'; make them agree"],
        ),
        (
            "customer,name,id:vat\na,A,1\na,A,2\n",
            ["3:3: column 'id:vat': '2', but line 2 says '1' of the same customer 'a'; make them agree"],
        ),
        (
            "customer,name,entity\na,A,e\n",
            [
                "2:3: column 'account': is missing or empty, but an account needs it",
                "2:3: column 'connection': is missing or empty, but an account needs it",
            ],
        ),
        (
            "customer,account,entity,connection\na,x,e,c\nb,x,e,c\n",
            ["3:2: column 'account': the account 'x' stands in line 2 already; each has its own key"],
        ),
        (
            'customer,name\na,"A\nB"\nb\n',
            [
                "2:2: column 'name': 'A\\nB' has a line break or another control character; take it out",
                "4:1: has 1 cells, but the header 2; a text with a separator in it needs quotes",
            ],
        ),
        ('customer,name\na,A\nb,"B\n', ["3:1: is not CSV: unexpected end of data; look at the quotes"]),
        (b"customer,name\na,M\xfcller\n", ["2:1: is not UTF-8; save it as CSV UTF-8"]),
        (b"customer,name\na," + b"x" * MAX_BYTES, ["1:1: larger than 5,000,000 bytes; split it"]),
        ("customer,name\n" + "a,A\n" * (MAX_ROWS + 1), ["100002:1: more than 100,000 rows; split the list"]),
    ],
)
def test_a_fault_is_told_with_line_and_column(tmp_path: Path, content: str | bytes, expected: list[str]) -> None:
    """Everything that is wrong with the list itself, at once."""
    assert refused(tmp_path, content) == expected


@pytest.mark.parametrize("content", ["", "name,owner\na,b\n"])
def test_a_list_without_its_key_column_is_refused(tmp_path: Path, content: str) -> None:
    """The columns that are known are named."""
    [told] = refused(tmp_path, content)
    assert told.startswith("1:1: the column 'customer' is missing; known are customer, account, name, owner, entity")


def test_a_list_of_nonsense_is_cut_short(tmp_path: Path) -> None:
    """A hundred faults are enough to begin with."""
    told = refused(tmp_path, "customer,name\n" + "x\n" * 5_000)
    assert len(told) == MAX_PROBLEMS + 2
    assert told[-1].endswith("reading stopped here; mend the lines above first")


def test_what_a_list_names_must_be_there(faults: Faults) -> None:
    """Unknown keys, bad values and keys of hub.yaml are told with line and column name."""
    rows = "customer,name,entity,connection,account,time_zone\na,A,ridgline-us,papr,x,Europe/Berln\nBig Co,B,,,,\n"
    assert [told.partition("; use")[0] for told in faults(HUB, rows)] == [
        (
            "customers.csv:2:6: column 'time_zone': accounts.x.time_zone: 'Europe/Berln' is no IANA time zone, as in "
            "Europe/Berlin; did you mean 'Europe/Berlin'?"
        ),
        "customers.csv:3:1: column 'customer': customers.Big Co: 'Big Co' cannot be a key",
    ]
    assert faults(HUB, rows.replace("Berln", "Berlin").replace("Big Co", "big-co")) == [
        (
            "customers.csv:2:3: column 'entity': accounts.x.entity: there is no entity 'ridgline-us'; "
            "did you mean 'ridgeline-us'?"
        ),
        (
            "customers.csv:2:4: column 'connection': accounts.x.connection: there is no connection 'papr'; "
            "did you mean 'paper'?"
        ),
    ]


def test_a_customer_without_a_name_is_missed_at_its_account(faults: Faults) -> None:
    """An account row alone makes no customer."""
    rows = "customer,entity,connection,account\nnowhere,ridgeline-us,paper,x\n"
    told = "customers.csv:2:1: column 'customer': accounts.x.customer: there is no customer 'nowhere'"
    assert faults(HUB, rows) == [f"{told}; add it under customers"]


def test_a_row_may_give_an_account_to_a_customer_of_hub_yaml(loaded: Loaded) -> None:
    """Customers may stand in one file and their accounts in the other."""
    config = loaded(
        HUB + "customers: {oakhurst: {name: Oakhurst}}\n",
        "customer,entity,connection,account\noakhurst,ridgeline-us,paper,us-oakhurst\n",
    )
    assert config.accounts["us-oakhurst"].customer == "oakhurst"


def test_a_key_stands_in_one_file_only(faults: Faults) -> None:
    """The same customer in both files names both places."""
    told = faults(HUB + "customers:\n  meridian: {name: M}\n", LIST)
    assert [line.partition(" stands in ")[0] for line in told] == [
        "customers.csv:4:1: column 'customer': customers.meridian"
    ]
    assert told[0].endswith("hub.yaml:7 too; keep one of them")


def test_an_identifier_is_not_shared_across_the_files(faults: Faults) -> None:
    """hub.yaml and the list are one directory."""
    [told] = faults(HUB + "customers:\n  other: {name: O, identifiers: {vat: DE 811555204}}\n", LIST)
    assert told.startswith("hub.yaml:7:34: customers.other.identifiers.vat: 'DE 811555204' is 'meridian''s too (")
    assert "customers.csv:4:10); an identifier stands for one only" in told


def test_a_broken_list_brings_no_false_faults(faults: Faults) -> None:
    """Accounts of hub.yaml whose customer stands in a list that cannot be read are not called wrong."""
    accounts = "accounts: {x: {entity: ridgeline-us, customer: cascadia, connection: paper}}\n"
    assert faults(HUB + accounts, "customer,nmae\n") == [
        "customers.csv:1:2: unknown column 'nmae'; did you mean 'name'?"
    ]


def test_an_import_tells_what_it_changed(loaded: Loaded, tmp_path: Path) -> None:
    """A list replaces the one before, byte for byte, and says which customers that touched."""
    config = loaded(HUB)
    new = tmp_path / "export.csv"
    new.write_bytes(LIST.encode("utf-8-sig"))
    assert import_customers(new, config) == Imported(("cascadia", "meridian"), (), (), ())
    assert (tmp_path / "customers.csv").read_bytes() == new.read_bytes()
    config = loaded(HUB)
    new.write_text(LIST.replace(",07", ",08").replace("meridian,Meridian", "oakhurst,Oakhurst"), encoding="utf-8")
    assert import_customers(new, config) == Imported(("oakhurst",), ("cascadia",), (), ("meridian",))
    config = loaded(HUB)
    assert import_customers(new, config) == Imported((), (), ("cascadia", "oakhurst"), ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["customers.csv", "export.csv", "hub.yaml"]


def test_a_wrong_list_changes_nothing(loaded: Loaded, tmp_path: Path) -> None:
    """The faults name the list that was given, and the old one stays."""
    config = loaded(HUB, LIST)
    new = tmp_path / "export.csv"
    new.write_text(LIST.replace(",paper,", ",pepr,"), encoding="utf-8")
    with pytest.raises(SourceError, match=r"export.csv:2:4: column 'connection': .* there is no connection 'pepr'"):
        import_customers(new, config)
    assert (tmp_path / "customers.csv").read_text(encoding="utf-8") == LIST


def test_an_import_that_cannot_be_written_keeps_the_old_list(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the old list and no scraps."""
    config = loaded(HUB, LIST)
    new = tmp_path / "export.csv"
    new.write_text("customer,name\nz,Z\n", encoding="utf-8")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        import_customers(new, config)
    assert (tmp_path / "customers.csv").read_text(encoding="utf-8") == LIST
    assert sorted(path.name for path in tmp_path.iterdir()) == ["customers.csv", "export.csv", "hub.yaml"]


def test_a_long_list_is_read_in_seconds(loaded: Loaded) -> None:
    """Five thousand customers with accounts."""
    rows = "".join(f"c{n},Customer {n},ridgeline-us,paper,a{n},08{n:07}\n" for n in range(5_000))
    began = time.monotonic()
    config = loaded(HUB, "customer,name,entity,connection,account,id:duns\n" + rows)
    assert (len(config.customers), len(config.accounts)) == (5_000, 5_000)
    assert time.monotonic() - began < 10
