"""Calls for bids by API: what is public of them, and handing in a bid that was sealed elsewhere (001 §9.2, A6).

A program sees what a page shows: how many bid not before the closing, who bid not before the opening, and no price
of anybody before that.
"""

from __future__ import annotations

import json

from flask import Response, request
from sqlalchemy import func, select

from integration.exchange.schemas import NUMBER as NUMBER_SHAPE
from integration.exchange.schemas import PAGING, one_of, text
from integration.exchange.tokens import Scope
from integration.exchange.web.contract import (
    PREFIX,
    Call,
    JsonObject,
    Operation,
    answer_act,
    answer_json,
    instant,
    operation,
    tongue,
)
from kernel import sealing
from kernel.access import Role, holders
from kernel.db import session
from kernel.errors import NotFound
from market import agencies, bidding, calls, custody
from market.calls import CallForBids
from market.commissions import Commission, CommissionStatus, Route

_NUMBER = {"number": NUMBER_SHAPE}


def line_json(one: CallForBids, language: str) -> JsonObject:
    """A call as a list shows it."""
    commission, rules = one.commission, one.rules
    return {
        "number": one.number,
        "title": one.title,
        "status": commission.status,
        "status_label": commission.status.label(language),
        "route": commission.route,
        "payer": commission.payer,
        "buyer": commission.client.name,
        "project": {"code": commission.project.code, "name": commission.project.name},
        "item": {"code": commission.item.code, "name": commission.item.label(language)},
        "region": commission.project.region,
        "ceiling": one.ceiling,
        "floor": one.floor,
        "minimum_bidders": rules.minimum(commission.payer),
        "rank_by": rules.rank_by,
        "policy": commission.policy,
        "edition": one.edition,
        "published_at": instant(one.published_at),
        "closing_at": instant(one.closing_at),
        "closed_at": instant(one.closed_at),
        "opened_at": instant(one.opened_at),
        "url": f"/calls/{one.number}",
    }


def call_json(one: CallForBids, language: str) -> JsonObject:
    """A call as everybody may read it."""
    return {
        **line_json(one, language),
        "notice": [
            {"name": row["zh"] if language == "zh" else row["en"], "value": str(row["value"])}
            for row in calls.rows(one)
        ],
        "seal": json.loads(sealing.CallKeys(one.number, custody.recipients(one.id)).as_bytes()),
    }


@operation(
    Operation(
        "calls",
        "GET",
        "/calls",
        ("采购公告", "Calls for bids"),
        None,
        "Calls",
        query={
            "status": one_of(CommissionStatus),
            "route": one_of(Route),
            "item": text(40, 1),
            "region": text(12, 1),
            **PAGING,
        },
        note=("由新到旧；开标前没有任何报价信息。", "Newest first; nothing of any bid before the opening."),
    )
)
def list_calls(call: Call) -> Response:
    asked = call.query
    statement = select(CallForBids).join(Commission).where(CallForBids.published_at.is_not(None))
    if "status" in asked:
        statement = statement.where(Commission.status == CommissionStatus(asked["status"]))
    if "route" in asked:
        statement = statement.where(Commission.route == Route(asked["route"]))
    if "item" in asked:
        statement = statement.where(Commission.item.has(code=asked["item"]))
    if "region" in asked:
        statement = statement.where(Commission.project.has(region=asked["region"]))
    page, size = asked["page"], asked["size"]
    total = session.scalar(select(func.count()).select_from(statement.with_only_columns(CallForBids.id).subquery()))
    rows = session.scalars(
        statement.order_by(CallForBids.published_at.desc(), CallForBids.id.desc()).limit(size).offset((page - 1) * size)
    ).unique()
    return answer_json(
        {"calls": [line_json(one, tongue()) for one in rows], "page": page, "size": size, "total": total}
    )


@operation(
    Operation(
        "call",
        "GET",
        "/calls/{number}",
        ("查询采购公告", "A call for bids"),
        None,
        "CallForBids",
        variables=_NUMBER,
        note=(
            "seal 是封装报价所需的公开密钥，存为文件后即可用 flask bids seal 离线封装。",
            "seal holds the public keys; kept as a file it is what `flask bids seal` takes.",
        ),
    )
)
def read_call(call: Call, number: str) -> Response:
    return answer_json(call_json(calls.find(number, by=None), tongue()))


@operation(
    Operation(
        "hand_in_bid",
        "POST",
        "/calls/{number}/bids",
        ("投递密封报价", "Hand in a sealed bid"),
        Scope.BIDS_WRITE,
        "BidReceipt",
        status=201,
        variables=_NUMBER,
        body="SealedBidToHandIn",
        is_act=True,
        note=(
            "正文为 flask bids seal 生成的 .sealed.json。再次投递即替换前一份；同一份密文再次投递，回执不变。",
            "The body is the .sealed.json of `flask bids seal`. A later bid replaces the one before; the same "
            "ciphertext again is answered by the same receipt.",
        ),
    ),
    holders(Role.AGENCY),
)
def hand_in_bid(call: Call, number: str) -> Response:
    def act() -> tuple[JsonObject, int]:
        agency = agencies.of_organisation(call.by.organisation_id or 0)
        if agency is None:
            raise NotFound
        bid, sealed_by = sealing.read_sealed(json.dumps(call.body).encode(), number)
        receipt = bidding.submit(
            number,
            agency,
            ciphertext=bid.ciphertext,
            wraps=bid.wraps,
            sealed_by=sealed_by,
            by=call.by,
            address=request.remote_addr or "",
            # A program is no device: two agencies may well use one vendor's.
        )
        return receipt, 201

    return answer_act(act, location=lambda value: f"{PREFIX}/calls/{number}")
