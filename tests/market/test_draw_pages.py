"""The pages of a draw: anybody follows it, its parties act on it, with or without script (G7)."""

from __future__ import annotations

import html
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kernel import clock, draws, sandbox, sealing
from kernel.db import session, transaction
from market import drawing
from market.custody import Custodian, CustodianKey
from market.drawing import DrawPurpose, DrawStatus

CANDIDATES = [("ZJ-000351", "湖畔环评中心"), ("ZJ-000017", "江河咨询有限公司"), ("ZJ-000102", "山川设计院")]
RULE = "抽取一家，第一位中选，其余依次递补"
LOGINS = {"buyer": "applicant", "platform": "operator", "supervisor": "supervisor"}


@pytest.fixture
def hold(world: Any):
    def make(**more: Any) -> str:
        parties = drawing.standard_parties(world.client_org.id)
        with transaction():
            held = drawing.hold(
                "commission:WT-1", DrawPurpose.AGENCY, CANDIDATES, 1, RULE, parties, by=world.applicant, **more
            )
            return held.number

    return make


@pytest.fixture
def visitor(world: Any):
    return world.portal.test_client()


def read(client: Any, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return html.unescape(answer.get_data(as_text=True))


def form_of(page: str) -> dict[str, str]:
    """The hidden values of the form that carries the act."""
    (found,) = (form for form in re.findall(r"<form.*?</form>", page, re.DOTALL) if 'name="act"' in form)
    return dict(re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', found))


def commit(client: Any, number: str, **more: str) -> str:
    """As a browser without script does: keep the seed that the page shows, tick, press."""
    url = f"/draws/{number}/commit"
    sent = form_of(read(client, url)) | {"kept": "1"} | more
    answer = client.post(url, data=sent)
    assert answer.status_code == 303, answer.get_data(as_text=True)
    return sent["seed"]


def reveal(client: Any, number: str, seed: str, **more: Any) -> Any:
    url = f"/draws/{number}/reveal"
    return client.post(url, data=form_of(read(client, url)) | {"seed": seed} | more)


def test_three_parties_without_script_draw_and_a_visitor_follows_and_verifies(hold, client_as, visitor, tmp_path):
    number = hold()
    page = read(visitor, f"/draws/{number}")
    held = drawing.find(number)
    assert held.list_hash in page
    assert all(name in page for _key, name in CANDIDATES)
    assert "正在等待：采购人（示例市宏远置业有限公司）、平台" in page
    assert "哈希好比内容的指纹" in page
    clients = {party: client_as(login) for party, login in LOGINS.items()}
    seeds = {party: commit(client, number) for party, client in clients.items()}
    page = read(visitor, f"/draws/{number}")
    for party, seed in seeds.items():
        assert draws.commitment(number, party, seed) in page
        assert seed not in page
    assert visitor.get(f"/draws/{number}.json").status_code == 404
    for party, client in clients.items():
        assert reveal(client, number, seeds[party]).status_code == 303
    session.expire_all()
    held = drawing.find(number)
    assert held.status is DrawStatus.DRAWN
    answer = visitor.get(f"/draws/{number}.json")
    assert answer.data == held.record.encode()
    (tmp_path / "draw.json").write_bytes(answer.data)
    (tmp_path / "verify_draw.py").write_bytes(visitor.get("/draws/verifier").data)
    checked = subprocess.run(
        [sys.executable, "-X", "utf8", "verify_draw.py", "draw.json"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert checked.returncode == 0
    assert held.list_hash in checked.stdout
    page = read(visitor, f"/draws/{number}")
    assert f"python verify_draw.py {number}.json" in page
    assert all(seed in page for seed in seeds.values())


def test_the_page_replays_the_same_order_step_by_step(hold, client_as, visitor):
    number = hold()
    clients = {party: client_as(login) for party, login in LOGINS.items()}
    seeds = {party: commit(client, number) for party, client in clients.items()}
    for party, client in clients.items():
        reveal(client, number, seeds[party])
    session.expire_all()
    order = drawing.order(drawing.find(number))
    names = dict(CANDIDATES)
    page = read(visitor, f"/draws/{number}")
    result = page[page.index('id="result"') : page.index('id="list"')]
    assert re.findall(r"ZJ-\d+", result) == order
    assert result.index("抽中") < result.index("依次递补")
    steps = page[page.index('id="steps"') : page.index('id="verify"')]
    told = re.findall(r"第 (\d) 位：.*?“([^”]+)”", steps)
    assert [name for _place, name in told] == [names[key] for key in order]
    assert f"抽取结果：{names[order[0]]}" in steps
    assert "“采购人（示例市宏远置业有限公司）”事先承诺" in steps
    english = read(visitor, f"/draws/{number}?lang=en")
    assert "“Buyer (示例市宏远置业有限公司)” committed to" in english
    assert f"Drawn: {names[order[0]]}." in english


def test_a_seed_made_in_the_browser_never_reaches_the_server(world, hold, client_as, visitor):
    number = hold()
    client, seed = client_as("applicant"), draws.fresh_seed()
    commitment = draws.commitment(number, "buyer", seed)
    commit(client, number, seed="", commitment=commitment)
    session.expire_all()
    (buyer,) = drawing.parties_of(drawing.find(number), world.applicant)
    assert buyer.commitment == commitment
    assert not buyer.is_made_here
    assert "本方浏览器" in read(visitor, f"/draws/{number}")


def test_a_commitment_is_not_taken_before_the_seed_is_kept(hold, client_as):
    number = hold()
    client, url = client_as("applicant"), f"/draws/{number}/commit"
    sent = form_of(read(client, url))
    answer = client.post(url, data=sent)
    assert answer.status_code == 422
    again = html.unescape(answer.get_data(as_text=True))
    assert "请先保存种子" in again
    assert form_of(again)["seed"] == sent["seed"]  # it may have been saved already
    assert drawing.find(number).parties[0].commitment is None
    answer = client.post(url, data=form_of(again) | {"kept": "1"})
    assert answer.status_code == 303


def test_the_seed_is_kept_as_a_file_and_opened_with_it(hold, client_as):
    number = hold()
    clients = {party: client_as(login) for party, login in LOGINS.items()}
    client = clients["buyer"]
    page = read(client, f"/draws/{number}/commit")
    seed = form_of(page)["seed"]
    file = client.post(f"/draws/{number}/seed-file", data={"seed": seed})
    assert file.headers["Content-Disposition"] == f'attachment; filename="{number}.seed.txt"'
    assert file.headers["Cache-Control"] == "no-store"
    assert client.post(f"/draws/{number}/commit", data=form_of(page) | {"kept": "1"}).status_code == 303
    for party in ("platform", "supervisor"):
        commit(clients[party], number)
    upload = (io.BytesIO(b"\xef\xbb\xbf" + file.data.replace(b"\n", b"\r\n")), "seed.txt")
    assert reveal(client, number, "", file=upload).status_code == 303
    session.expire_all()
    assert drawing.find(number).parties[0].seed == seed


def test_pressing_twice_commits_once(hold, client_as):
    number = hold()
    client, url = client_as("applicant"), f"/draws/{number}/commit"
    sent = form_of(read(client, url)) | {"kept": "1"}
    answers = [client.post(url, data=sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].location == answers[1].location
    assert client.get(url).status_code == 409
    other = client.post(url, data=sent | {"act": "another-token", "seed": draws.fresh_seed()})
    assert other.status_code == 409
    assert "不能更换" in html.unescape(other.get_data(as_text=True))


def test_a_wrong_seed_is_told_at_its_field(hold, client_as):
    number = hold()
    clients = {party: client_as(login) for party, login in LOGINS.items()}
    for client in clients.values():
        commit(client, number)
    for wrong, words in ((draws.fresh_seed(), "不符"), ("abc", "没有找到种子"), ("", "没有找到种子")):
        answer = reveal(clients["buyer"], number, wrong)
        text = html.unescape(answer.get_data(as_text=True))
        assert answer.status_code == 422
        assert words in text
        assert 'href="#seed"' in text


def test_strangers_find_nothing_to_act_on(hold, client_as, visitor):
    number = hold()
    other, agency = client_as("applicant2"), client_as("agency")
    for action in ("commit", "reveal", "withheld/buyer", "sealed.zip"):
        assert other.get(f"/draws/{number}/{action}").status_code == 404
        assert agency.get(f"/draws/{number}/{action}").status_code == 403
        assert visitor.get(f"/draws/{number}/{action}").headers["Location"].startswith("/sign-in")
    for path in ("/draws/CQ-2026-999999", "/draws/CQ-2026-999999.json", f"/draws/{number}.json"):
        assert visitor.get(path).status_code == 404
    assert client_as("supervisor").get(f"/draws/{number}/withheld/nobody").status_code == 404


def test_the_outside_value_is_entered_by_the_operator_before_any_seed(hold, client_as, visitor):
    source = "2026-03-03 开奖的双色球红球"
    number = hold(outside_source=source)
    clients = {party: client_as(login) for party, login in LOGINS.items()}
    seeds = {party: commit(client, number) for party, client in clients.items()}
    assert source in read(visitor, f"/draws/{number}")
    assert clients["buyer"].get(f"/draws/{number}/reveal").status_code == 409
    assert clients["buyer"].get(f"/draws/{number}/outside").status_code == 403
    url = f"/draws/{number}/outside"
    sent = form_of(read(clients["platform"], url))
    empty = clients["platform"].post(url, data=sent | {"outside": " "})
    assert empty.status_code == 422
    assert 'href="#outside"' in empty.get_data(as_text=True)
    assert clients["platform"].post(url, data=sent | {"outside": "03 11 17"}).status_code == 303
    for party, client in clients.items():
        assert reveal(client, number, seeds[party]).status_code == 303
    page = read(visitor, f"/draws/{number}")
    assert f"事先指明的外部数值“{source}”为 03 11 17" in page


def test_custodians_hand_in_a_withheld_seed_after_its_time(world, hold, client_as, visitor):
    identities = {custodian.value: sealing.fresh_identity() for custodian in Custodian}
    parties = drawing.standard_parties(world.client_org.id)
    with transaction():
        for custodian in Custodian:
            session.add(
                CustodianKey(
                    custodian=custodian,
                    organisation_id=parties[custodian.value],
                    recipient=sealing.recipient_of(identities[custodian.value]),
                    registered_at=clock.now(),
                    registered_by="测试",
                )
            )
    number = hold()
    clients = {party: client_as(login) for party, login in LOGINS.items()}
    # The platform commits as its browser does; a commitment without the sealed seed isn't taken.
    seed = draws.fresh_seed()
    url = f"/draws/{number}/commit"
    page = read(clients["platform"], url)
    sent = form_of(page) | {"kept": "1", "seed": "", "commitment": draws.commitment(number, "platform", seed)}
    assert clients["platform"].post(url, data=sent).status_code == 422
    held = drawing.find(number)
    assert all(recipient in page for recipient in held.recipients.values())
    sealed = sealing.seal(seed.encode(), number, held.recipients, classes=(drawing.SEED_CLASS,))
    file = sealing.write_sealed(sealed, number, sealing.SealedBy.BROWSER).decode()
    assert clients["platform"].post(url, data=sent | {"sealed": file}).status_code == 303
    seeds = {"platform": seed} | {party: commit(clients[party], number) for party in ("buyer", "supervisor")}
    for party in ("platform", "supervisor"):
        assert reveal(clients[party], number, seeds[party]).status_code == 303
    late = f"/draws/{number}/withheld/buyer"
    assert clients["supervisor"].get(late).status_code == 409
    assert clients["supervisor"].get(f"/draws/{number}/sealed.zip").status_code == 409
    assert "交入采购人" not in read(clients["supervisor"], f"/draws/{number}")
    limit = drawing.withheld_from(drawing.find(number))
    assert limit is not None
    sandbox.move_to(limit)
    client = clients["supervisor"]
    assert "交入采购人" in read(client, f"/draws/{number}")
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"/draws/{number}/sealed.zip").data))
    assert "age -d -i platform.key.txt" in archive.read(f"{number}/README").decode()
    wrap = archive.read(f"{number}/buyer/key.platform+supervisor.age")
    key = sealing.unwrap(wrap, identities["platform"], identities["supervisor"])
    opened = sealing.open_with_key(archive.read(f"{number}/buyer/seed.age"), key, number).decode()
    answer = client.post(late, data=form_of(read(client, late)) | {"seed": opened})
    assert answer.status_code == 303
    page = read(visitor, f"/draws/{number}")
    assert "逾期未公开，由两位保管人共同开启" in page
    assert drawing.find(number).status is DrawStatus.DRAWN


def test_the_list_of_draws_says_who_is_awaited(hold, client_as, visitor):
    assert "还没有抽取" in read(visitor, "/draws")
    number = hold()
    commit(client_as("applicant"), number)
    page = read(visitor, "/draws")
    assert number in page
    assert "平台（示例市数字政务运营有限公司）、监督" in page
    assert "采购人（" not in page


def test_what_people_wrote_is_never_run(world, visitor):
    parties = drawing.standard_parties(world.client_org.id)
    with transaction():
        number = drawing.hold(
            "commission:WT-1",
            DrawPurpose.TIE,
            [("ZJ-1", "<script>alert(1)</script>"), ("ZJ-2", "乙")],
            1,
            "<b>规则</b>",
            parties,
            by=world.applicant,
        ).number
    page = visitor.get(f"/draws/{number}").get_data(as_text=True)
    assert "<script>alert(1)" not in page
    assert "<b>规则" not in page


def test_the_file_written_by_the_script_is_the_servers(world, hold):
    """static/draw.js and market/drawing/seeds.py say the same words."""
    held = drawing.find(hold())
    script = (Path(__file__).parents[2] / "static" / "draw.js").read_text(encoding="utf-8")
    for line in drawing.seed_file(held, "buyer", "0" * 64).splitlines()[2:4]:
        assert f'"{line}"' in script
