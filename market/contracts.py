"""The contract after a competition: generated from the published facts, confirmed by both sides (life-cycles §2, A7).

"sign contract: each side confirms the other's": the text is made of the call, the bid and the two parties, so that
nothing in it departs from what was competed for; further terms may be added until both have confirmed one version.
"""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, files, numbers, trail, workflow
from kernel.access import Role
from kernel.accounts import Organisation
from kernel.db import Keyed, session
from kernel.errors import Conflict, Invalid, NotFound
from kernel.files import Document
from kernel.trail import SYSTEM, Actor, TrailAct
from kernel.workflow import StaleVersion
from market import awards, calls
from market.awards import Award, letters
from market.calls import CallForBids
from market.commissions import (
    STEPS,
    Commission,
    CommissionStatus,
    by_agency,
    by_client,
    by_either,
    can_see,
    tell_agency,
    tell_client,
)
from market.notices import NoticeKind

NUMBER = numbers.series("HT")
trail.name_acts(
    {
        "contract.drafted": ("生成合同文本", "Contract drafted"),
        "contract.amended": ("修改合同补充条款", "Further terms changed"),
    }
)
LONGEST_TERMS = 4000


class NoContract(Conflict):
    code = "no_contract"
    zh = "此委托不需要在平台确认合同"
    en = "This commission needs no contract on the platform"


class ContractNotConfirmed(Conflict):
    code = "contract_not_confirmed"
    zh = "合同尚未经双方确认，不能开始受理服务"
    en = "Both sides must confirm the contract before the service starts"


class ContractConfirmed(Conflict):
    code = "contract_already_confirmed"
    zh = "贵方已确认此版本合同"
    en = "Your side has confirmed this version already"


class TermsTooLong(Invalid):
    code = "terms_too_long"
    zh = "补充条款不能超过 {most} 个字"
    en = "Further terms have at most {most} characters"


class Contract(Keyed):
    """``version`` counts texts: a change makes confirmations of the text before void. ``document`` is that text."""

    __tablename__ = "contracts"
    number: Mapped[str] = mapped_column(unique=True)
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"), unique=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("calls_for_bids.id"))
    award_id: Mapped[int] = mapped_column(ForeignKey("awards.id"))
    version: Mapped[int] = mapped_column(default=1)
    terms: Mapped[str] = mapped_column(default="")
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    drafted_at: Mapped[datetime]
    client_confirmed_at: Mapped[datetime | None]
    client_confirmed_by: Mapped[str] = mapped_column(default="")
    agency_confirmed_at: Mapped[datetime | None]
    agency_confirmed_by: Mapped[str] = mapped_column(default="")
    document: Mapped[Document] = relationship(lazy="joined")
    award: Mapped[Award] = relationship()

    @property
    def subject(self) -> str:
        return f"contract:{self.number}"

    @property
    def is_confirmed(self) -> bool:
        return self.client_confirmed_at is not None and self.agency_confirmed_at is not None


def is_wanted(commission: Commission) -> bool:
    """Whether the rules that the call was published under want a confirmed contract before the start."""
    if not commission.route.is_competition:
        return False
    call = calls.of_commission(commission)
    return call is not None and call.rules.contract


def of_commission(commission: Commission) -> Contract | None:
    return session.scalars(select(Contract).where(Contract.commission_id == commission.id)).first()


def require_confirmed(commission: Commission) -> None:
    """For whoever starts the service.

    Raises:
        ContractNotConfirmed.
    """
    if is_wanted(commission):
        contract = of_commission(commission)
        if contract is None or not contract.is_confirmed:
            raise ContractNotConfirmed


def draft_for(commission: Commission, *, by: Actor = SYSTEM) -> Contract:
    """The contract of a commission that was taken on; made on the first call, the same one afterwards.

    Raises:
        NoContract: not after a competition whose rules want one, or nobody has taken it on.
    """
    found = of_commission(commission)
    if found is not None:
        return found
    call = calls.of_commission(commission)
    made = awards.standing(call) if call is not None else None
    if call is None or made is None or not is_wanted(commission) or commission.status != CommissionStatus.TAKEN_ON:
        raise NoContract
    number = numbers.following(NUMBER)
    contract = Contract(
        number=number,
        commission_id=commission.id,
        call_id=call.id,
        award=made,
        version=1,
        document=_document(number, 1, _facts(number, call, made, ""), by),
        drafted_at=clock.now(),
    )
    session.add(contract)
    session.flush()
    trail.record(
        contract.subject, "contract.drafted", by=by, commission=commission.number, sha256=contract.document.sha256
    )
    return contract


def amend(commission: Commission, terms: str, *, by: Actor, expected_version: int | None = None) -> Contract:
    """Either side writes the further terms anew; whoever had confirmed the text before confirms again.

    Raises:
        workflow.MoveNotOpen, workflow.StaleVersion, NoContract, ContractConfirmed: both have confirmed. TermsTooLong.
    """
    workflow.check(commission, STEPS, "confirm_contract", by=by)
    contract = _locked(draft_for(commission, by=by), expected_version)
    if contract.is_confirmed:
        raise ContractConfirmed
    if len(terms) > LONGEST_TERMS:
        raise TermsTooLong(field="terms", most=LONGEST_TERMS)
    call = session.get_one(CallForBids, contract.call_id)
    contract.terms = terms.strip()
    contract.version += 1
    contract.document = _document(
        contract.number, contract.version, _facts(contract.number, call, contract.award, contract.terms), by
    )
    contract.client_confirmed_at = contract.agency_confirmed_at = None
    contract.client_confirmed_by = contract.agency_confirmed_by = ""
    session.flush()
    trail.record(contract.subject, "contract.amended", by=by, version=contract.version, sha256=contract.document.sha256)
    (tell_agency if by_client(commission, by) else tell_client)(commission, "contract.amended")
    return contract


def confirm(commission: Commission, *, by: Actor, expected_version: int | None = None) -> Contract:
    """One side confirms the text as it stands (``expected_version``); with both the contract is public knowledge.

    Raises:
        workflow.MoveNotOpen, workflow.StaleVersion: the text was changed meanwhile. NoContract, ContractConfirmed.
    """
    workflow.check(commission, STEPS, "confirm_contract", by=by)
    contract = _locked(draft_for(commission, by=by), expected_version)
    moment, who = clock.now(), f"{by.organisation} {by.person}".strip()
    if by_client(commission, by):
        if contract.client_confirmed_at is not None:
            raise ContractConfirmed
        contract.client_confirmed_at, contract.client_confirmed_by = moment, who
    else:
        if contract.agency_confirmed_at is not None:
            raise ContractConfirmed
        contract.agency_confirmed_at, contract.agency_confirmed_by = moment, who
    session.flush()
    workflow.step(
        commission,
        STEPS,
        "confirm_contract",
        by=by,
        at=moment,
        contract=contract.number,
        text=contract.version,
        sha256=contract.document.sha256,
    )
    (tell_agency if by_client(commission, by) else tell_client)(commission, "contract.confirmed", at=moment)
    if contract.is_confirmed:
        _announce(session.get_one(CallForBids, contract.call_id), contract, moment)
    return contract


def sides(commission: Commission, actor: Actor) -> tuple[bool, bool]:
    """Whether the actor speaks for the client, and for the agency."""
    return by_client(commission, actor), by_agency(commission, actor)


def may_read(document: Document, actor: Actor | None) -> bool:
    """Reader for :func:`kernel.files.may_read`: the two sides and those who supervise."""
    contract = session.scalars(select(Contract).where(Contract.document_id == document.id)).first()
    if contract is None or actor is None:
        return False
    commission = session.get_one(Commission, contract.commission_id)
    return by_either(commission, actor) or actor.has(Role.SUPERVISOR.value, Role.AUDITOR.value)


def find(commission: Commission, *, by: Actor) -> Contract | None:
    """The contract for those who see its commission.

    Raises:
        NotFound.
    """
    if not can_see(commission, by):
        raise NotFound
    return of_commission(commission)


def on_taken_on(act: TrailAct, by: Actor) -> None:
    """Subscriber of ``commission.taken_on``: where the rules want a contract, its text is there at once."""
    number = act.subject.partition(":")[2]
    commission = session.scalars(select(Commission).where(Commission.number == number)).one()
    if is_wanted(commission):
        draft_for(commission, by=by)


def _locked(contract: Contract, expected_version: int | None) -> Contract:
    session.refresh(contract, with_for_update={"of": Contract})
    if expected_version is not None and expected_version != contract.version:
        raise StaleVersion(current=contract.version)
    return contract


def _document(number: str, version: int, facts: dict[str, Any], by: Actor) -> Document:
    return files.put(io.BytesIO(letters.contract(facts)), f"{number} 第{version}版.pdf", by=by)


def _facts(number: str, call: CallForBids, made: Award, terms: str) -> dict[str, Any]:
    commission = call.commission
    clauses = [
        ("一、服务内容", call.requirement),
        ("二、服务成果", "、".join(commission.item.deliverables) or commission.item.name),
        (
            "三、服务期限",
            f"{made.working_days} 个工作日，自乙方在中介服务超市点击“开始受理服务”时起计算；等待甲方配合、等待认可成果的期间不计入。",
        ),
        ("四、服务费用", f"{letters.amount_words(made.fee)}。以中选报价为准，双方不得另行订立背离中选结果的协议。"),
        ("五、成果认可", "乙方通过中介服务超市提交成果报告，由项目申请人认可或逐条写明理由退回；不答复不视为认可。"),
        ("六、保密与廉洁", "双方对因履行合同知悉的商业秘密负有保密义务，不得给予或收受不正当利益。"),
        (
            "七、违约与争议",
            "一方违约的，依照《中华人民共和国民法典》承担责任；争议协商不成的，向项目所在地人民法院起诉。",
        ),
    ]
    if call.conditions:
        clauses.append(("八、采购公告的其他条件", call.conditions))
    if terms:
        clauses.append((f"{'九' if call.conditions else '八'}、补充条款", terms))
    return {
        "title": f"{commission.item.name}服务合同",
        "number": f"合同编号 {number}",
        "rows": [
            ["采购编号", call.number],
            ["委托编号", commission.number],
            ["项目", f"{commission.project.name}（{commission.engineering_code}）"],
            ["采购方式", f"{commission.route.zh}，{call.rules.rank_by.zh}"],
            ["甲方（委托人）", commission.client.name],
            ["乙方（中介服务机构）", made.agency.name],
        ],
        "clauses": [list(clause) for clause in clauses],
        "parties": [_party("甲方", commission.client), _party("乙方", made.agency.organisation)],
    }


def _party(side: str, organisation: Organisation) -> list[str]:
    return [
        f"{side}：{organisation.name}",
        f"统一社会信用代码：{organisation.credit_code}",
        f"法定代表人：{organisation.legal_representative}",
        f"地址：{organisation.address}",
        f"电话：{organisation.telephone}",
    ]


def _announce(call: CallForBids, contract: Contract, moment: datetime) -> None:
    made = contract.award
    rows = [
        {"zh": "合同编号", "en": "Contract", "value": contract.number},
        {"zh": "甲方", "en": "Client", "value": call.commission.client.name},
        {"zh": "乙方", "en": "Agency", "value": made.agency.name},
        {"zh": "合同金额", "en": "Fee", "value": letters.amount_words(made.fee)},
        {"zh": "服务期限（工作日）", "en": "Working days", "value": str(made.working_days)},
        {"zh": "合同文本校验值", "en": "SHA-256 of the text", "value": contract.document.sha256},
    ]
    calls.announce(call, NoticeKind.CONTRACT, call.title, rows, at=moment)
