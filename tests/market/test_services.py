"""The running service: the start's stamp, pauses, extensions, and two people at once (life-cycles §1, §2; A10)."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from kernel import clock, notifications, sandbox, timekeeping, trail, workflow
from kernel.clock import Light, Unit
from kernel.db import session, transaction
from kernel.policies import current
from kernel.timekeeping import ClockKind, StoredClock
from market import commissions, deliverables, services
from market.commissions import CommissionStatus
from market.web import progress


def reading(number: str) -> clock.Reading:
    stored = timekeeping.latest(f"commission:{number}", ClockKind.SERVICE)
    assert stored is not None
    return timekeeping.reading(stored)


def test_start_stamps_and_begins_the_promised_days_over_a_public_holiday(chain):
    """Journey 4: ten working days from Monday 30 March 2026 jump over the Tomb-Sweeping holiday."""
    number = chain.taken_on()
    sandbox.move_to(clock.instant_of(date(2026, 3, 30)) + timedelta(hours=9))
    chain.act(number, services.start, by=chain.agency)
    commission = chain.find(number)
    assert clock.local_date(commission.in_service_at) == date(2026, 3, 30)
    stored = services.service_clock(commission)
    assert stored.started_at == commission.in_service_at
    assert reading(number).due == clock.china().nth_working_day(date(2026, 3, 30), 10) == date(2026, 4, 14)
    acts = [act.act for act in trail.of(commission.subject)]
    assert acts[-1] == "service.started"


def test_a_service_starts_once_and_only_after_it_was_taken_on(chain):
    offered, running = chain.offered(), chain.in_service()
    for number in (offered, running):
        with pytest.raises(workflow.MoveNotOpen):
            chain.act(number, services.start, by=chain.agency)


def test_two_people_who_press_start_at_once_start_one_service(chain):
    """Goal 12 and "two people at once": real threads, real database."""
    number = chain.taken_on()
    version = chain.find(number).version
    session.remove()
    gate = threading.Barrier(2)
    outcomes: list[str] = []

    def press() -> None:
        with chain.world.portal.app_context():
            try:
                gate.wait(20)
                with transaction():
                    commission = commissions.find(number, by=chain.agency, lock=True)
                    services.start(commission, by=chain.agency, expected_version=version)
                outcomes.append("started")
            except (workflow.StaleVersion, workflow.MoveNotOpen) as refused:
                outcomes.append(refused.code)
            finally:
                session.remove()

    agency = chain.agency
    assert agency.organisation_id is not None
    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["stale_version", "started"]
    subject = f"commission:{number}"
    assert session.scalar(select(func.count()).select_from(StoredClock).where(StoredClock.subject == subject)) == 2
    assert [act.act for act in trail.of(subject)].count("service.started") == 1
    assert trail.verify(subject)[1] == []


def test_the_database_itself_refuses_a_second_running_service_clock(chain):
    number = chain.in_service()
    with pytest.raises(IntegrityError), transaction():
        timekeeping.start(
            f"commission:{number}",
            ClockKind.SERVICE,
            unit=Unit.WORKING_DAY,
            limit=1,
            warn=0,
            policy=current("service_clock"),
            by=chain.agency,
        )


def test_time_spent_waiting_for_the_client_is_not_the_agencys(chain):
    number = chain.in_service()
    sandbox.forward(timedelta(days=2))
    chain.act(number, services.pause, ["请确认取土场位置"], "无法继续外业", by=chain.agency)
    assert reading(number).light == Light.BLUE
    assert reading(number).due is None
    sandbox.forward(timedelta(days=7))
    chain.act(number, services.resume, "已确认", by=chain.client)
    after = reading(number)
    # Monday to Wednesday counted one day (Tuesday); the pause of 4 to 11 March took both its ends.
    assert (after.used, after.left) == (1, 9)
    figures = progress.figures(services.service_clock(chain.find(number)), after)
    assert (figures.gross, figures.agency, figures.client, figures.promise) == (7, 1, 6, 10)
    inquiry = chain.find(number).inquiries[-1]
    assert (inquiry.answer, inquiry.reason) == ("已确认", "无法继续外业")


def test_a_pause_needs_points_and_a_reason_and_only_one_is_open(chain):
    number = chain.in_service()
    with pytest.raises(commissions.PointsMissing):
        chain.act(number, services.pause, [], "理由", by=chain.agency)
    with pytest.raises(commissions.ReasonMissing):
        chain.act(number, services.pause, ["一项"], " ", by=chain.agency)
    assert reading(number).light == Light.GREEN
    chain.act(number, services.pause, ["一项"], "理由", by=chain.agency)
    with pytest.raises(commissions.InquiryOpen):
        chain.act(number, services.pause, ["又一项"], "理由", by=chain.agency)
    assert "pause" not in commissions.moves(chain.find(number), chain.agency)
    assert "resume" in commissions.moves(chain.find(number), chain.client)


def test_only_the_client_ends_a_pause(chain):
    number = chain.in_service()
    chain.act(number, services.pause, ["一项"], "理由", by=chain.agency)
    with pytest.raises(workflow.MoveNotOpen):
        chain.act(number, services.resume, "自己恢复", by=chain.agency)
    assert reading(number).light == Light.BLUE


def test_an_agreed_extension_adds_its_days_as_an_event_and_keeps_the_promise(chain):
    """Journey 19; never a rewritten date."""
    number = chain.in_service()
    before = reading(number).due
    chain.act(number, services.propose_extension, 5, "雨季影响外业", by=chain.agency)
    assert reading(number).due == before
    chain.act(number, services.agree_extension, by=chain.client)
    stored = services.service_clock(chain.find(number))
    assert (reading(number).left, stored.limit) == (15, 10)
    assert reading(number).due == clock.china().nth_working_day(clock.local_date(stored.started_at), 15)
    assert stored.events[-1].reason == "雨季影响外业"
    assert chain.find(number).promised_working_days == 10


def test_a_refused_extension_changes_nothing_and_another_may_be_proposed(chain):
    number = chain.in_service()
    before = reading(number)
    chain.act(number, services.propose_extension, 5, "雨季", by=chain.agency)
    with pytest.raises(services.ExtensionOpen):
        chain.act(number, services.propose_extension, 6, "雨季", by=chain.agency)
    chain.act(number, services.refuse_extension, by=chain.client)
    assert reading(number) == before
    with pytest.raises(services.NoExtension):
        chain.act(number, services.agree_extension, by=chain.client)
    chain.act(number, services.propose_extension, 2, "再申请", by=chain.agency)


@pytest.mark.parametrize("days", [-1, 0, 121])
def test_an_extension_of_no_days_or_too_many_is_refused(chain, days):
    number = chain.in_service()
    with pytest.raises(services.ExtensionInvalid):
        chain.act(number, services.propose_extension, days, "理由", by=chain.agency)


def test_amber_and_red_are_each_told_once_to_both_sides(chain):
    """Journey 12: the light changes by itself at its legal instant; the due day is not overdue."""
    number = chain.in_service()
    due = reading(number).due
    sandbox.forward(timedelta(days=60))
    edges = [act for act in trail.of(f"commission:{number}") if ".light." in act.act]
    assert [act.act for act in edges] == ["commission.light.amber", "commission.light.red"]
    assert edges[1].at == clock.instant_of(due + timedelta(days=1))
    assert chain.find(number).status == CommissionStatus.IN_SERVICE
    for actor in (chain.client, chain.agency):
        told, _total = notifications.inbox(actor.person_id)
        assert [notice.act for notice in told][:2] == ["commission.light.red", "commission.light.amber"]
        assert told[0].is_warning


def test_delivering_without_the_clients_answer_ends_the_pause(chain):
    """The clock would otherwise stand still for ever after a return."""
    number = chain.in_service()
    chain.act(number, services.pause, ["提供弃渣场协议"], "缺少协议", by=chain.agency)
    chain.deliver(number)
    with transaction():
        chain.find(number, lock=True)
        deliverables.return_for_revision(chain.latest(number), ["补图"], by=chain.client)
    commission = chain.find(number)
    assert all(inquiry.closed_at is not None for inquiry in commission.inquiries)
    assert timekeeping.reading(services.service_clock(commission)).light == Light.GREEN
