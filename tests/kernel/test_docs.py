"""Documents are tested: every setting, act, role, cell, subscription, word and term is in docs/ (architecture)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import pytest
from apiflask import APIFlask

import app as application
from kernel import jobs, trail
from kernel.access import Cell, Role
from kernel.config import Config, environment_name
from kernel.web import documentation
from kernel.words import Worded

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
HAN = re.compile(r"[\u4e00-\u9fff]")


def cells() -> dict[str, Cell]:
    table: dict[str, Cell] = {}
    for package in application.PAGES:
        table |= package.ACCESS
    return table


@pytest.fixture
def parts(app: APIFlask) -> Mapping[str, Mapping[str, str]]:
    return documentation.parts(app, cells())


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_generated_parts_are_as_the_code_says(parts: Mapping[str, Mapping[str, str]]) -> None:
    """Mend by ``flask docs write``."""
    assert documentation.differences(parts) == []


def test_every_setting_is_documented() -> None:
    assert [
        n for n in map(environment_name, (f.name for f in fields(Config))) if f"`{n}`" not in text("settings.md")
    ] == []


def test_every_act_is_documented_with_both_labels() -> None:
    document = text("acts.md")
    for act, (zh, en) in trail.named_acts().items():
        assert f"| `{act}` | {zh} | {en} |" in document


def test_every_role_and_every_route_is_documented(app: APIFlask) -> None:
    document = text("access.md")
    assert all(f"| `{role.value}` | {role.zh} | {role.en} |" in document for role in Role)
    for rule in app.url_map.iter_rules():
        assert f"`{rule.endpoint}`" in document
        assert cells()[rule.endpoint].name in document


def test_every_cell_is_named_in_chinese_too(app: APIFlask) -> None:
    assert all(HAN.search(documentation._in_chinese(cell.name)) for cell in cells().values())
    for cell in cells().values():
        assert not re.search(r"[a-z]", documentation._in_chinese(cell.name)), cell.name


def test_subscriptions_are_documented_as_the_application_wires_them(app: APIFlask) -> None:
    document = text("subscriptions.md")
    assert trail.subscriptions() == {act: tuple(rules) for act, rules in application.SUBSCRIPTIONS.items()}
    for act, rules in application.SUBSCRIPTIONS.items():
        for rule in rules:
            assert re.search(rf"\| `{re.escape(act)}` \|.*`{rule.__module__}\.{rule.__qualname__}`", document), act
    for source in application.DUE:
        assert f"`{source.kind}`" in document
    assert jobs.registered() == application.DUE


def test_every_subscribed_act_exists_and_every_subscriber_says_what_it_does(app: APIFlask) -> None:
    for act, rules in application.SUBSCRIPTIONS.items():
        assert act in trail.named_acts()
        assert all((rule.__doc__ or "").strip() for rule in rules), act


@pytest.mark.parametrize("words", documentation.every_enumeration(), ids=lambda words: words.__name__)
def test_every_stored_word_is_documented(words: type[Worded]) -> None:
    document = text("glossary.md")
    for member in words:
        assert HAN.search(member.zh), member
        assert member.en.strip(), member
        assert f"`{member.value}` | {member.zh} | {member.en} |" in document


def terms() -> list[tuple[str, list[str]]]:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \|$", text("glossary.md").partition("## ")[0], re.MULTILINE)
    return [(zh, re.findall(r"`([^`]+)`", code)) for zh, code in rows if "`" in code]


@pytest.mark.parametrize(("zh", "names"), terms(), ids=lambda value: str(value))
def test_glossary_term_is_a_name_in_the_code(zh: str, names: list[str]) -> None:
    assert HAN.search(zh)
    assert names
    code = _code()
    for name in names:
        assert re.search(rf"\b{re.escape(name)}\b", code), name


def test_glossary_covers_every_record_that_people_meet() -> None:
    named = {name for _, names in terms() for name in names}
    assert named >= {
        "Agency", "Case", "Commission", "Decision", "Deliverable", "Light", "Listing", "Matter", "Phase", "Policy",
        "Project", "ServiceItem", "TrailAct",
    }  # fmt: skip


def _code() -> str:
    global _source
    if not _source:
        paths = (path for package in documentation.PACKAGES for path in (ROOT / package).rglob("*.py"))
        _source = "\n".join(path.read_text(encoding="utf-8") for path in paths if path.name != "documentation.py")
    return _source


_source = ""


def test_difference_is_found_and_mended(tmp_path: Path) -> None:
    wanted = {"x.md": {"acts": "| a |\n"}}
    (tmp_path / "x.md").write_text("# X\n\n<!-- generated: acts -->\nold\n<!-- /generated -->\nend\n", encoding="utf-8")
    assert len(documentation.differences(wanted, tmp_path)) == 1
    assert documentation.write(wanted, tmp_path) == ["x.md"]
    assert documentation.differences(wanted, tmp_path) == []
    assert documentation.write(wanted, tmp_path) == []
    assert (tmp_path / "x.md").read_text(encoding="utf-8") == (
        "# X\n\n<!-- generated: acts -->\n| a |\n<!-- /generated -->\nend\n"
    )


def test_document_without_a_place_for_its_part_is_named(tmp_path: Path) -> None:
    wanted = {"x.md": {"acts": "| a |\n"}}
    (tmp_path / "x.md").write_text("# X\n", encoding="utf-8")
    assert documentation.differences(wanted, tmp_path)
    with pytest.raises(documentation.PartMissing, match=r"x\.md"):
        documentation.write(wanted, tmp_path)
