"""The register of experts for operators and those who supervise: list, one expert, downloads; and the expert's own page (B7).

No telephone and no credit code is shown here to anybody.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from kernel import clock, money, trail, workflow
from kernel.access import Cell, Role, holders
from kernel.errors import NotFound
from kernel.web import choose, day, instant, language, page_number, see_other, signed_in_actor, url_with
from market.web.downloads import send_csv, send_xlsx
from reviews import experts, kinds
from reviews.experts import STEPS, Expert, ExpertStatus, FeeRecord, Wanted

blueprint = Blueprint("experts", __name__)
OPERATORS = holders(Role.OPERATOR)
READERS = holders(Role.OPERATOR, Role.SUPERVISOR, Role.AUDITOR)
ACCESS: Mapping[str, Cell] = {
    "experts.index": READERS,
    "experts.download": READERS,
    "experts.me": holders(Role.EXPERT),
    "experts.show": holders(Role.OPERATOR, Role.SUPERVISOR, Role.AUDITOR, Role.EXPERT),
}
LINKS: Mapping[str, Callable[[str], str]] = {
    "expert": lambda number: f"/experts/{number}",
    "experts": lambda number: "/experts",
}
PAGE_SIZE = 50
#: A download holds at most this many rows.
MOST_ROWS = 5000
STATUS_KINDS = {ExpertStatus.ACTIVE: "good", ExpertStatus.SUSPENDED: "warn", ExpertStatus.REMOVED: "neutral"}


def _wanted() -> Wanted:
    """The filters of the query."""
    asked = request.args
    status = asked.get("state", "")
    return Wanted(
        text=unicodedata.normalize("NFKC", asked.get("q", "")).strip()[:60],
        speciality=asked.get("speciality", "")[:60],
        region=asked.get("region", "")[:60],
        status=ExpertStatus(status) if status in list(ExpertStatus) else None,
        on=clock.today() if asked.get("serving") == "1" else None,
    )


@blueprint.get("/experts")
def index() -> str:
    wanted, page = _wanted(), page_number()
    found, total = experts.listed(wanted, most=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    kept: dict[str, Any] = {
        name: request.args[name] for name in ("q", "speciality", "region", "state", "serving") if name in request.args
    }
    return render_template(
        "reviews/experts_index.html",
        rows=_rows(found),
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
        wanted=wanted,
        is_filtered=wanted != Wanted(),
        specialities=[(code, choose(*words)) for code, words in kinds.specialities().items()],
        regions=[(one, one) for one in experts.regions()],
        statuses=[(one.value, one.label(language())) for one in ExpertStatus],
        downloads=[(form.upper(), url_for("experts.download", form=form, **kept)) for form in ("csv", "xlsx")],
        may_enter=OPERATORS.allows(signed_in_actor()),
        url_with=url_with,
    )


def _rows(found: list[Expert]) -> list[dict[str, Any]]:
    load = experts.load_of(found)
    words = kinds.specialities()
    today = clock.today()
    return [
        {
            "number": one.number,
            "url": url_for("experts.show", number=one.number),
            "name": one.name,
            "title": one.title,
            "employer": one.employer,
            "region": one.region,
            "specialities": _speciality_words(one, words),
            "term_from": day(one.term_from),
            "term_until": day(one.term_until),
            "is_over": one.term_until < today,
            "status": one.status.label(language()),
            "status_kind": STATUS_KINDS[one.status],
            "load": load[one.id],
            "most_load": one.most_load,
            "expert": one,
        }
        for one in found
    ]


def _speciality_words(expert: Expert, words: Mapping[str, tuple[str, str]]) -> str:
    return choose("、", ", ").join(choose(*words.get(code, (code, code))) for code in expert.specialities)


@blueprint.get("/experts.<any(csv, xlsx):form>")
def download(form: str) -> Response:
    """The same rows as the list."""
    heads = [
        choose("专家编号", "Expert"),
        choose("姓名", "Name"),
        choose("审查专业", "Specialities"),
        choose("职称", "Title"),
        choose("工作单位", "Employer"),
        choose("服务地区", "Region"),
        choose("聘期起", "Term from"),
        choose("聘期止", "Term until"),
        choose("状态", "State"),
        choose("在办审查", "Reviews under way"),
        choose("在办上限", "At most"),
    ]
    found, _total = experts.listed(_wanted(), most=MOST_ROWS)
    table: list[list[str | int | None]] = [
        [
            row["number"],
            row["name"],
            row["specialities"],
            row["title"],
            row["employer"],
            row["region"],
            row["expert"].term_from.isoformat(),
            row["expert"].term_until.isoformat(),
            row["status"],
            row["load"],
            row["most_load"],
        ]
        for row in _rows(found)
    ]
    name = choose("专家名册", "experts")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


@blueprint.get("/experts/me")
def me() -> str:
    """The expert's own entry: term, employment, fees, and the way to the reviews."""
    expert = experts.of_person(signed_in_actor().person_id)
    return render_template(
        "reviews/experts_me.html",
        expert=expert,
        row=_rows([expert])[0] if expert is not None else None,
        facts=_facts(expert) if expert is not None else [],
        employments=_employments(expert) if expert is not None else [],
        fees=_fees(expert) if expert is not None else [],
    )


@blueprint.get("/experts/<number>")
def show(number: str) -> Response | str:
    """One expert, for operators and those who supervise; the expert is led to the own page."""
    actor = signed_in_actor()
    if not READERS.allows(actor):
        mine = experts.of_person(actor.person_id)
        if mine is None or mine.number != number:
            raise NotFound
        return see_other(url_for("experts.me"))
    expert = experts.by_number(number)
    open_moves = workflow.moves(expert, STEPS, actor)
    return render_template(
        "reviews/experts_show.html",
        expert=expert,
        row=_rows([expert])[0],
        facts=_facts(expert),
        employments=_employments(expert),
        fees=_fees(expert),
        actions=[
            {"label": label, "url": url_for(f"expert_upkeep.{move}", number=number), "kind": kind}
            for move, label, kind in (
                ("renew", choose("续聘", "Renew the term"), "primary"),
                ("revise", choose("更正信息", "Correct the entry"), "secondary"),
                ("suspend", choose("暂停资格", "Suspend"), "secondary"),
                ("reinstate", choose("恢复资格", "Reinstate"), "primary"),
                ("remove", choose("专家出库", "Remove"), "danger"),
            )
            if move in open_moves
        ],
        may_edit=OPERATORS.allows(actor),
        history=[
            {
                "at": instant(act.at),
                "who": f"{act.organisation} {act.person}".strip(),
                "act_label": trail.act_label(act.act, language()),
                "text": act.data.get("reason", ""),
            }
            for act in reversed(trail.of(expert.subject))
        ],
    )


def _facts(expert: Expert) -> list[tuple[str, str]]:
    return [
        (choose("专家编号", "Expert"), expert.number),
        (choose("审查专业", "Specialities"), _speciality_words(expert, kinds.specialities())),
        (choose("职称", "Title"), expert.title),
        (choose("执业证书", "Certificates"), choose("、", ", ").join(expert.certificates)),
        (choose("工作单位", "Employer"), expert.employer),
        (choose("服务地区", "Region"), expert.region),
        (
            choose("聘期", "Term"),
            choose(
                f"{day(expert.term_from)}至{day(expert.term_until)}",
                f"{day(expert.term_from)} to {day(expert.term_until)}",
            ),
        ),
        (
            choose("在办审查", "Reviews under way"),
            choose(
                f"{experts.load_of([expert])[expert.id]} 件，上限 {expert.most_load} 件",
                f"{experts.load_of([expert])[expert.id]}, {expert.most_load} at most",
            ),
        ),
        (
            choose("登录账号", "Account"),
            expert.person.login if expert.person is not None else choose("未关联", "none"),
        ),
        (choose("入库时间", "Registered"), instant(expert.registered_at)),
    ]


def _employments(expert: Expert) -> list[list[str]]:
    return [
        [
            one.organisation,
            day(one.since) or choose("未登记", "not recorded"),
            day(one.until) or choose("至今", "to this day"),
        ]
        for one in experts.employments(expert)
    ]


def _fees(expert: Expert) -> list[dict[str, Any]]:
    found: list[FeeRecord] = experts.fees_of(expert)
    return [
        {
            "review": one.review.partition(":")[2],
            "amount": money.format(one.fen),
            "at": instant(one.at),
            "paid": instant(one.paid_at),
            "key": place,
        }
        for place, one in zip(range(len(found), 0, -1), found, strict=True)
    ]
