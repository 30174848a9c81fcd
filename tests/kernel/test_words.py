"""Every enumeration speaks Chinese and English (architecture, "Documents are tested")."""

from __future__ import annotations

import re

import pytest

import app  # noqa: F401  loads every package, and with it every enumeration
from kernel.access import Role
from kernel.clock import Light
from kernel.words import Worded

HAN = re.compile(r"[\u4e00-\u9fff]")
EVERY = sorted(
    (words for words in Worded.__subclasses__() if not words.__module__.startswith("test")),
    key=lambda words: (words.__module__, words.__name__),
)


def name(words: type[Worded]) -> str:
    return f"{words.__module__}.{words.__name__}"


def test_enumerations_are_found() -> None:
    assert {Role, Light} <= set(EVERY)


@pytest.mark.parametrize("words", EVERY, ids=name)
def test_every_member_has_a_label_in_both_languages(words: type[Worded]) -> None:
    for member in words:
        assert HAN.search(member.zh), member
        assert member.en.strip(), member
        assert not HAN.search(member.en), member
        assert (member.label(), member.label("en")) == (member.zh, member.en)


@pytest.mark.parametrize("words", EVERY, ids=name)
def test_no_two_members_look_alike(words: type[Worded]) -> None:
    members = list(words)
    assert len({member.zh for member in members}) == len(members)
    assert len({member.en for member in members}) == len(members)


@pytest.mark.parametrize("words", EVERY, ids=name)
def test_stored_values_are_plain_words(words: type[Worded]) -> None:
    for member in words:
        assert re.fullmatch(r"[a-z][a-z0-9_:]*|[0-9]+", member.value), member
        assert words(member.value) is member


def test_unknown_value_is_refused() -> None:
    with pytest.raises(ValueError, match="nobody"):
        Role("nobody")
