"""The contract of a commission won in a competition: its text, who has confirmed it, further terms (A7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from flask import Blueprint, render_template, url_for

from kernel.access import Cell, Role, holders
from kernel.errors import NotFound
from kernel.trail import Actor
from kernel.web import choose, instant, signed_in_actor
from market import commissions, contracts
from market.awards import letters
from market.commissions import Commission
from market.contracts import Contract
from market.web import confirm
from market.web.acts import Row
from market.web.confirm import Answer, Confirm
from market.web.forms import Field, Sheet

blueprint = Blueprint("contracts", __name__)
PARTIES = holders(Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY)
ACCESS: Mapping[str, Cell] = {
    "contracts.show": holders(
        Role.APPLICANT, Role.AUTHORITY, Role.ASSISTANT, Role.AGENCY, Role.SUPERVISOR, Role.AUDITOR
    ),
    "contracts.confirm": PARTIES,
    "contracts.terms": PARTIES,
}
LINKS: Mapping[str, Callable[[str], str]] = {}


def _found(number: str, actor: Actor, *, lock: bool = False) -> tuple[Commission, Contract]:
    commission = commissions.find(number, by=actor, lock=lock)
    contract = contracts.of_commission(commission)
    if contract is None:
        raise NotFound
    return commission, contract


def _rows(commission: Commission, contract: Contract) -> list[Row]:
    def state(at: str, who: str) -> str:
        return f"{at} {who}" if at else choose("尚未确认", "not confirmed yet")

    rows: list[Row] = [
        (choose("合同编号", "Contract"), contract.number),
        (choose("文本版次", "Text"), str(contract.version)),
        (choose("委托编号", "Commission"), commission.number),
        (choose("甲方（委托人）", "Client"), commission.client.name),
        (choose("乙方（机构）", "Agency"), contract.award.agency.name),
        (choose("合同金额", "Fee"), letters.amount_words(contract.award.fee)),
        (
            choose("服务期限", "Service time"),
            choose(f"{contract.award.working_days} 个工作日", f"{contract.award.working_days} working days"),
        ),
        (choose("甲方确认", "Client"), state(instant(contract.client_confirmed_at), contract.client_confirmed_by)),
        (choose("乙方确认", "Agency"), state(instant(contract.agency_confirmed_at), contract.agency_confirmed_by)),
    ]
    if contract.terms:
        rows.append((choose("补充条款", "Further terms"), contract.terms))
    return rows


def _may_confirm(commission: Commission, contract: Contract, actor: Actor) -> bool:
    is_client, is_agency = contracts.sides(commission, actor)
    return (is_client and contract.client_confirmed_at is None) or (is_agency and contract.agency_confirmed_at is None)


@blueprint.get("/commissions/<number>/contract")
def show(number: str) -> str:
    """The contract as it stands."""
    actor = signed_in_actor()
    commission, contract = _found(number, actor)
    return render_template(
        "market/contract_page.html",
        commission=commission,
        contract=contract,
        rows=_rows(commission, contract),
        may_confirm=_may_confirm(commission, contract, actor),
        may_amend=not contract.is_confirmed and any(contracts.sides(commission, actor)),
    )


def _page(commission: Commission, contract: Contract, *, title: str, button: str, done: str) -> Confirm:
    back = url_for("contracts.show", number=commission.number)
    return Confirm(
        title=title,
        button=button,
        done=done,
        back=back,
        crumbs=[(commission.number, f"/commissions/{commission.number}"), (choose("合同", "Contract"), back)],
        version=contract.version,
        subject=contract.subject,
        rows=_rows(commission, contract),
    )


@blueprint.route("/commissions/<number>/contract/confirm", methods=["GET", "POST"], endpoint="confirm")
def confirm_page(number: str) -> Answer:
    """Confirm the text as it stands."""
    actor = signed_in_actor()

    def make() -> Confirm:
        commission, contract = _found(number, actor)
        page = _page(
            commission,
            contract,
            title=choose("确认合同", "Confirm the contract"),
            button=choose("确认合同", "Confirm"),
            done=choose("已确认合同。", "Confirmed."),
        )
        words = (
            f"确认第 {contract.version} 版合同文本（校验值 {contract.document.sha256[:16]}…）。双方均确认后方可开始受理服务。",
            f"You confirm text {contract.version} (SHA-256 {contract.document.sha256[:16]}…). The service starts once both have.",
        )
        return replace(page, explain=[choose(*words)], is_open=_may_confirm(commission, contract, actor))

    def perform(sheet: Sheet, version: int | None) -> str:
        commission, _contract = _found(number, actor, lock=True)
        contracts.confirm(commission, by=actor, expected_version=version)
        return url_for("contracts.show", number=number)

    return confirm.serve(make, perform, actor)


@blueprint.route("/commissions/<number>/contract/terms", methods=["GET", "POST"])
def terms(number: str) -> Answer:
    """Write the further terms anew."""
    actor = signed_in_actor()

    def make() -> Confirm:
        commission, contract = _found(number, actor)
        page = _page(
            commission,
            contract,
            title=choose("修改补充条款", "Change the further terms"),
            button=choose("生成新版合同", "Make the new text"),
            done=choose("已生成新版合同，请双方确认。", "The new text is there; both sides confirm it."),
        )
        return replace(
            page,
            explain=[
                choose(
                    "修改后生成新版文本，此前的确认作废；补充条款不得背离中选结果。",
                    "A new text is made and earlier confirmations are void. The terms must not depart from the result.",
                )
            ],
            fields=[Field("terms", "text", ("补充条款", "Further terms"), is_required=False, initial=contract.terms)],
            is_open=not contract.is_confirmed and any(contracts.sides(commission, actor)),
        )

    def perform(sheet: Sheet, version: int | None) -> str:
        commission, _contract = _found(number, actor, lock=True)
        contracts.amend(commission, sheet.text("terms"), by=actor, expected_version=version)
        return url_for("contracts.show", number=number)

    return confirm.serve(make, perform, actor)
