"""The guide to matters: imports, mapping to service items, voluntary items (A18)."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import select

from integration.approvals import guide, matters
from integration.approvals.guide import MatterKind
from kernel.db import session, transaction
from kernel.errors import Invalids
from kernel.trail import SYSTEM
from market import catalogue
from market.catalogue import FileUnreadable, ServiceItem


def row(**changes: str) -> dict[str, str]:
    return {
        "matter_no": "7",
        "matter": "河道采砂许可",
        "department": "示例市水务局",
        "promised_working_days": "5",
        "material": "申请表",
    } | changes


@pytest.fixture
def report_name() -> str:
    """A material that the item for soil and water conservation delivers."""
    return "生产建设项目水土保持方案报告书"


@pytest.fixture(autouse=True)
def _guide_as_shipped(portal):  # type: ignore[no-untyped-def]
    """Matters of the guide outlive a test; those that these tests bring are taken out again."""
    yield
    with transaction():
        for kind in session.scalars(select(MatterKind).where(MatterKind.code.like("M%"))):
            session.delete(kind)


def imported(rows: list[dict[str, str]]) -> guide.Report:
    with transaction():
        return guide.import_matters(rows, SYSTEM, source="test.csv")


def test_the_shipped_matters_are_all_there_with_their_legal_basis(portal) -> None:  # type: ignore[no-untyped-def]
    kinds = guide.all_kinds()
    assert len(kinds) >= 15
    assert all(kind.legal_basis and kind.materials and kind.is_shipped for kind in kinds)


def test_a_material_is_mapped_to_the_item_that_delivers_it(portal, report_name: str) -> None:  # type: ignore[no-untyped-def]
    report = imported([row(material=report_name), row(material="单位公章")])
    assert (report.matters, report.materials, report.mapped) == (1, 2, 1)
    assert report.unmapped == [("河道采砂许可", "单位公章")]
    kind = guide.by_code("M0007")
    assert [material.item_code for material in kind.materials] == ["ZJ-0506", None]
    assert kind.promised_working_days == 5


def test_a_material_named_twice_is_kept_once_and_told(portal) -> None:  # type: ignore[no-untyped-def]
    report = imported([row(), row()])
    assert report.dropped_duplicates == [("河道采砂许可", "申请表")]
    assert report.materials == 2
    assert len(guide.by_code("M0007").materials) == 1


def test_a_matter_that_needs_nothing_demands_nothing(portal) -> None:  # type: ignore[no-untyped-def]
    report = imported([row(material="无")])
    assert report.unmapped == [("河道采砂许可", "无")]
    assert guide.by_code("M0007").materials == []


def test_what_a_voluntary_item_delivers_is_never_demanded(portal) -> None:  # type: ignore[no-untyped-def]
    """A18"""
    item = next(i for i in catalogue.all_items() if i.voluntary)
    report = imported([row(material=item.deliverables[0], from_item_code=item.code, required="yes")])
    material = guide.by_code("M0007").materials[0]
    assert material.item_code == item.code
    assert not material.required
    assert material.voluntary_only
    assert report.voluntary == [("河道采砂许可", item.deliverables[0])]


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"promised_working_days": "0"}, "promised_working_days"),
        ({"promised_working_days": "-3"}, "promised_working_days"),
        ({"promised_working_days": "五"}, "promised_working_days"),
        ({"material": " "}, "material"),
        ({"matter_no": "七"}, "matter_no"),
        ({"department": ""}, "department"),
        ({"stage": "9"}, "stage"),
        ({"required": "perhaps"}, "required"),
        ({"from_item_code": "ZJ-9999"}, "from_item_code"),
        ({"material": "另一份", "department": "另一个局"}, "department"),
    ],
)
def test_a_wrong_row_is_told_with_its_number_and_nothing_is_stored(  # type: ignore[no-untyped-def]
    portal, changes: dict[str, str], column: str
) -> None:
    with pytest.raises(Invalids) as caught:
        imported([row(), row(**changes)])
    fault = caught.value.errors[0]
    assert (fault.params["row"], fault.params["column"]) == (3, column)
    assert session.scalars(select(MatterKind).where(MatterKind.code == "M0007")).first() is None


def test_every_fault_is_told_at_once(portal) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Invalids) as caught:
        imported([row(material=""), row(promised_working_days="x", matter="")])
    assert [error.params["row"] for error in caught.value.errors] == [2, 3, 3]


def test_a_file_without_its_columns_is_refused(portal) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FileUnreadable) as caught:
        guide.read_csv(io.StringIO("matter_no,matter\n1,甲\n"))
    assert "department" in caught.value.text()


def test_the_same_file_again_changes_nothing(portal) -> None:  # type: ignore[no-untyped-def]
    imported([row()])
    before = guide.by_code("M0007").imported_at
    imported([row()])
    kind = guide.by_code("M0007")
    assert kind.edition == 1
    assert kind.imported_at == before


def test_a_number_of_another_matter_of_another_department_is_not_overwritten(portal) -> None:  # type: ignore[no-untyped-def]
    imported([row()])
    with pytest.raises(Invalids):
        imported([row(matter="燃气经营许可", department="示例市城市管理局")])
    assert guide.by_code("M0007").name == "河道采砂许可"


def test_a_new_edition_leaves_running_matters_their_own_list(world) -> None:  # type: ignore[no-untyped-def]
    imported([row()])
    with transaction():
        matter = matters.apply(world.project, guide.by_code("M0007"), world.client_org, by=world.applicant)
    number = matter.number
    imported([row(material="新表"), row(material="承诺书")])
    kind = guide.by_code("M0007")
    assert kind.edition == 2
    assert [material.name for material in kind.materials] == ["新表", "承诺书"]
    session.expire_all()
    again = matters.find(number, by=world.applicant)
    assert [material.name for material in again.materials] == ["申请表"]
    assert again.kind_edition == 1
    with transaction():  # so that the guide can be put back as it was
        for material in again.materials:
            session.delete(material)
        session.flush()
        session.delete(session.merge(again))


def test_matters_import_reports_what_no_item_delivers(portal, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "matters.csv"
    file.write_text(
        "matter_no,matter,department,promised_working_days,material\n7,河道采砂许可,示例市水务局,5,单位公章\n",
        encoding="utf-8",
    )
    result = portal.test_cli_runner().invoke(args=["matters", "import", str(file)])
    assert result.exit_code == 0, result.output
    assert "河道采砂许可 · 单位公章" in result.output


def test_matters_import_fails_with_row_numbers(portal, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "matters.csv"
    file.write_text(
        "matter_no,matter,department,promised_working_days,material\n7,河道采砂许可,示例市水务局,没有,表\n",
        encoding="utf-8",
    )
    result = portal.test_cli_runner().invoke(args=["matters", "import", str(file)])
    assert result.exit_code == 1
    assert "第 2 行" in result.output


def test_every_voluntary_item_of_the_catalogue_is_optional_in_the_shipped_guide(portal) -> None:  # type: ignore[no-untyped-def]
    """A18"""
    voluntary = set(session.scalars(select(ServiceItem.code).where(ServiceItem.voluntary.is_(True))))
    demanded = [m for kind in guide.all_kinds() for m in kind.materials if m.item_code in voluntary and m.required]
    assert demanded == []
