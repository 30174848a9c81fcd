"""The register of experts: terms, load, where they worked, what forbids them to judge, fees, import (B7)."""

from __future__ import annotations

import io
from datetime import date, timedelta
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from integration.demo.city import credit_code
from kernel import clock, dossier, files, notifications, trail
from kernel.access import Role
from kernel.accounts import Organisation, OrganisationKind, Person, add_member, register_organisation, register_person
from kernel.db import session, transaction
from kernel.dossier import Entry, EntryKind, ReasonMissing
from kernel.errors import Forbidden, Invalids
from kernel.workflow import MoveNotOpen, StaleVersion
from market import agencies
from market.catalogue import FileUnreadable
from reviews import experts, kinds
from reviews.experts import ConflictKind, Expert, ExpertStatus

FROM, UNTIL = date(2026, 1, 1), date(2027, 12, 31)


@pytest.fixture
def town(world: Any) -> Any:
    with transaction():
        kinds.load_shipped()
        experts.load_shipped()
    return world


def entry(**changed: Any) -> experts.Entry:
    told: dict[str, Any] = {
        "name": "魏长河",
        "specialities": ["structure"],
        "title": "正高级工程师",
        "employer": "示例大学建筑学院",
        "region": "示例市",
        "certificates": ["S20260001"],
    }
    return experts.Entry(**{**told, **changed})


def enter(town: Any, *, person: Person | None = None, since: date | None = None, **changed: Any) -> Expert:
    """A registered expert; call inside transaction()."""
    return experts.register(
        entry(**changed), term_from=FROM, term_until=UNTIL, by=town.operator, person=person, employed_since=since
    )


def account(town: Any, login: str = "expert-one") -> Person:
    person = register_person(login, "魏长河")
    add_member(person, town.organisations["住建"], Role.EXPERT)
    return person


def by_numbers(found: list[Expert]) -> list[str]:
    return [one.number for one in found]


class TestRegister:
    def test_an_expert_enters_with_a_term_and_the_policys_load(self, town: Any) -> None:
        with transaction():
            made = enter(town)
        assert made.number.startswith("ZK-2026-")
        assert (made.status, made.most_load) == (ExpertStatus.ACTIVE, 3)
        assert [one.organisation for one in experts.employments(made)] == ["示例大学建筑学院"]
        assert [act.act for act in trail.of(made.subject)] == ["expert.registered"]

    def test_everything_wrong_is_told_at_once(self, town: Any) -> None:
        with transaction(), pytest.raises(Invalids) as refused:
            experts.register(
                entry(name=" ", specialities=["astrology"], region="", most_load=0),
                term_from=UNTIL,
                term_until=FROM,
                by=town.operator,
            )
        fields = [one.field for one in refused.value.errors]
        assert sorted(fields) == ["most_load", "name", "region", "specialities", "term_until"]

    def test_an_account_belongs_to_one_expert_and_must_be_an_experts(self, town: Any) -> None:
        with transaction():
            enter(town, person=account(town))
            with pytest.raises(experts.AccountTaken):
                enter(town, person=experts.account_of("expert-one"))
            with pytest.raises(experts.AccountNotExpert):
                experts.account_of("window")
            with pytest.raises(Invalids):
                enter(town, person=session.merge(town.people["window"]))

    def test_renewing_lengthens_the_term_and_begins_anew_after_a_gap(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            with pytest.raises(experts.TermNotLonger):
                experts.renew(made, UNTIL, by=town.operator)
            experts.renew(made, UNTIL + timedelta(days=1), by=town.operator)
            assert (made.term_from, made.term_until) == (FROM, UNTIL + timedelta(days=1))
            made.term_from, made.term_until = date(2024, 1, 1), date(2025, 12, 31)
            experts.renew(made, UNTIL, by=town.operator)
        assert made.term_from == clock.today()

    def test_a_removed_expert_never_comes_back_and_a_suspended_one_may(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            with pytest.raises(ReasonMissing):
                experts.suspend(made, "  ", by=town.operator)
            experts.suspend(made, "健康原因", by=town.operator, expected_version=made.version)
            assert not made.is_serving(clock.today())
            experts.reinstate(made, by=town.operator)
            assert (made.reason, made.is_serving(clock.today())) == ("", True)
            experts.remove(made, "本人申请", by=town.operator)
            with pytest.raises(MoveNotOpen):
                experts.reinstate(made, by=town.operator)
            with pytest.raises(StaleVersion):
                experts.renew(made, UNTIL + timedelta(days=9), by=town.operator, expected_version=1)

    def test_the_expert_is_told(self, town: Any) -> None:
        with transaction():
            person = account(town)
            experts.suspend(enter(town, person=person), "健康原因", by=town.operator)
        lines, _total = notifications.inbox(person.id)
        assert [line.act for line in lines] == ["expert.suspended"]

    def test_nobody_but_the_operator_keeps_the_register(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            for actor in (town.applicant, town.supervisor, town.agency_actor):
                with pytest.raises(Forbidden):
                    experts.register(entry(), term_from=FROM, term_until=UNTIL, by=actor)
                with pytest.raises(MoveNotOpen):
                    experts.suspend(made, "理由", by=actor)
                with pytest.raises(Forbidden):
                    experts.add_employment(made, "别处", since=FROM, by=actor)


class TestEmployment:
    def test_a_new_employer_ends_the_old_one_the_day_before(self, town: Any) -> None:
        with transaction():
            made = enter(town, since=date(2020, 1, 1))
            experts.add_employment(made, "示例设计院", since=date(2026, 2, 1), by=town.operator)
        held = experts.employments(made)
        assert [(one.organisation, one.since, one.until) for one in held] == [
            ("示例设计院", date(2026, 2, 1), None),
            ("示例大学建筑学院", date(2020, 1, 1), date(2026, 1, 31)),
        ]
        assert made.employer == "示例设计院"

    def test_an_earlier_employment_is_added_without_touching_the_present_one(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            experts.add_employment(made, "旧单位", since=date(2010, 1, 1), until=date(2015, 1, 1), by=town.operator)
        assert made.employer == "示例大学建筑学院"
        assert len(experts.employments(made)) == 2

    def test_dates_that_cannot_be_are_refused(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            with pytest.raises(experts.EmploymentReversed):
                experts.add_employment(made, "甲", since=FROM, until=date(2025, 1, 1), by=town.operator)
            with pytest.raises(experts.EmploymentInFuture):
                experts.add_employment(made, "甲", since=date(2030, 1, 1), by=town.operator)
            with pytest.raises(experts.ExpertDetailMissing):
                experts.add_employment(made, "甲", by=town.operator)


class TestEligible:
    def test_the_term_covers_its_first_and_last_day_and_no_other(self, town: Any) -> None:
        with transaction():
            made = enter(town)
        days = [FROM - timedelta(days=1), FROM, UNTIL, UNTIL + timedelta(days=1)]
        found = [by_numbers(experts.eligible(["structure"], on=on)) for on in days]
        assert found == [[], [made.number], [made.number], []]

    def test_speciality_region_state_and_exclusion(self, town: Any) -> None:
        on = clock.today()
        with transaction():
            first, second = enter(town), enter(town, name="顾南山", specialities=["structure", "architecture"])
            third = enter(town, name="苏北辰", region="邻市")
            experts.suspend(enter(town, name="叶知秋"), "健康原因", by=town.operator)
        assert by_numbers(experts.eligible(["structure"], on=on)) == [first.number, second.number, third.number]
        assert by_numbers(experts.eligible(["architecture"], on=on)) == [second.number]
        assert by_numbers(experts.eligible(["architecture", "structure"], "示例市", on=on)) == [
            first.number,
            second.number,
        ]
        assert by_numbers(experts.eligible(["structure"], on=on, excluding=[first.id, third.id])) == [second.number]
        assert experts.eligible([], on=on) == []

    def test_whoever_has_enough_to_do_is_not_drawn(self, town: Any) -> None:
        with transaction():
            busy, free = enter(town), enter(town, name="顾南山", most_load=4)
        experts.register_load(lambda asked: dict.fromkeys(asked, 3))
        try:
            assert by_numbers(experts.eligible(["structure"], on=clock.today())) == [free.number]
            assert experts.load_of([busy]) == {busy.id: 3}
        finally:
            experts.register_load(lambda asked: {})


def attach(town: Any, author: str = "", issuer: Organisation | None = None, name: str = "") -> Entry:
    """A document in the dossier; call inside transaction()."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    if author:
        canvas.setAuthor(author)
    canvas.drawString(72, 720, author.encode("ascii", "replace").decode())
    canvas.save()
    document = files.put(io.BytesIO(out.getvalue()), "report.pdf", by=town.agency_actor)
    return dossier.attach(
        session.merge(town.project),
        document,
        kind=EntryKind.DELIVERABLE,
        title="勘察报告",
        source="deliverable:CG-2026-000001",
        issuer=issuer.name if issuer else name,
        issuer_id=issuer.id if issuer else None,
        by=town.agency_actor,
    )


def kinds_of(found: list[experts.Conflict]) -> list[ConflictKind]:
    return [one.kind for one in found]


class TestConflicts:
    def test_a_stranger_to_everybody_has_none(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            agency = session.merge(town.organisations["清源"])
            assert experts.conflicts(made, [session.merge(town.client_org)], [attach(town, "某人", agency)]) == []

    def test_the_present_employer_is_found_by_number_and_by_name(self, town: Any) -> None:
        client = town.client_org
        with transaction():
            by_key = enter(town, employer="宏远（简称）", employer_id=client.id)
            by_name = enter(town, name="顾南山", employer=f" {client.name} ")
            for one in (by_key, by_name):
                found = experts.conflicts(one, [session.merge(client)], [])
                assert kinds_of(found) == [ConflictKind.SAME_EMPLOYER]
                assert not found[0].is_waivable

    def test_an_employment_counts_for_twelve_months_to_the_day(self, town: Any) -> None:
        client = town.client_org
        with transaction():
            made = enter(town)
            experts.add_employment(
                made, client.name, since=date(2020, 1, 1), until=date(2025, 6, 30), by=town.operator,
                organisation_id=client.id,
            )  # fmt: skip
            parties = [session.merge(client)]
            assert kinds_of(experts.conflicts(made, parties, [], on=date(2026, 6, 30))) == [ConflictKind.EMPLOYMENT]
            assert experts.conflicts(made, parties, [], on=date(2026, 7, 1)) == []

    def test_the_author_of_a_document_counts_as_a_party_also_by_name_alone(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            found = experts.conflicts(made, [], [attach(town, name="示例大学 建筑学院")])
            assert kinds_of(found) == [ConflictKind.SAME_EMPLOYER]

    def test_the_certificate_on_the_authors_books_is_authorship_and_a_namesake_is_asked_about(self, town: Any) -> None:
        agency = session.merge(town.organisations["清源"])
        with transaction():
            book = agencies.by_number(town.agency.number)
            agencies.file_practitioner(
                book, "魏 长河", "注册工程师", "s20260001", valid_until=None, by=town.agency_actor
            )
            found = experts.conflicts(enter(town), [], [attach(town, issuer=agency)])
            assert kinds_of(found) == [ConflictKind.AUTHORSHIP]
            assert not found[0].is_waivable
            found = experts.conflicts(enter(town, certificates=[]), [], [attach(town, issuer=agency)])
            assert kinds_of(found) == [ConflictKind.OTHER]
            assert found[0].is_waivable

    def test_the_files_own_author_is_read(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            found = experts.conflicts(made, [], [attach(town, "张三、魏长河")])
            assert kinds_of(found) == [ConflictKind.AUTHORSHIP]
            assert "勘察报告" in found[0].zh
            assert experts.conflicts(made, [], [attach(town, "魏长河川")]) == []

    def test_an_employer_tied_to_a_party_is_an_affiliation(self, town: Any) -> None:
        with transaction():
            sister = register_organisation(
                credit_code(907),
                "宏远物业有限公司",
                OrganisationKind.COMPANY,
                legal_representative=town.client_org.legal_representative,
            )
            made = enter(town, employer=sister.name, employer_id=sister.id)
            found = experts.conflicts(made, [session.merge(town.client_org)], [])
            assert kinds_of(found) == [ConflictKind.OWNERSHIP]
            owner = enter(town, name=town.client_org.legal_representative)
            assert kinds_of(experts.conflicts(owner, [session.merge(town.client_org)], [])) == [ConflictKind.OWNERSHIP]

    def test_a_colleague_who_practises_with_the_author_can_be_waived(self, town: Any) -> None:
        author, employer = (session.merge(town.organisations[short]) for short in ("清源", "绿洲"))
        with transaction():
            for agency in (town.agency, town.agency2):
                book = agencies.by_number(agency.number)
                agencies.file_practitioner(book, "钱同", "注册工程师", "ZC-9", valid_until=None, by=town.agency_actor)
            made = enter(town, employer=employer.name, employer_id=employer.id)
            found = experts.conflicts(made, [], [attach(town, issuer=author)])
            assert kinds_of(found) == [ConflictKind.CO_WORK]
            assert found[0].is_waivable

    def test_an_account_that_acts_for_the_party_is_found(self, town: Any) -> None:
        with transaction():
            person = account(town)
            add_member(person, session.merge(town.client_org), Role.APPLICANT)
            made = enter(town, person=person)
            session.refresh(person)
            found = experts.conflicts(made, [session.merge(town.client_org)], [])
            assert kinds_of(found) == [ConflictKind.SAME_EMPLOYER]

    def test_family_employment_ownership_and_authorship_are_never_waived(self) -> None:
        waivable = {kind for kind in ConflictKind if kind.is_waivable}
        assert waivable == {ConflictKind.CO_WORK, ConflictKind.OTHER}


class TestFees:
    def test_a_fee_is_paid_once(self, town: Any) -> None:
        with transaction():
            made = enter(town)
            with pytest.raises(experts.FeeNotPositive):
                experts.record_fee(made, "review:JS-2026-000001", 0, by=town.operator)
            fee = experts.record_fee(made, "review:JS-2026-000001", 80_000, by=town.agency_actor)
            with pytest.raises(Forbidden):
                experts.mark_paid(fee, by=town.agency_actor)
            experts.mark_paid(fee, by=town.operator)
            with pytest.raises(experts.FeePaid):
                experts.mark_paid(fee, by=town.operator)
        assert [(one.fen, one.paid_at is not None) for one in experts.fees_of(made)] == [(80_000, True)]


HEAD = "name,specialities,title,certificates,employer,region,term_from,term_until,most_load,login\n"


def rows(*lines: str) -> list[dict[str, str]]:
    return experts.read_csv(io.StringIO(HEAD + "".join(f"{line}\n" for line in lines)))


class TestImport:
    def test_a_list_enters_whole(self, town: Any) -> None:
        with transaction():
            account(town)
            count = experts.import_experts(
                rows(
                    "魏长河,structure|architecture,教授,S1|S2,示例大学,示例市,2026-01-01,2027年12月31日,,expert-one",
                    "顾南山,planning,高级工程师,,示例市宏远置业有限公司,示例市,2026-01-01,2026-12-31,5,",
                ),
                by=town.operator,
            )
        assert count == 2
        found, total = experts.listed(experts.Wanted(), most=10)
        assert total == 2
        assert (found[0].specialities, found[0].certificates) == (["structure", "architecture"], ["S1", "S2"])
        assert found[0].person is not None
        assert found[0].person.login == "expert-one"
        assert found[1].employer_id == town.client_org.id
        assert found[1].most_load == 5

    def test_one_bad_row_keeps_all_out_and_each_fault_names_its_row(self, town: Any) -> None:
        bad = rows(
            "魏长河,structure,教授,,示例大学,示例市,2026-01-01,2027-12-31,,",
            ",structure,教授,,示例大学,示例市,2026-01-01,2027-12-31,,",
            "甲,astrology,教授,,示例大学,示例市,soon,2027-12-31,many,nobody",
            "乙,structure,教授,,示例大学,示例市,2027-01-01,2026-12-31,,",
            "魏长河,structure,教授,,示例大学,示例市,2026-01-01,2027-12-31,,",
        )
        with pytest.raises(Invalids) as refused, transaction():
            experts.import_experts(bad, by=town.operator)
        told = [(one.params["row"], one.params["column"]) for one in refused.value.errors]
        assert told == [
            (3, "name"), (4, "term_from"), (4, "most_load"), (4, "login"), (4, "specialities"),
            (5, "term_until"), (6, "name"),
        ]  # fmt: skip
        assert experts.listed(experts.Wanted(), most=10)[1] == 0

    def test_whoever_is_on_the_register_is_not_entered_twice(self, town: Any) -> None:
        line = "魏长河,structure,教授,,示例大学,示例市,2026-01-01,2027-12-31,,"
        with transaction():
            experts.import_experts(rows(line), by=town.operator)
        with pytest.raises(Invalids) as refused, transaction():
            experts.import_experts(rows(line), by=town.operator)
        assert "已入库" in refused.value.errors[0].text()

    def test_a_file_without_the_columns_is_refused(self) -> None:
        with pytest.raises(FileUnreadable, match="file_unreadable"):
            experts.read_csv(io.StringIO("name,title\n甲,教授\n"))
