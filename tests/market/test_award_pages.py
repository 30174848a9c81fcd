"""The pages of evaluation, award, objection and contract over HTTP: who sees what, two clicks to choose (A6, A7)."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from kernel.access import Role
from kernel.accounts import add_member
from kernel.accounts.people import Person
from kernel.db import session, transaction
from market import awards
from market.awards import AwardStatus, scoring
from market.commissions import CommissionStatus, Route
from market.objections import Objection, ObjectionStatus
from tests.market.contest import Contest

YUAN = 100


@pytest.fixture
def contest(world):
    return Contest(world)


def hidden(text: str) -> dict[str, str]:
    main = text[text.index("<main") :]
    return dict(re.findall(r'<input type="hidden" name="(act|version)" value="([^"]*)"', main))


def press(client, url, follow=True, **fields):
    page = client.get(url)
    assert page.status_code == 200, page.get_data(as_text=True)
    return client.post(url, data=hidden(page.get_data(as_text=True)) | fields, follow_redirects=follow)


def test_before_the_opening_the_result_page_tells_nobody_anything(client_as, contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN], opens=False)
    for login in ("applicant", "supervisor", "agency"):
        text = client_as(login).get(f"/calls/{contest.number}/result").get_data(as_text=True)
        assert "尚未开标" in text
        assert "80,000" not in text
        assert contest.agency(1).name not in text


def test_a_visitor_reads_the_ranking_with_its_arithmetic_in_both_languages(portal, contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 2_000_000 * YUAN])
    visitor = portal.test_client()
    text = visitor.get(f"/calls/{contest.number}/result").get_data(as_text=True)
    assert "报价 ¥80,000.00，由低到高排序" in text
    assert "高于最高限价" in text
    english = visitor.get(f"/calls/{contest.number}/result?lang=en").get_data(as_text=True)
    assert "Price ¥80,000.00, ranked from the lowest" in english
    assert "/award/" not in text


def test_the_client_chooses_in_two_clicks_and_a_double_click_chooses_once(client_as, contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    client = client_as("applicant")
    page = client.get(f"/calls/{contest.number}/result").get_data(as_text=True)
    url = f"/calls/{contest.number}/award/{contest.bid(0).token}"
    assert f'href="{url}"' in page
    sent = hidden(client.get(url).get_data(as_text=True))
    places = {client.post(url, data=sent).location for _ in range(2)}
    assert len(places) == 1
    assert [award.status for award in awards.awards_of(contest.call())] == [AwardStatus.PUBLICISED]
    shown = client.get(places.pop()).get_data(as_text=True)
    assert "公示期" in shown
    assert "已确定中选机构" in shown


def test_another_than_the_first_asks_for_a_reason_and_keeps_what_was_typed(client_as, contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    client, url = client_as("applicant"), f"/calls/{contest.number}/award/{contest.bid(1).token}"
    refused = press(client, url, reason=" ")
    assert refused.status_code == 422
    assert "请写明理由" in refused.get_data(as_text=True)
    assert press(client, url, reason="第一名人员无法到位").status_code == 200
    assert contest.commission.status == CommissionStatus.PUBLICISED


@pytest.mark.parametrize("login", ["applicant2", "authority"])
def test_anothers_call_cannot_be_awarded_from_the_address_line(client_as, contest, login):
    """Domain §6, 11"""
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    client = client_as(login)
    for page in (f"award/{contest.bid(0).token}", "rank-again", "failure", "scorers"):
        assert client.get(f"/calls/{contest.number}/{page}").status_code == 404
    assert client_as("agency").get(f"/calls/{contest.number}/award/{contest.bid(0).token}").status_code == 403


def test_an_objection_from_the_bidders_page_to_the_clients_answer(client_as, contest, portal):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    bidder = client_as("agency2")
    assert f"/calls/{contest.number}/objection" in bidder.get(f"/calls/{contest.number}/result").get_data(as_text=True)
    filed = press(bidder, f"/calls/{contest.number}/objection", text="业绩造假，见附件")
    assert "业绩造假" in filed.get_data(as_text=True)
    number = session.scalars(select(Objection.number)).one()
    public = portal.test_client().get(f"/calls/{contest.number}/result").get_data(as_text=True)
    assert number in public
    assert "业绩造假" not in public
    assert "业绩造假" in client_as("supervisor").get(f"/objections/{number}").get_data(as_text=True)
    assert client_as("agency3").get(f"/objections/{number}").status_code == 404
    assert client_as("agency4").get(f"/calls/{contest.number}/objection").status_code == 404
    client, url = client_as("applicant"), f"/objections/{number}/decision"
    refused = press(client, url, answer="经核查")
    assert refused.status_code == 422
    assert "请选择处理意见" in refused.get_data(as_text=True)
    press(client, url, decision="yes", answer="经核查属实")
    session.expire_all()
    assert session.scalars(select(Objection.status)).one() is ObjectionStatus.UPHELD
    again = press(client, f"/calls/{contest.number}/rank-again", excluded=contest.bid(0).token, reason="业绩不实")
    assert again.status_code == 200
    assert contest.places() == [(1, 1), (2, 2), (0, None)]
    assert "经核查属实" in portal.test_client().get(f"/calls/{contest.number}/result").get_data(as_text=True)


def test_a_low_price_is_explained_by_its_bidder_and_settled_by_the_client(client_as, contest):
    contest.opened([20_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    url = f"/calls/{contest.number}/justification/{contest.bid(0).token}"
    assert client_as("agency2").get(url).status_code == 404
    assert press(client_as("agency"), url, text="利用既有监测数据").status_code == 200
    client = client_as("applicant")
    assert "利用既有监测数据" in client.get(url).get_data(as_text=True)
    assert press(client, url, decision="yes", reason="数据属实").status_code == 200
    text = client_as("supervisor").get(url).get_data(as_text=True)
    assert "数据属实" in text


def test_scores_go_from_the_sheet_over_a_second_look_and_stay_hidden(client_as, contest):
    contest.opened(
        [100_000 * YUAN, 80_000 * YUAN],
        route=Route.COMPARISON,
        weights=[{"zh": "方案", "en": "Plan", "weight": 6000}],
        scorers=2,
        abnormal_share=0,
    )
    with transaction():
        for login in ("window", "approver"):
            add_member(
                session.get_one(Person, contest.world.people[login].id),
                session.merge(contest.world.client_org),
                Role.APPLICANT,
            )
    client = client_as("applicant")
    page = client.get(f"/calls/{contest.number}/scorers").get_data(as_text=True)
    assert contest.world.people["window"].name in page
    assert contest.world.people["agency"].name not in page
    people = [str(contest.world.people[login].id) for login in ("window", "applicant")]
    assert press(client, f"/calls/{contest.number}/scorers", people=people[:1]).status_code == 422
    assert press(client, f"/calls/{contest.number}/scorers", people=people).status_code == 200
    first, second = (contest.bid(index).token for index in (0, 1))
    sheet = f"/calls/{contest.number}/scoring"
    wrong = press(client, sheet, **{f"points-{first}-0": "101"})
    assert wrong.status_code == 422
    assert "101" in wrong.get_data(as_text=True)
    look = press(client, sheet, **{f"points-{first}-0": "90", f"points-{second}-0": "60"})
    assert "方案 90" in look.get_data(as_text=True)
    assert press(client, f"{sheet}/submission").status_code == 200
    assert [one.submitted_at is not None for one in scoring.scorers_of(contest.call())].count(True) == 1
    for reader in (client, client_as("supervisor"), client_as("window")):
        shown = reader.get(f"/calls/{contest.number}/result").get_data(as_text=True)
        main = re.sub(r"<[^>]+>", "", shown[shown.index("<main") : shown.index("</main")])
        assert "评审尚未完成" in main
        # The points as a word of their own: an instant or a hash may hold the same digits.
        assert not re.search(r"(?<![\w.,:-])(90|60)(?![\w.,:-])", main)
    assert client_as("agency").get(sheet).status_code == 404


def test_the_letter_of_award_is_for_the_winner_and_the_client_once_publicity_is_over(client_as, contest):
    contest.opened([80_000 * YUAN, 90_000 * YUAN, 95_000 * YUAN])
    contest.award(0)
    url = f"/calls/{contest.number}/letter-of-award.pdf"
    people = {login: client_as(login) for login in ("agency", "applicant", "supervisor", "agency2")}
    assert people["agency"].get(url).status_code == 404
    contest.let_pass(4)
    for login, status in (("agency", 200), ("applicant", 200), ("supervisor", 200), ("agency2", 404)):
        answer = people[login].get(url)
        assert answer.status_code == status, login
        if status == 200:
            assert answer.mimetype == "application/pdf"
            assert answer.get_data().startswith(b"%PDF")
    assert "中选通知书" in people["agency"].get(f"/calls/{contest.number}/result").get_data(as_text=True)


def test_both_sides_confirm_the_contract_and_only_then_the_service_starts(client_as, contest):
    contest.taken_on()
    number = contest.commission.number
    agency, client = client_as("agency"), client_as("applicant")
    early = press(agency, f"/commissions/{number}/start")
    assert early.status_code == 409
    assert "合同尚未经双方确认" in early.get_data(as_text=True)
    assert f"/commissions/{number}/contract" in client.get(f"/commissions/{number}").get_data(as_text=True)
    assert press(agency, f"/commissions/{number}/contract/terms", terms="交付后十日内付清").status_code == 200
    page = client.get(f"/commissions/{number}/contract").get_data(as_text=True)
    assert "交付后十日内付清" in page
    assert "尚未确认" in page
    for side in (client, agency):
        assert press(side, f"/commissions/{number}/contract/confirm").status_code == 200
    assert "双方已确认" in client.get(f"/commissions/{number}/contract").get_data(as_text=True)
    assert press(agency, f"/commissions/{number}/start").status_code == 200
    assert contest.commission.status == CommissionStatus.IN_SERVICE
    assert client_as("agency2").get(f"/commissions/{number}/contract").status_code == 404
