"""Routes as dated data: how long a call stands, how many must bid, how a winner is found (competition.md, first paragraph).

A route is a policy row of the kind ``route.<route>``. A call keeps the version of the row it was published under, so
that a later edition of the rule never touches it; an operator adds a row, nobody edits one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from sqlalchemy import select

from kernel import clock, policies, trail
from kernel.access import Role
from kernel.db import session
from kernel.errors import Forbidden, Invalid, Invalids, PortalError
from kernel.policies import Policy
from kernel.trail import Actor
from kernel.words import Worded
from market.commissions import Payer, Route

trail.name_acts({"policy.entered": ("发布采购方式规则", "Route rule entered")})


class RankBy(Worded):
    """The published rule by which the winner is found."""

    LOWEST = "lowest", "最低价中选", "Lowest price"
    MEAN = "mean", "最接近平均价中选", "Nearest to the mean price"
    WEIGHTED = "weighted", "价格与质量综合评分", "Price and quality by published weights"
    DRAW = "draw", "随机抽取", "Random draw"
    ROUNDS = "rounds", "多轮竞价后最低价中选", "Lowest price after the rounds"


class PriceKind(Worded):
    AMOUNT = "amount", "报总价", "Total price"
    DISCOUNT = "discount", "报收费标准的折扣率", "Discount on the fee standard"
    NONE = "none", "不报价", "No price"


class TieRule(Worded):
    """What decides among equals; a draw is verifiable by anyone."""

    DRAW = "draw", "随机抽取决定", "By random draw"
    EARLIER = "earlier", "先报价者中选", "The earlier bid"


class CustodyKind(Worded):
    """Who holds the keys of the sealed bids."""

    THREE = "three", "采购人、平台、监督三方保管，任意两方开标", "Three custodians, any two open"
    PLATFORM = "platform", "平台保管", "Held by the platform"


class RouteInvalid(Invalid):
    code = "route_invalid"
    zh = "规则“{name}”有误：{why}"
    en = "The rule “{name_en}” is wrong: {why_en}"


class SourceMissing(Invalid):
    code = "source_missing"
    zh = "请写明规则的依据"
    en = "Name the text the rule comes from"


class RuleBackdated(Invalid):
    code = "rule_backdated"
    zh = "生效日期不能早于今天（{today}）"
    en = "A rule takes effect today ({today}) at the earliest"


@dataclass(frozen=True, slots=True)
class Rules:
    """One route's rules. Money in fen, shares in basis points (10,000 = the whole), times as named.

    ``floor_share``: the floor as a share of the ceiling, 0 for none. ``rest_commissions``: agencies chosen in the
    buyer's last so many commissions of the item rest. ``abnormal_share``: a price below this share of the mean of
    the bids must be justified. ``approval_above``: a call with a higher ceiling needs a second person's approval.
    ``trim_from``: from so many bids on, the highest and the lowest are left out of the mean.
    """

    notice_working_days: int
    minimum_bidders: Mapping[str, int]
    rank_by: RankBy
    price: PriceKind
    tie: TieRule
    custody: CustodyKind
    needs_ceiling: bool
    floor_share: int
    publicity_working_days: int
    objection_working_days: int
    contract: bool
    rest_commissions: int
    abnormal_share: int
    approval_above: int
    trim_from: int
    quality_weight: int
    scorers: int
    most_amount: int
    platform_custody_below: int
    rounds: int
    turn_seconds: int
    pause_seconds: int
    first_pause_seconds: int

    def minimum(self, payer: Payer) -> int:
        """The fewest bidders without which the call fails."""
        return self.minimum_bidders[payer.value]

    def custody_for(self, payer: Payer, ceiling: int | None) -> CustodyKind:
        """Three custodians, save for small purchases that the applicant pays (competition.md, "Sealed bids")."""
        if payer is Payer.SELF and ceiling is not None and ceiling < self.platform_custody_below:
            return CustodyKind.PLATFORM
        return self.custody


_WORDS: dict[str, type[Worded]] = {"rank_by": RankBy, "price": PriceKind, "tie": TieRule, "custody": CustodyKind}
#: Name → (Chinese, English, smallest, largest) of the whole numbers, in the order of the operator's form.
NUMBERS: dict[str, tuple[str, str, int, int]] = {
    "notice_working_days": ("公告期（工作日）", "Notice, working days", 0, 60),
    "floor_share": (
        "最低限价占最高限价的比例（万分比，0 为不设）",
        "Floor, share of the ceiling in 1/10,000, 0 for none",
        0,
        10_000,
    ),
    "publicity_working_days": ("公示期（工作日）", "Publicity, working days", 0, 60),
    "objection_working_days": ("异议答复时限（工作日）", "Time to answer an objection, working days", 1, 60),
    "rest_commissions": (
        "轮候：最近几次中选的机构暂停参加（0 为不设）",
        "Rotation: winners of the last so many rest, 0 for none",
        0,
        20,
    ),
    "abnormal_share": (
        "异常低价线占平均价的比例（万分比，0 为不设）",
        "Abnormally low below this share of the mean, 1/10,000, 0 for none",
        0,
        10_000,
    ),
    "approval_above": (
        "超过该金额需第二人批准（分，0 为一律需要）",
        "A second person approves above, fen, 0 for always",
        0,
        10**15,
    ),
    "trim_from": (
        "达到几家起去掉最高最低价再平均（0 为不去）",
        "From so many bids leave out highest and lowest, 0 for never",
        0,
        100,
    ),
    "quality_weight": ("质量分权重（万分比）", "Weight of quality, 1/10,000", 0, 10_000),
    "scorers": ("评审人员不少于", "Scorers at least", 0, 99),
    "most_amount": ("适用金额上限（分，0 为不限）", "Used up to this amount, fen, 0 for any", 0, 10**15),
    "platform_custody_below": (
        "申请人付费且低于该金额时由平台单独保管密钥（分）",
        "Self-paid below this amount: the platform alone holds the key, fen",
        0,
        10**15,
    ),
    "rounds": ("竞价轮次", "Rounds", 0, 9),
    "turn_seconds": ("每次报价时间（秒）", "A turn, seconds", 0, 3600),
    "pause_seconds": ("轮间休息（秒）", "A pause, seconds", 0, 3600),
    "first_pause_seconds": ("首轮前休息（秒）", "The first pause, seconds", 0, 3600),
}
#: The other rules.
LABELS: dict[str, tuple[str, str]] = {
    "rank_by": ("中选规则", "Ranked by"),
    "price": ("报价方式", "Price"),
    "tie": ("报价相同时", "Among equals"),
    "custody": ("密钥保管", "Custody of the keys"),
    "minimum_bidders": ("最少报价家数", "Fewest bidders"),
}
FLAGS: dict[str, tuple[str, str]] = {
    "needs_ceiling": ("必须公布最高限价", "A ceiling must be published"),
    "contract": ("开始服务前须确认合同", "A contract is confirmed before the start"),
}


def kind_of(route: Route) -> str:
    return f"route.{route.value}"


def parse(values: Mapping[str, Any]) -> Rules:
    """Rules from a policy row's values, checked member by member.

    Raises:
        Invalids: of RouteInvalid, everything that is wrong at once.
    """
    faults: list[PortalError] = []
    found: dict[str, Any] = {}

    def refuse(name: str, why: str, why_en: str) -> None:
        faults.append(_wrong(name, why, why_en))

    for name in sorted(values.keys() - {field.name for field in fields(Rules)}):
        refuse(name, "没有这项规则", "there is no such rule")
    for name, words in _WORDS.items():
        try:
            found[name] = words(str(values.get(name)))
        except ValueError:
            refuse(name, f"应为 {'、'.join(words)} 之一", f"one of {', '.join(words)}")
    for name, (_zh, _en, least, most) in NUMBERS.items():
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            refuse(name, f"应为 {least} 至 {most} 的整数", f"a whole number from {least} to {most}")
        found[name] = value
    for name in FLAGS:
        if not isinstance(values.get(name), bool):
            refuse(name, "应为是或否", "true or false")
        found[name] = values.get(name)
    least_bidders = values.get("minimum_bidders")
    if not isinstance(least_bidders, dict) or set(least_bidders) != {payer.value for payer in Payer}:
        refuse("minimum_bidders", "应按付费方分别填写", "one number for each payer")
    elif not all(type(number) is int and 1 <= number <= 99 for number in least_bidders.values()):
        refuse("minimum_bidders", "应为 1 至 99 的整数", "whole numbers from 1 to 99")
    found["minimum_bidders"] = least_bidders
    if not faults:
        faults += _contradictions(found)
    if faults:
        raise Invalids(faults)
    return Rules(**found)


def _wrong(name: str, why: str, why_en: str) -> RouteInvalid:
    zh, en = LABELS.get(name) or NUMBERS.get(name, ())[:2] or FLAGS.get(name) or (name, name)
    return RouteInvalid(field=name, name=zh, name_en=en, why=why, why_en=why_en)


def _contradictions(found: Mapping[str, Any]) -> list[PortalError]:
    """Rules that are each in range, yet can't be played together."""
    faults: list[PortalError] = []
    if found["floor_share"] and not found["needs_ceiling"]:
        faults.append(_wrong("floor_share", "设最低限价时须公布最高限价", "a floor needs a ceiling"))
    if found["rank_by"] is RankBy.ROUNDS and not (found["rounds"] and found["turn_seconds"]):
        faults.append(_wrong("rounds", "多轮竞价须设轮次和每次时间", "rounds need a number and a turn"))
    if found["rank_by"] is RankBy.WEIGHTED and not found["scorers"]:
        faults.append(_wrong("scorers", "综合评分须有评审人员", "weighted ranking needs scorers"))
    if (found["rank_by"] is RankBy.DRAW) != (found["price"] is PriceKind.NONE):
        faults.append(_wrong("price", "随机抽取不报价，其他方式须报价", "a draw has no price, the others do"))
    return faults


def current(route: Route, *, region: str = "", on: date | None = None) -> tuple[Policy, Rules]:
    """The row in force and its rules.

    Raises:
        policies.PolicyMissing: the route is not configured in this region.
    """
    policy = policies.current(kind_of(route), on=on, region=region)
    return policy, parse(policy.values)


def of_version(policy_id: int) -> Rules:
    """The rules of the row that a call was published under."""
    return parse(session.get_one(Policy, policy_id).values)


def enter(
    route: Route, values: Mapping[str, Any], *, effective_from: date, source: str, by: Actor, region: str = ""
) -> Policy:
    """A new dated row of a route; calls that are published keep theirs, drafts follow this one.

    Raises:
        Forbidden: whoever is no operator. Invalids: of RouteInvalid, SourceMissing, RuleBackdated.
    """
    if not by.has(Role.OPERATOR.value):
        raise Forbidden
    faults: list[PortalError] = []
    try:
        parse(values)
    except Invalids as wrong:
        faults += wrong.errors
    if not source.strip():
        faults.append(SourceMissing(field="source"))
    if effective_from < clock.today():
        faults.append(RuleBackdated(field="effective_from", today=clock.today().isoformat()))
    if faults:
        raise Invalids(faults)
    row = policies.enter(
        kind_of(route), dict(values), effective_from=effective_from, source=source.strip(), region=region
    )
    trail.record(f"policy:{row.id}", "policy.entered", by=by, policy=row.version, source=row.source)
    return row


def history(route: Route) -> list[Policy]:
    """Every row of a route, the newest first."""
    return list(
        session.scalars(
            select(Policy)
            .where(Policy.kind == kind_of(route))
            .order_by(Policy.effective_from.desc(), Policy.id.desc())
            .limit(200)
        )
    )
