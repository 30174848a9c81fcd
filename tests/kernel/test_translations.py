"""The English catalogue covers every Chinese text of the portal, and stays translatable line by line."""

from __future__ import annotations

import io
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "kernel" / "translations" / "en" / "LC_MESSAGES" / "messages.po"
FOLDERS = ("kernel", "market", "reviews", "integration", "templates")

CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
# Ideographic and full-width punctuation; curly quotes and the middle dot are English too.
FULL_WIDTH = re.compile(r"[\u3000-\u303f\uff00-\uffef]")
PLACEHOLDER = re.compile(r"%\((\w+)\)([a-z])")
PERCENT = re.compile(r"%(?!\(\w+\)[a-z]|%)")
# Statutory terms follow their English in brackets; words to type into a search box stand in quotation marks.
SET_APART = re.compile(r"\([^()]*\)|“[^“”]*”")


@cache
def sources() -> dict[str, str]:
    """Every text marked for translation → the first place where it stands, as pyproject.toml maps the files."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        mappings = tomllib.load(file)["tool"]["babel"]["mappings"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for name, line, message, _comments, _context in extract_from_dir(
            ROOT / folder, method_map=methods, keywords=DEFAULT_KEYWORDS
        ):
            for text in [message] if isinstance(message, str) else message:
                found.setdefault(text, f"{folder}/{name}:{line}")
    return found


@cache
def catalogue() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="en", abort_invalid=True)


@cache
def translations() -> dict[str, str]:
    return {str(message.id): str(message.string) for message in catalogue() if message.id}


def leftovers(text: str) -> str:
    """What is Chinese outside brackets and quotation marks."""
    outside = SET_APART.sub("", text)
    return "".join(CHINESE.findall(outside))


def test_every_text_has_its_english() -> None:
    missing = {text: place for text, place in sources().items() if not translations().get(text, "").strip()}
    assert not missing, f"without English: {missing}"


def test_the_catalogue_holds_no_text_that_left_the_portal() -> None:
    assert not list(catalogue().obsolete)
    assert not translations().keys() - sources().keys()


def test_nothing_is_marked_as_a_guess() -> None:
    assert not [message.id for message in catalogue() if message.id and message.fuzzy]


def test_source_texts_are_chinese() -> None:
    foreign = {
        text: place
        for text, place in sources().items()
        if not CHINESE.search(PLACEHOLDER.sub("", text)) and not FULL_WIDTH.search(text)
    }
    assert not foreign, f"source texts are Chinese: {foreign}"


def test_english_keeps_the_placeholders() -> None:
    changed = {
        text: english
        for text, english in translations().items()
        if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(english))
    }
    assert not changed


def test_english_can_be_formatted() -> None:
    """A bare percent sign would break the page in English alone."""
    broken = [english for text, english in translations().items() if "%(" in text and PERCENT.search(english)]
    assert not broken


def test_chinese_stands_only_in_brackets_or_quotation_marks() -> None:
    left = {text: leftovers(english) for text, english in translations().items() if leftovers(english)}
    assert not left


def test_english_has_english_punctuation() -> None:
    left = [english for english in translations().values() if FULL_WIDTH.search(SET_APART.sub("", english))]
    assert not left


def test_spaces_at_the_edges_only_stand_in_for_full_width_punctuation() -> None:
    """``：`` needs no space after it, ``:`` does; anything else would glue or split words."""
    wrong = [
        english
        for text, english in translations().items()
        if "  " in english
        or (english != english.rstrip() and not FULL_WIDTH.match(text[-1]))
        or (english != english.lstrip() and not FULL_WIDTH.match(text[0]))
    ]
    assert not wrong


def test_the_catalogue_names_no_person_and_no_host() -> None:
    head = CATALOGUE.read_text(encoding="utf-8").partition("\nmsgid ")[2].partition("\nmsgid ")[0]
    assert "intermediary-service-supermarket" in head
    assert "@" not in head
    assert "-Date" not in head, "a date in the head changes with every run and says nothing"


def test_the_catalogue_compiles() -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogue())
    compiled.seek(0)
    read_back = read_mo(compiled)
    assert {str(message.id): str(message.string) for message in read_back if message.id} == translations()
    assert not [(message.id, errors) for message, errors in catalogue().check()]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Take it on (接受委托)", ""),
        ("For example “水土保持” (soil and water)", ""),
        ("Take it on 接受委托", "接受委托"),
        ("Harbin (哈工改办〔2022〕3号) 规程", "规程"),
    ],
)
def test_the_rule_for_statutory_terms_sees_what_stands_outside(text: str, left: str) -> None:
    assert leftovers(text) == left
