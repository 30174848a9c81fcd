"""The public guide: what may be applied for, at which department, in how many days, with which materials."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, render_template, request

from integration.approvals import guide
from kernel.access import PUBLIC, Cell
from market import shelf

blueprint = Blueprint("guide", __name__)
ACCESS: Mapping[str, Cell] = {"guide.guide": PUBLIC, "guide.kind": PUBLIC}


@blueprint.get("/guide", endpoint="guide")
def guide_page() -> str:
    wanted = request.args.get("q", "").strip()
    kinds = [kind for kind in guide.all_kinds() if wanted in kind.name or wanted in kind.department]
    return render_template("integration/guide_list.html", kinds=kinds, q=wanted)


@blueprint.get("/guide/<code>", endpoint="kind")
def kind_page(code: str) -> str:
    kind = guide.by_code(code)
    items = shelf.guide().by_code
    return render_template("integration/guide_show.html", kind=kind, items=items)
