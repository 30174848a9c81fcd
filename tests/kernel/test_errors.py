"""Every incident has a stable code and says what happened in both languages (architecture, "Names")."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Iterator

import pytest

import app  # noqa: F401  loads every package, and with it every incident
from kernel.errors import Conflict, Forbidden, Invalid, Invalids, NotFound, PortalError, Unavailable

HAN = re.compile(r"[\u4e00-\u9fff]")


def below(base: type[PortalError]) -> Iterator[type[PortalError]]:
    for child in base.__subclasses__():
        if child.__module__.partition(".")[0] in {"kernel", "market", "reviews", "integration"}:
            yield child
            yield from below(child)


EVERY = sorted(set(below(PortalError)), key=lambda kind: (kind.__module__, kind.__name__))


def holes(template: str) -> set[str]:
    """The parameters of a message; those that carry their language in the name count as one."""
    names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    return {re.sub(r"_(zh|en)$", "", name) for name in names}


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_incident_speaks_chinese_and_english(kind: type[PortalError]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", kind.code)
    assert 400 <= kind.status < 600
    assert HAN.search(kind.zh)
    assert kind.en.strip()
    assert not HAN.search(kind.en)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_english_text_knows_no_more_than_the_chinese(kind: type[PortalError]) -> None:
    assert holes(kind.en) <= holes(kind.zh) | {"hint"}


#: A code that can't be read is wrong input in a form, and an address that leads nowhere in the API.
TWO_STATUSES = {"bad_project_code": {404, 422}}


def test_one_code_means_one_status() -> None:
    statuses: dict[str, set[int]] = defaultdict(set)
    for kind in EVERY:
        statuses[kind.code].add(kind.status)
    assert {code: found for code, found in statuses.items() if len(found) > 1} == TWO_STATUSES


def test_incident_carries_field_and_parameters() -> None:
    class Trial(Invalid):
        code = "trial"
        zh = "共 {count} 处"
        en = "{count} of them"

    error = Trial(field="points", count=3)
    assert (error.field, error.params, error.code, error.status) == ("points", {"count": 3}, "trial", 422)
    assert (error.text(), error.text("en")) == ("共 3 处", "3 of them")


def test_several_incidents_are_told_in_one_go() -> None:
    both = Invalids([Invalid(field="a"), Invalid(field="b")])
    assert [error.field for error in both.errors] == ["a", "b"]
    assert "2" in both.text()


def test_families_answer_with_their_status() -> None:
    wanted = {Invalid: 422, NotFound: 404, Forbidden: 403, Conflict: 409, Unavailable: 503}
    assert {kind: kind().status for kind in wanted} == wanted
