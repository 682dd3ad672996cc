from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, SecretStr

from hub.yamlsource import MAX_BYTES, MAX_PROBLEMS, Place, SourceError, did_you_mean, load, loads, validate


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Address(Part):
    city: str
    post_code: str = ""


class Cat(Part):
    lives: int


class Dog(Part):
    bones: int


class Person(Part):
    name: str
    age: int = 0
    address: Address | None = None
    pets: dict[str, Cat | Dog] = {}
    friends: tuple[Address, ...] = ()
    password: SecretStr | None = None


def refused(text: str | bytes) -> list[str]:
    """What loading says, without the file's name."""
    with pytest.raises(SourceError) as caught:
        loads(text.encode() if isinstance(text, str) else text, name="f")
    return [str(problem).removeprefix("f:") for problem in caught.value.problems]


def invalid(text: str) -> list[str]:
    with pytest.raises(SourceError) as caught:
        validate(loads(text.encode(), name="f"), Person)
    return [str(problem).removeprefix("f:") for problem in caught.value.problems]


@pytest.mark.parametrize("written", ["NO", "yes", "01234", "1.10", "0x1F", "1e3", "2026-01-02", "12:30", ".inf", "="])
def test_a_scalar_stays_the_text_that_was_written(written: str) -> None:
    """Nothing is guessed from how a value looks."""
    assert {"a": written} == loads(f"a: {written}".encode(), name="f").data


@pytest.mark.parametrize(("written", "expected"), [("", None), ("~", None), ("null", None), ("''", ""), ('"~"', "~")])
def test_an_empty_value_is_none_and_a_quoted_one_is_text(written: str, expected: str | None) -> None:
    """Only plain emptiness says nothing."""
    assert {"a": expected} == loads(f"a: {written}".encode(), name="f").data


def test_every_part_knows_where_it_was_written() -> None:
    """A key's place is the key, an item's the item, and an absent part is at its nearest parent."""
    source = loads("a:\n  b: [x, {c: y}]\nd: z\n".encode("utf-8-sig"), name="f")
    expected = {
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 0): (2, 7),
        ("a", "b", 1, "c"): (2, 11),
        ("a", "b", 1, "nothing", "here"): (2, 10),
        ("d",): (3, 1),
        ("nothing",): (1, 1),
    }
    assert {path: Place("f", *at) for path, at in expected.items()} == {path: source.place(path) for path in expected}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", "3:1: the key 'a' stands here twice (first in line 1); keep one"),
        ("x:\n  a: &anchor 1", "2:6: anchors and aliases (& and *) are not used here"),
        ("a: *anchor", "1:4: anchors and aliases (& and *) are not used here"),
        ("a: !!python/object/apply:os.system [ls]", "1:4: tags (!…) are not used here"),
        ("a: !secret", "1:4: tags (!…) are not used here"),
        ("[a]: b", "1:1: a key must be a plain word"),
        ("a: [1, 2", "1:1: is not YAML: did not find expected ',' or ']'"),
        ("a: b: c", "1:5: is not YAML: mapping values are not allowed in this context"),
        ("a: 1\n---\nb: 2", "2:1: is not YAML: but found another document"),
        ("a: é\nb: x\x07y", "2:5: the character U+0007 is not allowed in YAML; delete it"),
        (b"a: 1\nb: \xff", "2:1: is not UTF-8; save the file as UTF-8"),
        ("[" * 60, "1:41: is nested deeper than 40 levels"),
    ],
)
def test_what_yaml_cannot_be_trusted_with_is_refused_at_its_place(text: str | bytes, expected: str) -> None:
    """Duplicates, anchors, tags, depth, broken text: each with line, column and the next step."""
    [told] = refused(text)
    assert told.startswith(expected)


def test_a_bomb_of_aliases_is_refused_before_it_is_built() -> None:
    """A billion laughs cost no time."""
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    began = time.monotonic()
    assert refused("\n".join(lines)) == [
        "1:5: anchors and aliases (& and *) are not used here; write the value out, or put it in quotes"
    ]
    assert time.monotonic() - began < 5


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """A file past the cap is never parsed."""
    file = tmp_path / "big.yaml"
    file.write_bytes(b"# " + b"x" * MAX_BYTES)
    with pytest.raises(SourceError, match=r"big.yaml:1:1: larger than 1,000,000 bytes; split it"):
        load(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error is ours, with the reason of the system."""
    with pytest.raises(SourceError, match=r"gone.yaml:1:1: cannot be read: No such file or directory"):
        load(tmp_path / "gone.yaml")


@given(st.one_of(st.binary(max_size=200), st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,?\n\t \\~é\x85", max_size=60)))
def test_any_bytes_give_data_or_a_source_error(content: bytes | str) -> None:
    """Hostile bytes never raise anything else."""
    source = None
    with contextlib.suppress(SourceError):
        source = loads(content.encode() if isinstance(content, str) else content, name="f")
    assert source is None or isinstance(source.place(()), Place)


def test_a_sound_file_becomes_its_model() -> None:
    """Texts are typed by the model alone."""
    person = validate(loads(b"name: 007\nage: 41\naddress: {city: Ulm}", name="f"), Person)
    assert Person(name="007", age=41, address=Address(city="Ulm")) == person


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nmae: x\nage: 1", ["1:1: the key 'name' is missing", "1:1: unknown key 'nmae'; did you mean 'name'?"]),
        (
            "name: x\ncity: Ulm",
            ["2:1: unknown key 'city'; known are address, age, friends, name, password, pets"],
        ),
        (
            "name: x\naddress:\n  city: Ulm\n  postcode: 1",
            ["4:3: unknown key 'postcode'; did you mean 'post_code'?"],
        ),
        (
            "name: x\nfriends:\n- {city: Ulm}\n- {citty: Ulm}",
            ["4:3: friends.1: the key 'city' is missing", "4:4: unknown key 'citty'; did you mean 'city'?"],
        ),
        (
            "name: x\nage: old",
            ["2:1: age: input should be a valid integer, unable to parse string as an integer (it says 'old')"],
        ),
        ("name: x\naddress: {}", ["2:1: address: the key 'city' is missing"]),
        ("- name", ["1:1: keys with values are expected here, each as `key: value` with a blank after the colon"]),
        ("", ["1:1: the key 'name' is missing"]),
    ],
)
def test_every_fault_is_told_at_its_place_with_the_keys_of_that_place(text: str, expected: list[str]) -> None:
    """Suggestions are the keys that may stand there, not those of some other part."""
    assert expected == invalid(text)


def test_suggestions_inside_a_union_are_the_keys_of_its_branches() -> None:
    """The names of union branches in pydantic's locations are no keys."""
    told = invalid("name: x\npets:\n  tom: {livs: 9}")
    assert "3:9: unknown key 'livs'; did you mean 'lives'?" in told


def test_a_misplaced_secret_is_not_repeated() -> None:
    """A colon without a blank, or a tag, must not print what follows."""
    told = [
        *invalid("name: x\naddress:\n  password:hunter2"),
        *refused("password: !hunter2"),
        *refused("password: &hunter2"),
    ]
    assert len(told) == 3
    assert [line for line in told if "hunter2" in line] == []


def test_thousands_of_faults_are_cut_short_and_quick() -> None:
    """A file of nonsense costs a moment and a hundred lines."""
    began = time.monotonic()
    told = invalid("name: x\n" + "\n".join(f"key{n}: 1" for n in range(5_000)))
    assert (len(told), told[0]) == (MAX_PROBLEMS + 1, "1:1: and 4900 more problems; mend these first")
    assert time.monotonic() - began < 5


def test_long_values_are_quoted_in_part() -> None:
    """A message is a line, however long the value."""
    [told] = invalid(f"name: x\nage: {'9x' * 5_000}")
    assert len(told) < 250


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (["customer", "entity"], "; did you mean 'customer'?"),
        (["zebra", "apple"], "; known are apple, zebra"),
        ([f"{letter}{letter}{letter}" for letter in "abdefghijklmn"], ""),
        ([], ""),
    ],
)
def test_did_you_mean(known: list[str], expected: str) -> None:
    """The nearest word, else a short list, else nothing."""
    assert expected == did_you_mean("custmer", known)


def test_a_place_reads_as_editors_take_it() -> None:
    """file:line:column."""
    place: Any = Place("hub.yaml", 3, 5)
    assert str(place) == "hub.yaml:3:5"
