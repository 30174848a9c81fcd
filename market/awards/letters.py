"""Letters and contracts as PDF: a typst template, the facts beside it as JSON, so that no fact is ever markup."""

from __future__ import annotations

import json
from typing import Any, Final

import typst

from kernel import clock, money
from market.awards.records import Award
from market.calls import CallForBids

_FONTS: Final = '("Noto Serif CJK SC", "Noto Sans CJK SC", "Source Han Serif SC", "SimSun")'
_PAGE: Final = (
    f'#set page(paper: "a4", margin: 2.5cm, numbering: "1 / 1")\n'
    f'#set text(font: {_FONTS}, size: 11pt, lang: "zh", region: "cn")\n'
    "#set par(justify: true, leading: 0.9em, first-line-indent: 0em)\n"
    "#let facts = json(bytes(sys.inputs.facts))\n"
    "#set document(title: facts.title)\n"
)
_TITLE: Final = '#align(center, text(size: 18pt, weight: "bold")[#facts.title])\n#v(0.8em)\n'
_ROWS: Final = (
    "#table(columns: (4.2cm, 1fr), inset: 7pt, stroke: 0.5pt,"
    " ..facts.rows.map(row => (text(row.at(0)), text(row.at(1)))).flatten())\n#v(0.8em)\n"
)
_LETTER: Final = (
    _PAGE
    + _TITLE
    + "#facts.to：\n#v(0.5em)\n#for line in facts.lines [#line #parbreak()]\n#v(0.5em)\n"
    + _ROWS
    + "#align(right)[#facts.sender \\ #facts.on]\n"
)
_CONTRACT: Final = (
    _PAGE
    + _TITLE
    + "#align(center)[#facts.number]\n#v(0.5em)\n"
    + _ROWS
    + "#for (index, clause) in facts.clauses.enumerate() [*#clause.at(0)* #linebreak() #clause.at(1) #parbreak()]\n"
    + "#v(1em)\n#table(columns: (1fr, 1fr), inset: 9pt, stroke: 0.5pt,"
    + " ..facts.parties.map(party => [#party.map(line => [#line]).join(linebreak())]))\n"
)


def letter_of_award(call: CallForBids, award: Award) -> bytes:
    """中选通知书: from the buyer to the chosen agency, once the period of publicity is over."""
    commission = call.commission
    when = clock.local_date(commission.offered_at or award.awarded_at)
    return _compile(
        _LETTER,
        {
            "title": "中选通知书",
            "to": award.agency.name,
            "lines": [
                f"“{call.title}”（采购编号 {call.number}）经公开采购、公示期满，确定贵单位为中选机构。",
                "请在规定时限内在本平台办理“接受委托”，并与采购人确认合同；逾期未接受的，视为放弃中选。",
            ],
            "rows": [
                ["服务事项", commission.item.name],
                ["项目", f"{commission.project.name}（{commission.engineering_code}）"],
                ["委托编号", commission.number],
                ["中选金额", amount_words(award.fee)],
                ["服务期限", f"{award.working_days} 个工作日，自开始受理服务起计算"],
                ["采购方式和规则", f"{commission.route.zh}，{call.rules.rank_by.zh}"],
                ["采购人联系人", " ".join(part for part in (call.contact, call.telephone) if part) or "—"],
            ],
            "sender": commission.client.name,
            "on": f"{when.year} 年 {when.month} 月 {when.day} 日",
        },
    )


def contract(facts: dict[str, Any]) -> bytes:
    """A contract; ``facts``: title, number, rows [[label, value]], clauses [[head, text]], parties [[line, …]]."""
    return _compile(_CONTRACT, facts)


def amount_words(fee: int | None) -> str:
    """An amount in figures and in capital numerals."""
    return "由双方在合同中约定" if fee is None else f"{money.format(fee)}（{money.chinese(fee)}）"


def _compile(template: str, facts: dict[str, Any]) -> bytes:
    inputs = {"facts": json.dumps(facts, ensure_ascii=False)}
    return bytes(typst.compile(template.encode(), format="pdf", sys_inputs=inputs))
