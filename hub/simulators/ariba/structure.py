"""The strict structural check: every element where grammar.txt allows it, in its order, with its attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lxml import etree

from hub.simulators.ariba.answers import Refusal

XML = "{http://www.w3.org/XML/1998/namespace}"


@dataclass(frozen=True)
class Rule:
    """What one element may hold. `pattern` is matched against its children's names, each followed by a space."""

    model: str
    pattern: re.Pattern[str]
    text: bool
    required: frozenset[str]
    attributes: frozenset[str]
    values: Mapping[str, frozenset[str]]  # of the attributes that list theirs

    @property
    def any_child(self) -> bool:
        """Whether every element of the grammar may stand here."""
        return self.model == "ANY"

    @property
    def opaque(self) -> bool:
        """Whether its content is not looked into."""
        return self.model == "ANYTHING"


def check(root: etree._Element) -> None:
    """Raise Refusal (406) with what is wrong first, and where."""
    todo = [root]
    while todo:
        element = todo.pop()
        children = list(element)
        names = tuple([str(child.tag) for child in children])
        wrong = _wrong_shape(str(element.tag), names, tuple(element.attrib))
        if not wrong:
            rule = RULES[element.tag]
            wrong = _wrong_values(rule, element) or ("" if rule.text else _wrong_text(element, children))
            if not rule.opaque:
                todo += reversed(children)
        if wrong:
            path = "/".join(str(parent.tag) for parent in (*reversed(list(element.iterancestors())), element))
            raise Refusal(406, f"{wrong} (line {element.sourceline}, {path})")


@lru_cache(maxsize=4096)
def _wrong_shape(name: str, children: tuple[str, ...], attributes: tuple[str, ...]) -> str:
    """What is wrong with an element of these children and attributes; "" for nothing. Invoices repeat few shapes."""
    rule = RULES.get(name)
    if rule is None:
        return f"element {name} is not known here"
    attributes = tuple(key.replace(XML, "xml:") for key in attributes)
    if missing := sorted(rule.required.difference(attributes)):
        return f"{name} lacks the attribute {missing[0]}"
    if unknown := [key for key in attributes if key not in rule.attributes]:
        return f"{name} has no attribute {unknown[0]}"
    if not (rule.opaque or rule.any_child) and not rule.pattern.fullmatch("".join(f"{child} " for child in children)):
        return f"{name} holds ({', '.join(children)}) where ({rule.model}) is expected"
    return ""


def _wrong_values(rule: Rule, element: etree._Element) -> str:
    for key, allowed in rule.values.items():
        value = element.get(key)
        if value is not None and value not in allowed:
            return f"{element.tag}@{key} is {value!r}, not one of: {', '.join(sorted(allowed))}"
    return ""


def _wrong_text(element: etree._Element, children: list[etree._Element]) -> str:
    for text in (element.text, *[child.tail for child in children]):
        if text and not text.isspace():
            return f"{element.tag} holds text where only elements are expected"
    return ""


def _read(lines: Iterator[str]) -> Mapping[str, Rule]:
    """The grammar, element by element."""
    heads: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(" "):
            heads[-1][1].append(line.strip())
        elif line.strip() and not line.startswith("#"):
            heads.append((line, []))
    return {head.split()[0]: _rule(head.split()[1:], " ".join(content)) for head, content in heads}


def _rule(attributes: list[str], model: str) -> Rule:
    names = [re.split("[!=]", attribute)[0] for attribute in attributes]
    lists = [attribute.partition("=")[2] for attribute in attributes]
    mixed = model.startswith("TEXT")
    children = model.removeprefix("TEXT").removeprefix(" | ")
    pattern = re.sub(r"[A-Za-z]\w*", lambda match: f"(?:{match[0]} )", children).replace(", ", "").replace(" | ", "|")
    pattern = re.sub(r"\((?!\?)", "(?:", pattern)
    return Rule(
        model=model,
        pattern=re.compile(f"(?:{pattern})*" if mixed else pattern),
        text=mixed or model.startswith("ANY"),
        required=frozenset(name for name, attribute in zip(names, attributes, strict=True) if "!" in attribute),
        attributes=frozenset(names),
        values={name: frozenset(listed.split("|")) for name, listed in zip(names, lists, strict=True) if listed},
    )


RULES = _read(iter(Path(__file__).with_name("grammar.txt").read_text(encoding="utf-8").splitlines()))
