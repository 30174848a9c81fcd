"""The shipped catalogue, qualification tree, demo matters and synonyms hold what their README promises (001 §9.1)."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "market" / "data"
ARTICLE = re.compile(r"^《[^《》]+》第[一二三四五六七八九十百零]+条$")
STAGES = {"1", "2", "3", "4", "5"}
MAY_BE_EMPTY = {"legal_basis", "qualifications", "valid_months"}
Row = dict[str, str]


def read(name: str) -> list[Row]:
    with (DATA / name).open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for line, row in enumerate(rows, start=2):
        assert None not in row, f"{name}:{line} has too many cells"
        assert None not in row.values(), f"{name}:{line} has too few cells"
    return rows


def parts(cell: str) -> list[str]:
    return cell.split("|") if cell else []


ITEMS = read("catalogue.csv")
SPECIALITIES = read("specialities.csv")
GUIDE = read("../../integration/approvals/data/guide_matters.csv")
SYNONYMS = read("synonyms.csv")
BY_CODE = {row["code"]: row for row in ITEMS}
LEVELS = {row["code"]: parts(row["levels"]) for row in SPECIALITIES}

each_item = pytest.mark.parametrize("item", ITEMS, ids=lambda row: row["code"])


def item_delivering(material: str) -> str:
    """Code of the item whose longest keyword the material contains and none of whose excluded words, else ''."""
    candidates = [
        (len(keyword), item["code"])
        for item in ITEMS
        if not any(word in material for word in parts(item["excluded_keywords"]))
        for keyword in parts(item["deliverable_kind_keywords"])
        if keyword in material
    ]
    return max(candidates)[1] if candidates else ""


def test_catalogue_has_at_least_sixty_items_with_unique_codes_and_names() -> None:
    assert len(ITEMS) >= 60
    for column in ("code", "name", "name_en"):
        repeated = [value for value, count in Counter(row[column] for row in ITEMS).items() if count > 1]
        assert not repeated


def test_catalogue_covers_every_stage_and_a_dozen_categories() -> None:
    assert {row["stage"] for row in ITEMS} == STAGES
    assert 10 <= len({row["category"] for row in ITEMS}) <= 15


def test_no_keyword_belongs_to_two_items() -> None:
    counts = Counter(keyword for row in ITEMS for keyword in parts(row["deliverable_kind_keywords"]))
    assert [keyword for keyword, count in counts.items() if count > 1] == []


@each_item
def test_every_promised_column_is_filled_cleanly(item: Row) -> None:
    for column, cell in item.items():
        assert cell or column in MAY_BE_EMPTY, column
        assert cell == cell.strip(), column
        assert "\n" not in cell, column
        pieces = cell.split("|")
        assert pieces == [""] or all(piece and piece == piece.strip() for piece in pieces), column
        assert len(pieces) == len(set(pieces)), column


@each_item
def test_code_names_the_stage_of_the_item(item: Row) -> None:
    found = re.fullmatch(r"ZJ-(\d{2})\d{2}", item["code"])
    assert found is not None
    assert int(found.group(1)) == int(item["stage"])


@each_item
def test_legal_basis_names_an_article_or_the_item_is_voluntary(item: Row) -> None:
    assert item["voluntary"] in {"yes", "no"}
    basis = parts(item["legal_basis"])
    assert basis or item["voluntary"] == "yes"
    assert all(ARTICLE.match(entry) for entry in basis)


@each_item
def test_numbers_and_choices_are_within_range(item: Row) -> None:
    assert 1 <= int(item["promised_working_days"]) <= 60
    assert 1 <= int(item["practitioners"]) <= 10
    assert item["valid_months"] == "" or 1 <= int(item["valid_months"]) <= 120
    assert item["technical_review"] in {"yes", "no"}
    assert item["may_self_prepare"] in {"yes", "no"}
    assert item["fee_management"] in {"market", "government_guided", "government_priced", "fiscal"}
    assert item["qualification_mode"] in {"none", "any", "all"}


@each_item
def test_qualifications_exist_with_a_level_of_their_own_ladder(item: Row) -> None:
    required = parts(item["qualifications"])
    assert (item["qualification_mode"] == "none") == (required == [])
    for entry in required:
        code, _, level = entry.partition(":")
        assert code in LEVELS
        assert level in LEVELS[code] if LEVELS[code] else level == "", entry


@each_item
def test_each_deliverable_is_recognised_as_its_own_item(item: Row) -> None:
    for name in parts(item["deliverable"]):
        assert item_delivering(name) == item["code"], name


@each_item
def test_a_permit_about_the_deliverable_is_not_taken_for_it(item: Row) -> None:
    for name in parts(item["deliverable"]):
        assert item_delivering(f"{name}的批复") != item["code"]


@each_item
def test_a_technical_review_is_never_self_prepared_and_fiscal_fees_never_reach_the_applicant(item: Row) -> None:
    if item["technical_review"] == "yes":
        assert item["may_self_prepare"] == "no"
        assert item["category"] == "技术审查"
    if item["fee_management"] == "fiscal":
        assert "不向项目单位收取" in item["fee_basis"]


@each_item
def test_english_is_given_for_readers_of_english(item: Row) -> None:
    for column in ("name_en", "content_en"):
        assert re.search(r"[一-鿿]", item[column]) is None
    assert item["content_en"].endswith(".")


def test_specialities_form_a_tree_with_unique_codes_and_distinct_levels() -> None:
    codes = [row["code"] for row in SPECIALITIES]
    assert len(codes) == len(set(codes))
    parents = {row["code"]: row["parent_code"] for row in SPECIALITIES}
    for row in SPECIALITIES:
        assert row["name"]
        assert row["issuing_authority"]
        assert row["source"]
        assert len(set(LEVELS[row["code"]])) == len(LEVELS[row["code"]])
        walked: set[str] = set()
        code = row["code"]
        while code:
            assert code in parents, f"unknown parent {code}"
            assert code not in walked, f"circle at {code}"
            walked.add(code)
            code = parents[code]


def test_demo_city_has_twelve_to_fifteen_matters_of_five_to_nine_materials() -> None:
    materials: dict[str, list[str]] = {}
    heads: dict[str, set[tuple[str, ...]]] = {}
    for row in GUIDE:
        materials.setdefault(row["matter_code"], []).append(row["material"])
        head = tuple(row[key] for key in ("matter", "department", "promised_working_days", "legal_basis", "stage"))
        heads.setdefault(row["matter_code"], set()).add(head)
    assert 12 <= len(materials) <= 15
    assert all(5 <= len(names) <= 9 for names in materials.values())
    assert all(len(names) == len(set(names)) for names in materials.values())
    assert all(len(variants) == 1 for variants in heads.values())
    assert len({row["matter"] for row in GUIDE}) == len(materials)


@pytest.mark.parametrize("row", GUIDE, ids=lambda row: f"{row['matter_code']}-{row['material']}")
def test_demo_material_points_to_the_item_its_words_name(row: Row) -> None:
    assert row["stage"] in STAGES
    assert row["required"] in {"yes", "no"}
    assert 1 <= int(row["promised_working_days"]) <= 60
    assert all(ARTICLE.match(entry) for entry in row["legal_basis"].split("|"))
    assert item_delivering(row["material"]) == row["from_item_code"]
    if row["from_item_code"]:
        assert row["matter"] in parts(BY_CODE[row["from_item_code"]]["matters"])


def test_each_demo_matter_needs_at_least_one_intermediary_deliverable() -> None:
    served = {row["matter_code"] for row in GUIDE if row["from_item_code"]}
    assert served == {row["matter_code"] for row in GUIDE}


def test_synonyms_lead_from_unique_short_forms_to_words_of_the_catalogue() -> None:
    assert len(SYNONYMS) >= 25
    short_forms = [row["short_form"] for row in SYNONYMS]
    assert len(short_forms) == len(set(short_forms))
    text = "\n".join(cell for item in ITEMS for cell in item.values())
    for row in SYNONYMS:
        assert row["full_form"] != row["short_form"]
        assert row["full_form"] in text, row["full_form"]
