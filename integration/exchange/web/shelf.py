"""The shelf by API, open to everybody: the listings that a search finds, and the catalogue of items (001 §9.1, A4)."""

from __future__ import annotations

from typing import Any

from flask import Response

from integration.exchange.schemas import PAGING, PROJECT_CODE, integer, text
from integration.exchange.web.contract import Call, JsonObject, Operation, answer_json, operation, read_code, tongue
from kernel import projects
from market import commissions, shelf
from market.catalogue import ServiceItem
from market.fees import Figures

#: So far can be paged; what lies deeper is found by a narrower search.
_DEEPEST = 1000


@operation(
    Operation(
        "services",
        "GET",
        "/services",
        ("检索服务", "Search the shelf"),
        None,
        "Services",
        query={
            "q": text(100),
            "item": text(40, 1),
            "region": text(60, 1),
            "project": PROJECT_CODE,
            "sort": {"type": "string", "enum": ["days", "fee"]},
            "page": integer(1, _DEEPEST, default=1),
        },
        note=(
            "每页 20 项。给出本单位的项目代码（project）时，fee 为按该项目计算的费用（分）。",
            "Twenty a page. With project, one of your own, fee is what the service costs for it, in fen.",
        ),
    )
)
def services(call: Call) -> Response:
    asked = call.query
    figures = _figures(call) if "project" in asked else Figures(None, None, None, None)
    filters = {name: [asked[name]] for name in ("item", "region") if name in asked}
    found = shelf.find(
        asked.get("q", ""), filters=filters, sort=asked.get("sort", ""), page=asked["page"], figures=figures
    )
    return answer_json(
        {
            "services": [_service_json(one, figures) for one in found.offers],
            "page": asked["page"],
            "size": shelf.PAGE,
            "total": found.total,
        }
    )


def _figures(call: Call) -> Figures:
    code = read_code(call.query["project"], "project")
    project, _phase = projects.find(code, field="project")
    if call.actor is None or not projects.is_owner(project, call.actor):
        raise projects.ProjectUnknown(field="project", value=code)
    return commissions.figures_of(project)


def _service_json(one: shelf.Offer, figures: Figures) -> JsonObject:
    quote, language = one.quote(figures), tongue()
    return {
        "number": one.number,
        "item": {"code": one.item.code, "name": one.item.label(language)},
        "agency": {"number": one.agency.number, "name": one.agency.name},
        "fee_kind": one.rule.kind,
        "fee_text": shelf.fee_in_words(one.rule, language),
        "fee": quote.amount,
        "ceiling": quote.ceiling,
        "promised_working_days": one.promised_working_days,
        "regions": list(one.served),
        "edition": one.edition,
        "url": f"/services/{one.number}",
    }


@operation(
    Operation("items", "GET", "/items", ("服务事项目录", "The catalogue of service items"), None, "Items", query=PAGING)
)
def items(call: Call) -> Response:
    page, size = call.query["page"], call.query["size"]
    every = sorted(shelf.guide().by_code.values(), key=lambda item: item.code)
    return answer_json(
        {
            "items": [_item_json(item) for item in every[(page - 1) * size : page * size]],
            "page": page,
            "size": size,
            "total": len(every),
        }
    )


def _item_json(item: ServiceItem) -> JsonObject:
    names: dict[str, Any] = {
        name: getattr(item, name)
        for name in (
            "code",
            "name",
            "name_en",
            "category",
            "stage",
            "matters",
            "legal_basis",
            "voluntary",
            "content",
            "required_materials",
            "deliverables",
            "fee_management",
            "promised_working_days",
            "technical_review",
            "may_self_prepare",
            "supervising_authority",
        )
    }
    return names
