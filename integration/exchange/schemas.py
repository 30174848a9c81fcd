"""The shapes of the API's JSON, as JSON Schema: what the API description prints is what requests are checked by.

Only the part of JSON Schema that the API needs is understood by :func:`check`; members not named in a shape are
refused, because a misspelt one that is silently dropped is a fault nobody finds. Knows no HTTP.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final

from kernel.clock import EventKind, Light, Unit
from kernel.dossier import EntryKind, EntryStatus
from kernel.errors import Invalid, Invalids, PortalError
from kernel.timekeeping import ClockKind
from kernel.words import Worded
from market.catalogue import FeeManagement, Stage
from market.commissions import CommissionStatus, InquiryKind, Payer, Route
from market.deliverables import DeliverableStatus, Result
from market.fees import FeeKind
from market.routes import RankBy

__all__ = ["COMPONENTS", "Schema", "check", "demand", "parse", "read_parameter"]

Schema = Mapping[str, Any]
#: No integer in a request goes further, whatever its own limits are.
FURTHEST: Final = 10**15
_CODES: Final = {
    "number": r"^[A-Z]{2}-[0-9]{4}-[0-9]{6,12}$",
    "sha256": r"^[0-9a-f]{64}$",
}


class BodyUnreadable(Invalid):
    code = "body_unreadable"
    status = 400
    zh = "请求正文不是有效的 JSON 对象"
    en = "The body is not a JSON object"


class MemberUnknown(Invalid):
    code = "member_unknown"
    zh = "不认识的成员或参数“{name}”"
    en = "Unknown member or parameter “{name}”"


class MemberMissing(Invalid):
    code = "member_missing"
    zh = "缺少“{name}”"
    en = "“{name}” is missing"


class MemberRepeated(Invalid):
    code = "member_repeated"
    zh = "“{name}”重复出现"
    en = "“{name}” is given more than once"


class ValueUnfit(Invalid):
    code = "value_unfit"
    zh = "“{name}”的值不符合要求：应为{wanted_zh}"
    en = "The value of “{name}” doesn't fit; wanted: {wanted_en}"


#: No control characters but line ends and tabs: no database text holds them all.
PLAIN: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f]*$"

# Shapes


def text(most: int = 2000, least: int = 0, **more: Any) -> dict[str, Any]:
    """A text of a request, between ``least`` and ``most`` characters."""
    found: dict[str, Any] = {"type": "string", "maxLength": most, "pattern": PLAIN, **more}
    return {**found, "minLength": least} if least else found


def integer(least: int, most: int, **more: Any) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def array(items: Schema, most: int | None = None, least: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "array", "items": dict(items)}
    if most is not None:
        found["maxItems"] = most
    return {**found, "minItems": least} if least else found


def record(members: Mapping[str, Schema], required: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": dict(members), "additionalProperties": False, **more}
    return {**found, "required": list(required)} if required else found


def answer(**members: Schema) -> dict[str, Any]:
    """An answer's shape: every member is always there."""
    return record(members, tuple(members))


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(schema: Schema) -> dict[str, Any]:
    if "$ref" in schema:
        return {"anyOf": [dict(schema), {"type": "null"}]}
    found = {**schema, "type": [schema["type"], "null"]}
    return {**found, "enum": [*schema["enum"], None]} if "enum" in schema else found


def one_of(words: type[Worded], **more: Any) -> dict[str, Any]:
    """The members of an enumeration, with their labels in the description."""
    labels = "；".join(f"{member.value} {member.zh} / {member.en}" for member in words)
    return {"type": "string", "enum": [member.value for member in words], "description": labels, **more}


WORDS: Final[Schema] = {"type": "string"}
WHOLE: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}
DAY: Final[Schema] = {"type": "string", "format": "date"}
INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
NUMBER: Final[Schema] = {"type": "string", "pattern": _CODES["number"]}
SHA256: Final[Schema] = {"type": "string", "pattern": _CODES["sha256"]}
FEN: Final[Schema] = {"type": "integer", "description": "人民币，分 / CNY in fen (1/100 yuan)"}
REASON: Final[Schema] = text(2000, 1)
POINTS: Final[Schema] = array(text(1000, 1), most=50, least=1)
URL: Final[Schema] = {"type": "string", "format": "uri-reference"}
PROJECT_CODE: Final[Schema] = text(
    80, 1, description="项目代码或工程代码；空格、全角数字、缺少的连字符均可识别 / as people type it"
)
MATERIALS: Final[Schema] = array(ref("MaterialToHandIn"), most=100)
PAGING: Final[Mapping[str, Schema]] = {
    "page": integer(1, 10_000, default=1),
    "size": integer(1, 200, default=50),
}
_PAGE: Final[Mapping[str, Schema]] = {"page": WHOLE, "size": WHOLE, "total": WHOLE}
_PARTY: Final[Schema] = answer(name=WORDS, credit_code=WORDS)

_CALL: Final[Mapping[str, Schema]] = {
    "number": NUMBER,
    "title": WORDS,
    "status": one_of(CommissionStatus),
    "status_label": WORDS,
    "route": one_of(Route),
    "payer": one_of(Payer),
    "buyer": WORDS,
    "project": answer(code=WORDS, name=WORDS),
    "item": answer(code=WORDS, name=WORDS),
    "region": WORDS,
    "ceiling": maybe(FEN),
    "floor": maybe(FEN),
    "minimum_bidders": WHOLE,
    "rank_by": one_of(RankBy),
    "policy": WORDS,
    "edition": WHOLE,
    "published_at": maybe(INSTANT),
    "closing_at": maybe(INSTANT),
    "closed_at": maybe(INSTANT),
    "opened_at": maybe(INSTANT),
    "url": URL,
}
_WHOLE_CALL: Final[Mapping[str, Schema]] = {
    **_CALL,
    "notice": array(answer(name=WORDS, value=WORDS)),
    "seal": {
        "type": "object",
        "additionalProperties": True,
        "description": "flask bids seal 所需的密钥文件 / the key file for `flask bids seal`",
    },
}
COMPONENTS: Final[Mapping[str, Schema]] = {
    # Requests
    "Nothing": record({}),
    "MaterialToHandIn": record(
        {
            "name": text(300, 1, description="材料名称，与事项要求的名称一致 / the name on the item's list"),
            "entry": {**NUMBER, "description": "项目材料库中的材料编号 / an entry of the project's dossier"},
            "document": {**NUMBER, "description": "已上传文件的编号 / an uploaded file"},
        },
        ("name",),
        minProperties=2,
        maxProperties=2,
    ),
    "CommissionToMake": record(
        {
            "listing": NUMBER,
            "project_code": PROJECT_CODE,
            "quantity": integer(1, 999_999),
            "agreed_fee": integer(1, FURTHEST, description=FEN["description"]),
            "materials": MATERIALS,
            "message": text(2000),
            "needed_for": text(40),
            "offer": {
                "type": "boolean",
                "default": True,
                "description": "false 时只存为待委托 / false keeps a draft",
            },
        },
        ("listing", "project_code"),
    ),
    "Offer": record(
        {
            "listing": NUMBER,
            "agreed_fee": integer(1, FURTHEST, description=FEN["description"]),
            "materials": MATERIALS,
        }
    ),
    "Points": record({"points": POINTS}, ("points",)),
    "Reason": record({"reason": REASON}, ("reason",)),
    "ReasonIfAny": record({"reason": text(2000)}),
    "PointsAndReason": record({"points": POINTS, "reason": REASON}, ("points", "reason")),
    "Materials": record({"materials": MATERIALS, "answer": text(2000)}),
    "Answer": record({"answer": text(2000), "materials": MATERIALS}),
    "ExtensionToPropose": record({"working_days": integer(1, 120), "reason": REASON}, ("working_days", "reason")),
    "DeliverableToSubmit": record(
        {
            "files": array(
                record({"title": text(300, 1), "document": NUMBER}, ("title", "document")), most=100, least=1
            ),
            "result": one_of(Result),
            "summary": text(5000, 1),
            "project_code": PROJECT_CODE,
            "valid_until": DAY,
            "figures": {
                "type": "object",
                "maxProperties": 50,
                "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": 500, "pattern": PLAIN},
                "description": "结论中的指标 / figures of the conclusion",
            },
        },
        ("files", "result", "summary"),
    ),
    "EvidenceToCite": record({"entry": NUMBER}, ("entry",)),
    "ClockToMove": {
        "type": "object",
        "properties": {
            "forward": {"type": "string", "description": "ISO 8601, P7D"},
            "to": {"type": "string", "format": "date-time"},
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
    # Answers
    "Problem": record(
        {
            "type": WORDS,
            "title": WORDS,
            "status": WHOLE,
            "code": {"type": "string", "description": "稳定的错误代码 / stable"},
            "detail": WORDS,
            "reference": WORDS,
            "errors": array(answer(field=maybe(WORDS), code=WORDS, detail=WORDS)),
            "moves": {**array(WORDS), "description": "现在可办理的操作 / the actions open to you now"},
        },
        ("type", "title", "status", "code", "detail"),
    ),
    "DossierEntry": answer(
        number=NUMBER,
        title=WORDS,
        item_code=WORDS,
        kind=one_of(EntryKind),
        edition=WHOLE,
        engineering_code=maybe(WORDS),
        source=WORDS,
        sha256=SHA256,
        size=WHOLE,
        media_type=WORDS,
        name=WORDS,
        issuer=WORDS,
        accepted_by=WORDS,
        attached_at=INSTANT,
        valid_until=maybe(DAY),
        status=one_of(EntryStatus),
        can_rely={"type": "boolean", "description": "今天能否引用 / whether it can be relied on today"},
        reason={"type": "string", "description": "不能引用的原因 / why not; empty if it can"},
        document_url=URL,
        uses_url=URL,
    ),
    "Deliverables": answer(
        project=answer(code=WORDS, name=WORDS),
        on=DAY,
        deliverables=array(ref("DossierEntry")),
        **_PAGE,
    ),
    "Uses": answer(
        sha256=SHA256,
        entries=array(
            answer(
                number=NUMBER,
                title=WORDS,
                project_code=WORDS,
                status=one_of(EntryStatus),
                can_rely=FLAG,
                reason=WORDS,
            )
        ),
        uses=array(
            answer(
                entry=NUMBER,
                relied_for=WORDS,
                title=WORDS,
                organisation=WORDS,
                project_code=WORDS,
                at=INSTANT,
                can_rely=FLAG,
                reason=WORDS,
            )
        ),
        **_PAGE,
    ),
    "Clock": answer(
        kind=one_of(ClockKind),
        unit=one_of(Unit),
        limit=WHOLE,
        used=WHOLE,
        left=WHOLE,
        due=maybe(DAY),
        light=one_of(Light),
        provisional=FLAG,
        started_at=INSTANT,
        ended_at=maybe(INSTANT),
        events=array(
            answer(event=one_of(EventKind), at=INSTANT, key=maybe(WORDS), days=maybe(WHOLE), reason=WORDS, by=WORDS)
        ),
    ),
    "CommissionLine": answer(
        number=NUMBER,
        status=one_of(CommissionStatus),
        version=WHOLE,
        project_code=WORDS,
        item_code=WORDS,
        client=WORDS,
        agency=maybe(WORDS),
        fee=maybe(FEN),
        url=URL,
    ),
    "Commissions": answer(commissions=array(ref("CommissionLine")), **_PAGE),
    "Commission": answer(
        number=NUMBER,
        status=one_of(CommissionStatus),
        status_label=WORDS,
        version={"type": "integer", "description": "用于 If-Match / send it as If-Match"},
        moves={**array(WORDS), "description": "现在可办理的操作 / the actions open to you now"},
        route=one_of(Route),
        project=answer(code=WORDS, name=WORDS),
        engineering_code=WORDS,
        item=answer(code=WORDS, name=WORDS),
        listing=maybe(NUMBER),
        listing_edition=maybe(WHOLE),
        client=_PARTY,
        agency={**_PARTY, "type": ["object", "null"]},
        fee=maybe(FEN),
        quote=array(answer(zh=WORDS, en=WORDS, amount=maybe(WHOLE))),
        quantity=maybe(WHOLE),
        promised_working_days=WHOLE,
        message=WORDS,
        reason=WORDS,
        needed_for=WORDS,
        stamps={
            "type": "object",
            "additionalProperties": dict(INSTANT),
            "description": "每个状态的时间 / the instant of each state reached",
        },
        materials=array(
            answer(name=WORDS, entry=maybe(NUMBER), document=NUMBER, sha256=SHA256, added_at=INSTANT, document_url=URL)
        ),
        missing_materials=array(WORDS),
        inquiries=array(
            answer(
                kind=one_of(InquiryKind),
                points=array(WORDS),
                reason=WORDS,
                answer=WORDS,
                opened_at=INSTANT,
                closed_at=maybe(INSTANT),
            )
        ),
        extension={**answer(working_days=WHOLE, reason=WORDS, proposed_at=INSTANT), "type": ["object", "null"]},
        clocks=array(ref("Clock")),
        deliverables=array(
            answer(
                number=NUMBER,
                edition=WHOLE,
                status=one_of(DeliverableStatus),
                result=one_of(Result),
                summary=WORDS,
                valid_until=maybe(DAY),
                points=array(WORDS),
                submitted_by=WORDS,
                submitted_at=INSTANT,
                returned_at=maybe(INSTANT),
                accepted_at=maybe(INSTANT),
                accepted_by=WORDS,
                withdrawn_at=maybe(INSTANT),
                files=array(
                    answer(title=WORDS, document=NUMBER, name=WORDS, sha256=SHA256, size=WHOLE, document_url=URL)
                ),
            )
        ),
        url=URL,
    ),
    "Document": answer(
        number=NUMBER, sha256=SHA256, name=WORDS, media_type=WORDS, size=WHOLE, stored_at=INSTANT, document_url=URL
    ),
    "Item": answer(
        code=WORDS,
        name=WORDS,
        name_en=WORDS,
        category=WORDS,
        stage=one_of(Stage),
        matters=array(WORDS),
        legal_basis=array(WORDS),
        voluntary=FLAG,
        content=WORDS,
        required_materials=array(WORDS),
        deliverables=array(WORDS),
        fee_management=one_of(FeeManagement),
        promised_working_days=WHOLE,
        technical_review=FLAG,
        may_self_prepare=FLAG,
        supervising_authority=WORDS,
    ),
    "Items": answer(items=array(ref("Item")), **_PAGE),
    "SealedBidToHandIn": record(
        {
            "version": integer(1, 1),
            "call": NUMBER,
            "sealed_by": {"type": "string", "enum": ["browser", "offline"]},
            "ciphertext": text(1_800_000, 1, description="age 密文，base64 / an age file in base64"),
            "wraps": {"type": "object", "additionalProperties": text(8000, 1), "maxProperties": 6},
        },
        ("version", "call", "sealed_by", "ciphertext", "wraps"),
    ),
    "BidReceipt": answer(version=WHOLE, call=NUMBER, sha256=SHA256, at=INSTANT, key=WORDS, signature=WORDS),
    "CallForBids": answer(**_WHOLE_CALL),
    "Calls": answer(calls=array(answer(**_CALL)), **_PAGE),
    "Services": answer(
        services=array(
            answer(
                number=NUMBER,
                item=answer(code=WORDS, name=WORDS),
                agency=answer(number=NUMBER, name=WORDS),
                fee_kind=one_of(FeeKind),
                fee_text=WORDS,
                fee=maybe(FEN),
                ceiling=maybe(FEN),
                promised_working_days=WHOLE,
                regions=array(WORDS),
                edition=WHOLE,
                url=URL,
            )
        ),
        **_PAGE,
    ),
    "Matter": answer(
        number=NUMBER,
        status=WORDS,
        status_label=WORDS,
        version={"type": "integer", "description": "用于 If-Match / send it as If-Match"},
        moves={**array(WORDS), "description": "现在可办理的操作 / the actions open to you now"},
        case=NUMBER,
        name=WORDS,
        department=WORDS,
        project=answer(code=WORDS, name=WORDS),
        engineering_code=WORDS,
        client=WORDS,
        outcome=maybe(WORDS),
        reason=WORDS,
        materials=array(
            answer(
                position=WHOLE,
                name=WORDS,
                item_code=maybe(WORDS),
                required=FLAG,
                entry=maybe(NUMBER),
                document=maybe(NUMBER),
                sha256=maybe(SHA256),
            )
        ),
        evidence=array(
            answer(
                entry=NUMBER,
                title=WORDS,
                sha256=SHA256,
                pinned={"type": "boolean", "description": "true 为已作出的决定所引用 / relied on by the decision"},
                can_rely=FLAG,
                reason=WORDS,
            )
        ),
        clocks=array(ref("Clock")),
        url=URL,
    ),
    "ClockMoved": answer(now=INSTANT, acts=WHOLE),
}


# Checking what was sent


def parse(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body; an empty body is an empty object.

    Raises:
        BodyUnreadable: no JSON, no object, NaN, or nested beyond reason. MemberRepeated.
    """
    if not body:
        return {}
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_no_repetition)
    except (ValueError, RecursionError):
        raise BodyUnreadable from None
    if not isinstance(value, dict):
        raise BodyUnreadable
    return value


def demand(name: str, value: dict[str, Any]) -> None:
    """Raises the one fault of a request's body, or Invalids with all of them."""
    faults = check(ref(name), value)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise Invalids(faults)


def check(schema: Schema, value: Any, at: str = "") -> list[PortalError]:
    """What is wrong with a value from a request; ``at`` names its place, such as ``materials[0].name``."""
    if "$ref" in schema:
        schema = COMPONENTS[schema["$ref"].rpartition("/")[2]]
    kinds = schema["type"]
    if not (any(_is_kind(kind, value) for kind in kinds) if isinstance(kinds, list) else _is_kind(kinds, value)):
        return [_unfit(schema, at)]
    if isinstance(value, dict):
        return _check_members(schema, value, at)
    if isinstance(value, list):
        if len(value) > schema.get("maxItems", 1000) or len(value) < schema.get("minItems", 0):
            return [_unfit(schema, at)]
        return [fault for place, one in enumerate(value) for fault in check(schema["items"], one, f"{at}[{place}]")]
    return [] if _fits(schema, value) else [_unfit(schema, at)]


def read_parameter(name: str, schema: Schema, raw: str) -> Any:
    """A query parameter's value. Raises ValueUnfit."""
    value: Any = raw
    if schema["type"] == "integer":
        value = int(raw) if raw.isascii() and raw.isdigit() and len(raw) <= 15 else raw
    faults = check(schema, value, name)
    if faults:
        raise faults[0]
    return value


def _check_members(schema: Schema, value: dict[str, Any], at: str) -> list[PortalError]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    faults: list[PortalError] = []
    prefix = f"{at}." if at else ""
    for name, one in value.items():
        place = f"{prefix}{_printable(name)}"
        if name in known:
            faults += check(known[name], one, place)
        elif isinstance(others, Mapping) and len(name) <= 100 and _is_storable(name):
            faults += check(others, one, place)
        else:
            faults.append(MemberUnknown(field=place, name=place))
    faults += [
        MemberMissing(field=f"{prefix}{name}", name=f"{prefix}{name}")
        for name in schema.get("required", ())
        if name not in value
    ]
    size = len(value)
    if not faults and not schema.get("minProperties", 0) <= size <= schema.get("maxProperties", size):
        faults.append(_unfit(schema, at))
    return faults


def _is_kind(kind: str, value: Any) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= FURTHEST
        case "number":
            return (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and math.isfinite(value)
                and abs(value) <= FURTHEST
            )
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    return False


def _fits(schema: Schema, value: Any) -> bool:
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, str):
        return (
            schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 2000)
            and _is_storable(value)
            and _pattern(schema.get("pattern", PLAIN)).fullmatch(value) is not None
            and (schema.get("format") != "date" or _is_day(value))
        )
    return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))


@lru_cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.strip("^$"))


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _is_storable(value: str) -> bool:
    """No zero characters, which no database text holds, and no half of a pair, which no encoding does."""
    return _UNSTORABLE.search(value) is None


def _is_day(value: str) -> bool:
    try:
        return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _printable(name: str) -> str:
    short = name[:200]
    return short if short.isprintable() else "".join(sign if sign.isprintable() else " " for sign in short)


def _unfit(schema: Schema, at: str) -> ValueUnfit:
    zh, en = _wanted(schema)
    return ValueUnfit(field=at or None, name=at or "body", wanted_zh=zh, wanted_en=en)


def _wanted(schema: Schema) -> tuple[str, str]:
    """What would have fitted, in words."""
    if "enum" in schema:
        listed = ", ".join(str(one) for one in schema["enum"])
        return f" {listed} 之一", f"one of {listed}"
    match schema["type"]:
        case "integer":
            least, most = schema.get("minimum", -FURTHEST), schema.get("maximum", FURTHEST)
            return f" {least} 至 {most} 的整数", f"a whole number from {least} to {most}"
        case "boolean":
            return " true 或 false", "true or false"
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems", 1000)
            return f"有 {least} 至 {most} 项的数组", f"an array of {least} to {most}"
        case "object" if "minProperties" in schema:
            names = ", ".join(name for name in schema["properties"] if name not in schema.get("required", ()))
            return f"对象，且 {names} 中恰有一项", f"an object with exactly one of {names}"
        case "object":
            return "对象", "an object"
        case "string" if schema.get("format") == "date":
            return "日期，如 2026-03-31", "a date such as 2026-03-31"
        case "string" if schema.get("pattern", PLAIN) != PLAIN:
            return f"符合 {schema['pattern']} 的文本", f"a text that fits {schema['pattern']}"
        case "string":
            least, most = schema.get("minLength", 0), schema.get("maxLength", 2000)
            return f"{least} 至 {most} 个字符的文本，不含控制字符", f"a text of {least} to {most} printable characters"
    return "文本、数字或真假值", "a text, a number or a boolean"


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise MemberRepeated(field=_printable(name), name=_printable(name))
        found[name] = value
    return found
