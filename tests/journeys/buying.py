"""Purchases prepared over plain HTTP for the journeys of buyers and bidders (8, 9, 10).

A company buys for itself and so little that the platform alone keeps the key: the bids open by themselves at the closing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from integration.demo import city
from kernel import clock
from tests.journeys.clerk import Clerk

#: A matter of the shipped guide with a material that a service on the shelf delivers.
KIND = "SP-0503"
BUYER = "applicant"
WORDS = {
    "title": "住宅小区中介服务采购",
    "requirement": "按委托要求编制成果报告，配合技术评审并按意见修改。",
    "contact": "林知夏",
    "telephone": "0451-88880001",
    "complaint_telephone": "0451-88880002",
}


@dataclass(frozen=True)
class Call:
    """A published call: its number, when its bids close, when its rounds would begin."""

    number: str
    closing: datetime
    begins: datetime


def name_of(login: str) -> str:
    """The full name of the organisation for which this account of the demo acts."""
    short = next(short for account, _name, short, _role in city.PEOPLE if account == login)
    return city.ORGANISATIONS[short][1]


def published(clerk: Clerk, route: str, *, title: str = "", **amounts: str) -> Call:
    """A call of the buyer's, filled in and published; times as the pages propose them."""
    buyer = clerk.as_(BUYER)
    code = clerk.project()
    guide = buyer.get(f"/guide/{KIND}")
    item = next(a.partition("item=")[2].partition("&")[0] for a, _ in guide.links if "item=" in a)
    page = buyer.get("/needs/new")
    begun = {"project_code": code, "item": item, "route": route, "payer": "self"}
    draft = buyer.submit(page, page.form("project_code", "item", "route"), begun)
    number = draft.url.split("?")[0].rsplit("/", 1)[1]
    amounts = {"ceiling": "80000.00", "most_working_days": "20"} | amounts
    proposed: dict[str, str] = {}
    for task, values in (("need", WORDS | ({"title": title} if title else {})), ("amounts", amounts), ("times", {})):
        page = buyer.get(f"/needs/{number}/{task}")
        form = page.form("act", "version", *values)
        proposed |= {name: value for name, value in form.values if name.startswith(("closing_at", "auction_at"))}
        buyer.submit(page, form, values)
    clerk.act(BUYER, f"/needs/{number}/check")
    closing = _instant(proposed, "closing_at")
    return Call(number, closing, _instant(proposed, "auction_at") if "auction_at" in proposed else closing)


def bid(clerk: Clerk, login: str, call: Call, price: str) -> None:
    """A sealed bid of this price in yuan, sealed by the server."""
    agency = clerk.as_(login)
    page = agency.get(f"/calls/{call.number}/bid")
    checked = agency.submit(page, page.form("price", "working_days"), {"price": price, "working_days": "15"})
    agency.submit(checked, checked.form("sealed_here", "act"))


def close(clerk: Clerk, call: Call) -> None:
    """Past the closing; the scheduler opens the bids."""
    after = call.closing + timedelta(seconds=2)
    if clerk.now() < after:
        clerk.move_to(after)


def _instant(values: dict[str, str], name: str) -> datetime:
    return datetime.fromisoformat(f"{values[name]}T{values[f'{name}_time']}").replace(tzinfo=clock.SHANGHAI)
