"""Public notices: the list, one notice, Atom and JSON feeds, and who wants to be told (001 §9.2).

A notice never changes and tells nothing of sealed bids, so its validators (ETag, Last-Modified) move with notices alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from flask import Blueprint, Response, current_app, flash, make_response, render_template, request, url_for

from kernel.access import PUBLIC, SIGNED_IN, Cell
from kernel.errors import PortalError
from kernel.web import (
    choose,
    current_actor,
    form_errors,
    instant,
    language,
    page_number,
    signed_in_actor,
    url_with,
)
from kernel.web.kept import fragment
from market import catalogue, notices
from market.notices import NoticeKind, PublicNotice, Wanted
from market.web import confirm
from market.web.downloads import send_csv, send_xlsx
from market.web.needs import item_options

blueprint = Blueprint("notices", __name__)
ACCESS: Mapping[str, Cell] = {
    "notices.index": PUBLIC,
    "notices.download": PUBLIC,
    "notices.atom": PUBLIC,
    "notices.json_feed": PUBLIC,
    "notices.show": PUBLIC,
    "notices.subscriptions": SIGNED_IN,
}
LINKS: Mapping[str, Callable[[str], str]] = {"notice": lambda number: f"/notices/{number}"}
PAGE_SIZE = 30
FEED_SIZE = 50
MOST_ROWS = 5000
#: When a feed without a notice was last changed.
_NEVER = datetime(2022, 1, 6, tzinfo=UTC)
_ATOM = "http://www.w3.org/2005/Atom"


def _wanted() -> Wanted:
    """The filters of the query string; what is no kind, item or region narrows nothing."""
    kind = request.args.get("kind", "")
    region = request.args.get("region", "").strip()
    return Wanted(
        kind=kind if kind in {one.value for one in NoticeKind} else "",
        item=request.args.get("item", "").strip()[:20],
        region=region if len(region) == 6 and region.isascii() and region.isdigit() else "",
        call=request.args.get("call", "").strip()[:20],
    )


def _query(wanted: Wanted) -> dict[str, Any]:
    named = {"kind": wanted.kind, "item": wanted.item, "region": wanted.region, "call": wanted.call}
    return {name: value for name, value in named.items() if value}


def _groups(wanted: Wanted) -> list[dict[str, Any]]:
    tongue, counts = language(), notices.counts(wanted)
    items = {item.code: item.label(tongue) for item in catalogue.all_items()}
    kinds = {one.value: one.label(tongue) for one in NoticeKind}

    def group(title: str, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
        chosen = getattr(wanted, name)
        values = [value for value in labels if value in counts[name] or value == chosen]
        return {
            "title": title,
            "name": name,
            "options": [
                {
                    "label": labels[value],
                    "count": counts[name].get(value, 0),
                    "selected": value == chosen,
                    "url": url_with(**{name: None if value == chosen else value, "page": None}),
                }
                for value in values
            ],
        }

    regions = {region: region for region in sorted({*counts["region"], *([wanted.region] if wanted.region else [])})}
    found = [
        group(choose("公告类型", "Kind"), "kind", kinds),
        group(choose("服务事项", "Service item"), "item", items),
        group(choose("地区", "Region"), "region", regions),
    ]
    return [one for one in found if one["options"]]


def _line(notice: PublicNotice) -> dict[str, Any]:
    return {
        "notice": notice,
        "url": url_for("notices.show", number=notice.number),
        "kind": notice.kind.label(language()),
        "tag": _TAGS.get(notice.kind, "neutral"),
        "at": instant(notice.published_at),
    }


_TAGS = {
    NoticeKind.CALL: "info",
    NoticeKind.CORRECTION: "warn",
    NoticeKind.EXTENSION: "warn",
    NoticeKind.WITHDRAWN: "bad",
    NoticeKind.FAILED: "bad",
    NoticeKind.RESULT: "good",
    NoticeKind.CONTRACT: "good",
    NoticeKind.OVERTURNED: "warn",
}


@blueprint.get("/notices", endpoint="index")
def index() -> str:
    wanted, page = _wanted(), page_number()
    total, groups, query = notices.total(wanted), _groups(wanted), _query(wanted)
    found = notices.listed(wanted, most=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    return render_template(
        "market/notice_index.html",
        rows=[_line(one) for one in found],
        groups=groups,
        call=wanted.call,
        drops=[
            (option["label"], option["url"]) for group in groups for option in group["options"] if option["selected"]
        ]
        + ([(wanted.call, url_with(call=None, page=None))] if wanted.call else []),
        total=total,
        page=page,
        pages=max(1, -(-total // PAGE_SIZE)),
        atom=url_for("notices.atom", **query),
        feed=url_for("notices.json_feed", **query),
    )


@blueprint.get("/notices.<any(csv, xlsx):form>", endpoint="download")
def download(form: str) -> Response:
    """The same rows as the list."""
    heads = [
        choose("公告编号", "Notice"),
        choose("公告类型", "Kind"),
        choose("标题", "Title"),
        choose("采购编号", "Call"),
        choose("服务事项编码", "Item"),
        choose("地区", "Region"),
        choose("发布时间", "Published"),
    ]
    table: list[list[str | int | None]] = [
        [
            one.number,
            one.kind.label(language()),
            one.title,
            one.call_number,
            one.item_code,
            one.region,
            instant(one.published_at, seconds=True),
        ]
        for one in notices.listed(_wanted(), most=MOST_ROWS)
    ]
    name = choose("公示公告", "notices")
    return send_csv(name, heads, table) if form == "csv" else send_xlsx(name, heads, table)


@blueprint.get("/notices/<number>", endpoint="show")
def show(number: str) -> Response:
    notice = notices.find(number)
    body = fragment(
        "market/notice_content.html",
        language=language(),
        notice=notice,
        rows=rows_of(notice),
        kind=notice.kind.label(language()),
    )
    others = (
        [_line(one) for one in notices.listed(Wanted(call=notice.call_number), most=50) if one.number != number]
        if notice.call_number
        else []
    )
    page = render_template("market/notice_show.html", notice=notice, body=body, others=others, mark=_mark(notice))
    response = make_response(page)
    if current_actor() is None:
        told = [body, *(one["notice"].number for one in others), language(), request.cookies.get("font", "")]
        newest = max([notice.published_at, *(one["notice"].published_at for one in others)])
        _validate(response, "\n".join(told), newest)
    return response


def rows_of(notice: PublicNotice) -> list[tuple[str, str]]:
    """The content in the reader's language."""
    return [
        (choose(one["zh"], one["en"]), choose(str(one["value"]), str(one.get("value_en", one["value"]))))
        for one in notice.body
    ]


def _mark(notice: PublicNotice) -> str:
    """A short hash of what is printed, for the sheet of paper."""
    content = json.dumps([notice.number, notice.title, notice.body], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _validate(response: Response, content: str, changed: datetime) -> None:
    """Validators from what is told alone; answers 304 to whoever has it."""
    response.set_etag(hashlib.sha256(content.encode()).hexdigest()[:32])
    response.last_modified = changed
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)


# Feeds


def _feed() -> tuple[list[PublicNotice], datetime, str]:
    """The newest notices, the instant of the latest, and the feed's title."""
    found = notices.listed(_wanted(), most=FEED_SIZE)
    changed = max((one.published_at for one in found), default=_NEVER)
    return found, changed, choose("公示公告", "Public notices")


def _absolute(path: str) -> str:
    return request.host_url.rstrip("/") + path


def _text(notice: PublicNotice) -> str:
    return "\n".join(f"{label}{choose('：', ': ')}{value}" for label, value in rows_of(notice))


def _title(notice: PublicNotice) -> str:
    return choose("：", ": ").join((notice.kind.label(language()), notice.title))


@blueprint.get("/notices.atom", endpoint="atom")
def atom() -> Response:
    """RFC 4287."""
    found, changed, title = _feed()
    ElementTree.register_namespace("", _ATOM)
    feed = ElementTree.Element(f"{{{_ATOM}}}feed", {"{http://www.w3.org/XML/1998/namespace}lang": _lang()})

    def add(parent: ElementTree.Element, name: str, text: str | None = None, **attributes: str) -> ElementTree.Element:
        element = ElementTree.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
        element.text = text
        return element

    here, query = _absolute(url_for("notices.atom", **_query(_wanted()))), _query(_wanted())
    add(feed, "id", here)
    add(feed, "title", title)
    add(feed, "updated", changed.astimezone(UTC).isoformat())
    add(feed, "link", rel="self", href=here, type="application/atom+xml")
    add(feed, "link", rel="alternate", href=_absolute(url_for("notices.index", **query)), type="text/html")
    add(add(feed, "author"), "name", current_app.extensions["portal"].name)
    for one in found:
        address = _absolute(url_for("notices.show", number=one.number))
        entry = add(feed, "entry")
        add(entry, "id", address)
        add(entry, "title", _title(one))
        stamp = one.published_at.astimezone(UTC).isoformat()
        add(entry, "published", stamp)
        add(entry, "updated", stamp)
        add(entry, "link", rel="alternate", href=address, type="text/html")
        add(entry, "category", term=one.kind.value, label=one.kind.label(language()))
        add(entry, "content", _text(one), type="text")
    text = ElementTree.tostring(feed, encoding="unicode", xml_declaration=False)
    return _answer('<?xml version="1.0" encoding="utf-8"?>\n' + text, "application/atom+xml", changed)


@blueprint.get("/notices.json", endpoint="json_feed")
def json_feed() -> Response:
    """JSON Feed 1.1."""
    found, changed, title = _feed()
    query = _query(_wanted())
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": title,
        "home_page_url": _absolute(url_for("notices.index", **query)),
        "feed_url": _absolute(url_for("notices.json_feed", **query)),
        "language": _lang(),
        "authors": [{"name": current_app.extensions["portal"].name}],
        "items": [
            {
                "id": _absolute(url_for("notices.show", number=one.number)),
                "url": _absolute(url_for("notices.show", number=one.number)),
                "title": _title(one),
                "content_text": _text(one),
                "date_published": one.published_at.astimezone(UTC).isoformat(),
                "tags": [one.kind.value, one.item_code, one.region],
                "_notice": {"number": one.number, "kind": one.kind.value, "call": one.call_number},
            }
            for one in found
        ],
    }
    return _answer(json.dumps(feed, ensure_ascii=False, indent=1), "application/feed+json", changed)


def _lang() -> str:
    return "en" if language() == "en" else "zh-CN"


def _answer(text: str, kind: str, changed: datetime) -> Response:
    response = Response(text, content_type=f"{kind}; charset=utf-8")
    _validate(response, text, changed)
    return response


# Subscriptions


@blueprint.route("/notices/subscriptions", methods=["GET", "POST"], endpoint="subscriptions")
def subscriptions() -> Response | tuple[str, int] | str:
    """Be told in the inbox of an item's notices, a region's, or both."""
    actor = signed_in_actor()
    error: PortalError | None = None
    if request.method == "POST":
        item, region = request.form.get("item", "").strip(), request.form.get("region", "").strip()
        is_end = request.form.get("word") == "end"

        def act() -> str:
            if item and not is_end:
                catalogue.by_code(item)
            verb = notices.unsubscribe if is_end else notices.subscribe
            verb(item, region, by=actor)
            return url_for("notices.subscriptions")

        outcome = confirm.attempt(act)
        if isinstance(outcome, Response):
            told = choose("已取消订阅。", "Cancelled.") if is_end else choose("已订阅。", "Subscribed.")
            flash(told, "success")
            return outcome
        error = outcome
    items = dict(item_options())
    page = render_template(
        "market/notice_subscriptions.html",
        rows=_wishes(notices.subscriptions_of(actor), items),
        items=list(items.items()),
        typed=request.form if error else request.args,
        errors=confirm.by_field(error),
        form_errors=form_errors(error) if error else None,
    )
    return (page, error.status) if error else page


def _wishes(mine: Sequence[notices.NoticeSubscription], items: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {
            "item": one.item_code,
            "region": one.region,
            "item_name": items.get(one.item_code, one.item_code) or choose("全部事项", "Every item"),
            "region_name": one.region or choose("全部地区", "Every region"),
            "since": instant(one.since),
        }
        for one in mine
    ]
