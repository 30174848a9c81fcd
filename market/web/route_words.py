"""A route's rules as a buyer reads them before choosing (competition.md, first paragraph)."""

from __future__ import annotations

from typing import Any

from kernel import money
from kernel.policies import PolicyMissing
from kernel.web import choose, language
from market import routes
from market.commissions import Payer, Route
from market.routes import Rules


def options(region: str, payer: Payer, *, direct: bool = False) -> list[dict[str, Any]]:
    """The routes configured in a region, each explained, for ``ui.radios``; DIRECT only where ``direct``."""
    found = []
    for route in Route:
        if route is Route.MENU or (route is Route.DIRECT and not direct):
            continue
        try:
            _policy, rules = routes.current(route, region=region)
        except PolicyMissing:
            continue
        found.append({"value": route.value, "label": route.label(language()), "hint": explain(route, rules, payer)})
    return found


def explain(route: Route, rules: Rules, payer: Payer) -> str:
    """One line: what decides, how long, how many, above which amount not."""
    tongue = language()
    most = money.format(rules.most_amount)
    limit = [choose(f"不超过 {most}", f"up to {most}")] if rules.most_amount else []
    if route is Route.DIRECT:
        told = [
            choose(
                "不发布公告，写明理由后直接委托一家机构", "no notice: one agency is commissioned for a stated reason"
            )
        ]
        return _joined(told + limit)
    least = rules.minimum(payer)
    told = [
        rules.rank_by.label(tongue),
        choose(
            f"公告不少于 {rules.notice_working_days} 个工作日",
            f"the notice stands {rules.notice_working_days} working days",
        ),
        choose("无机构报价即流标", "fails without a bidder")
        if least == 1
        else choose(f"少于 {least} 家流标", f"fails with fewer than {least} bidders"),
        choose(
            f"公示 {rules.publicity_working_days} 个工作日",
            f"the result is publicised for {rules.publicity_working_days} working days",
        ),
    ]
    if rules.needs_ceiling:
        told.append(choose("须公布最高限价", "a ceiling is published"))
    if rules.rest_commissions:
        told.append(
            choose(
                f"最近 {rules.rest_commissions} 次中选的机构轮候",
                f"winners of the last {rules.rest_commissions} rest",
            )
        )
    return _joined(told + limit)


def _joined(parts: list[str]) -> str:
    return choose("；".join(parts) + "。", "; ".join(parts) + ".")
