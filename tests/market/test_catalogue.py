"""The catalogue comes in whole or not at all, and goes out as it came in (A1, A18)."""

from __future__ import annotations

import io
from typing import Any

import pytest
from sqlalchemy import func, select

from kernel.db import session, transaction
from kernel.errors import Invalids
from kernel.trail import SYSTEM
from market import catalogue, shelf
from market.catalogue import ServiceItem

pytestmark = pytest.mark.usefixtures("portal")


@pytest.fixture
def rows() -> list[dict[str, str]]:
    with (catalogue.DATA / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        return catalogue.read_csv(file)


@pytest.fixture(autouse=True)
def restored(rows: list[dict[str, str]], portal: Any) -> Any:
    yield
    with transaction():
        extra = session.scalars(select(ServiceItem).where(ServiceItem.code.notin_([row["code"] for row in rows])))
        for item in extra:
            session.delete(item)
        catalogue.import_items(rows, by=SYSTEM)


def count() -> int:
    return session.scalar(select(func.count()).select_from(ServiceItem)) or 0


def refused(rows: list[dict[str, str]]) -> list[tuple[int, str]]:
    with transaction(), pytest.raises(Invalids) as caught:
        catalogue.import_items(rows, by=SYSTEM)
    return [(error.params["row"], error.params["column"]) for error in caught.value.errors]


def test_a_file_with_bad_rows_changes_nothing_and_names_each_row(rows: list[dict[str, str]]) -> None:
    before = count()
    new = rows[0] | {"code": "ZJ-9901"}
    bad = [
        new,
        new,
        new | {"code": "ZJ-9902", "stage": "9"},
        new | {"code": "ZJ-9903", "voluntary": "也许", "promised_working_days": "-3"},
        new | {"code": "ZJ-9904", "legal_basis": "", "voluntary": "no"},
        new | {"code": "ZJ-9905", "qualification_mode": "all", "qualifications": "Q05:特级"},
        new | {"code": "ZJ-9906", "qualification_mode": "all", "qualifications": ""},
        new | {"code": "ZJ-9907", "name": ""},
        new | {"code": "ZJ-9908", "legal_basis": "《某某办法》"},
    ]
    assert refused(bad) == [
        (3, "code"),
        (4, "stage"),
        (5, "voluntary"),
        (5, "promised_working_days"),
        (6, "legal_basis"),
        (7, "qualifications"),
        (8, "qualifications"),
        (9, "name"),
        (10, "legal_basis"),
    ]
    assert count() == before


def test_a_fault_reads_with_row_and_column(rows: list[dict[str, str]]) -> None:
    with transaction(), pytest.raises(Invalids) as caught:
        catalogue.import_items([rows[0] | {"stage": "9"}], by=SYSTEM)
    assert caught.value.errors[0].text("zh").startswith("第 2 行“stage”")
    assert caught.value.errors[0].text("en").startswith("Row 2")


def test_importing_tells_new_from_changed_from_equal(rows: list[dict[str, str]]) -> None:
    with transaction():
        assert catalogue.import_items(rows, by=SYSTEM) == (0, 0)
        changed = [rows[0] | {"name": "项目建议书编写"}, rows[1] | {"code": "ZJ-9901"}]
        assert catalogue.import_items(changed, by=SYSTEM) == (1, 1)
    assert catalogue.by_code("ZJ-0101").name == "项目建议书编写"


def test_csv_goes_round_without_loss(rows: list[dict[str, str]]) -> None:
    out = io.StringIO()
    assert catalogue.write_csv(out) == count()
    again = catalogue.read_csv(io.StringIO(out.getvalue(), newline=""))
    assert again == sorted(rows, key=lambda row: row["code"])
    with transaction():
        assert catalogue.import_items(again, by=SYSTEM) == (0, 0)


def test_xlsx_goes_round_without_loss(rows: list[dict[str, str]]) -> None:
    again = catalogue.read_xlsx(io.BytesIO(catalogue.write_xlsx()))
    assert again == sorted(rows, key=lambda row: row["code"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"code,name\n"])
def test_a_workbook_that_cannot_be_read_is_named(content: bytes) -> None:
    with pytest.raises(catalogue.FileUnreadable):
        catalogue.read_xlsx(io.BytesIO(content))


def test_a_file_without_a_column_is_refused_with_its_name() -> None:
    with pytest.raises(catalogue.FileUnreadable) as caught:
        catalogue.read_csv(io.StringIO("code,name\nZJ-0101,甲\n"))
    assert "legal_basis" in str(caught.value.params["what"])


def test_an_unknown_code_is_a_named_error() -> None:
    with pytest.raises(catalogue.ItemUnknown):
        catalogue.by_code("ZJ-0000")
    with pytest.raises(catalogue.ItemUnknown):
        shelf.guide().item("ZJ-0000")


def test_the_kept_catalogue_follows_an_import(rows: list[dict[str, str]]) -> None:
    with transaction():
        catalogue.import_items([rows[0] | {"name": "旧名"}], by=SYSTEM)
    first = shelf.guide()
    assert first.item("ZJ-0101").name == "旧名"
    assert shelf.guide() is first
    with transaction():
        catalogue.import_items([rows[0] | {"name": "新名"}], by=SYSTEM)
    assert shelf.guide().item("ZJ-0101").name == "新名"
