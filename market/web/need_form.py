"""The questions of a need, shared by the draft's tasks and by the correction of a published notice.

Amounts are asked in yuan, instants as a date and a time in Beijing, criteria as names with percentages.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from kernel import clock, money
from kernel.clock import SHANGHAI
from kernel.errors import Invalid, Invalids, PortalError
from market import calls
from market.calls import CallForBids
from market.commissions import Route
from market.routes import PriceKind, RankBy, Rules
from market.web.forms import Sheet

#: Criteria that a form has room for.
MOST_CRITERIA = 6
#: The time of day at which a call closes unless the buyer says otherwise.
CLOSING_TIME = time(17)
AUCTION_TIME = time(10)
TEXTS = ("title", "requirement", "conditions", "contact", "telephone", "complaint_telephone")
INSTANTS = ("closing_at", "auction_at")

_TIME = re.compile(r"([0-9]{1,2})\s*[:时点.]\s*([0-9]{1,2})\s*分?")


class TimeUnclear(Invalid):
    code = "time_unclear"
    zh = "时间“{value}”无法识别，请填写如 17:00"
    en = "The time “{value}” cannot be read; write it like 17:00"


class ShareUnclear(Invalid):
    code = "share_unclear"
    zh = "权重“{value}”无法识别，请填写如 30 或 12.5"
    en = "The weight “{value}” cannot be read; write it like 30 or 12.5"


class CriterionUnnamed(Invalid):
    code = "criterion_unnamed"
    zh = "请填写评分项的名称和权重"
    en = "Give each criterion its name and its weight"


def names_of(task: str, rules: Rules) -> tuple[str, ...]:
    """The fields that a task of the list asks for, under these rules."""
    rounds = rules.rank_by is RankBy.ROUNDS
    return {
        "need": TEXTS,
        "amounts": (
            *(("ceiling",) if asks_ceiling(rules) else ()),
            *(("step",) if rounds else ()),
            "most_working_days",
        ),
        "times": ("closing_at", *(("auction_at",) if rounds else ())),
        "weights": ("weights",),
    }.get(task, ())


def asks_ceiling(rules: Rules) -> bool:
    return rules.needs_ceiling or rules.price is not PriceKind.NONE


def all_names(call: CallForBids) -> tuple[str, ...]:
    """Every field that a correction of this call may touch."""
    tasks = ("need", "amounts", "times") + (("weights",) if call.rules.rank_by is RankBy.WEIGHTED else ())
    return tuple(name for task in tasks for name in names_of(task, call.rules))


def values_of(call: CallForBids) -> dict[str, str]:
    """The form as a call answers it; an empty closing is proposed: the earliest allowed working day, 17:00."""
    values = {name: getattr(call, name) for name in TEXTS}
    values |= {name: yuan(getattr(call, name)) for name in ("ceiling", "step")}
    values["most_working_days"] = str(call.most_working_days or "")
    closing = call.closing_at or default_closing(call.rules)
    for name, instant in (("closing_at", closing), ("auction_at", call.auction_at or default_auction(closing))):
        local = instant.astimezone(SHANGHAI)
        values[name] = local.date().isoformat()
        values[f"{name}_time"] = f"{local:%H:%M:%S}".removesuffix(":00")
    for index, one in enumerate(call.weights, start=1):
        values[weight_field("name", index)] = one["zh"]
        values[weight_field("share", index)] = f"{int(one['weight']) / 100:g}"
    return values


def yuan(fen: int | None) -> str:
    return money.format(fen).removeprefix("¥") if fen is not None else ""


def weight_field(part: str, index: int) -> str:
    """The first name field is called as the whole question is, so that its error leads there."""
    return "weights" if (part, index) == ("name", 1) else f"weight-{part}-{index}"


def default_closing(rules: Rules) -> datetime:
    """The earliest working day on which the notice has stood its time, at 17:00."""
    calendar = clock.china()
    day = clock.local_date(calls.earliest_closing(rules))
    if not calendar.is_working_day(day):
        day = calendar.nth_working_day(day, 1)
    closing = datetime.combine(day, CLOSING_TIME, SHANGHAI)
    if closing <= clock.now():
        closing = datetime.combine(calendar.nth_working_day(day, 1), CLOSING_TIME, SHANGHAI)
    return closing


def default_auction(closing: datetime) -> datetime:
    return datetime.combine(clock.china().nth_working_day(clock.local_date(closing), 1), AUCTION_TIME, SHANGHAI)


def read(sheet: Sheet, names: Sequence[str]) -> dict[str, Any]:
    """What was typed, for :func:`market.calls.fill` and ``amend``.

    Raises:
        Invalids: everything that can't be read, each at its field.
    """
    faults: list[PortalError] = []
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = _read(sheet, name)
        except Invalids as error:
            faults += error.errors
        except PortalError as error:
            faults.append(error)
    if faults:
        raise Invalids(faults)
    return found


def _read(sheet: Sheet, name: str) -> Any:
    if name in TEXTS:
        return sheet.text(name).replace("\r\n", "\n").strip()
    if name in ("ceiling", "step"):
        return money.parse(sheet.text(name), field=name) if sheet.text(name).strip() else None
    if name == "most_working_days":
        return sheet.whole(name, ("服务期限", "the service time")) if sheet.text(name).strip() else None
    if name == "weights":
        return _weights(sheet)
    return instant(sheet, name)


def instant(sheet: Sheet, name: str) -> datetime | None:
    """A date field and its time field as one instant; None when both are empty.

    Raises:
        forms.DateUnclear, TimeUnclear.
    """
    day = sheet.day(name)
    if day is None:
        return None
    moment = _time(sheet.text(f"{name}_time"), f"{name}_time") or CLOSING_TIME
    return datetime.combine(day, moment, SHANGHAI)


def _time(text: str, field: str) -> time | None:
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain:
        return None
    found = _TIME.fullmatch(plain)
    try:
        return time(int(found[1]), int(found[2])) if found else time.fromisoformat(plain).replace(tzinfo=None)
    except ValueError:
        raise TimeUnclear(field=field, value=text.strip()) from None


def _weights(sheet: Sheet) -> list[dict[str, Any]]:
    faults: list[PortalError] = []
    rows = []
    for index in range(1, MOST_CRITERIA + 1):
        name = sheet.text(weight_field("name", index)).strip()
        share = unicodedata.normalize("NFKC", sheet.text(weight_field("share", index))).strip().rstrip("%").strip()
        if not name and not share:
            continue
        if not name or not share:
            faults.append(CriterionUnnamed(field=weight_field("share" if name else "name", index)))
            continue
        try:
            points = Decimal(share) * 100
            if not points.is_finite() or points != points.to_integral_value() or not 0 < points <= 10_000:
                raise InvalidOperation
        except InvalidOperation:
            faults.append(ShareUnclear(field=weight_field("share", index), value=share[:20]))
            continue
        rows.append({"zh": name[:60], "en": "", "weight": int(points)})
    if faults:
        raise Invalids(faults)
    return rows


def changes(call: CallForBids, given: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields whose value would change: name → (now, then)."""
    found = {}
    for name, value in given.items():
        before = getattr(call, name)
        if _plain(name, before) != _plain(name, value):
            found[name] = (before, value)
    return found


def _plain(name: str, value: Any) -> Any:
    """A value as the form can tell it: an instant to the second, criteria without their English."""
    if name == "weights":
        return _bare(value)
    return value.astimezone(SHANGHAI).replace(microsecond=0) if isinstance(value, datetime) else value


def _bare(weights: Sequence[Any]) -> list[tuple[str, int]]:
    return [(one["zh"], int(one["weight"])) for one in weights]


def routes_open() -> list[Route]:
    """The routes that publish a call."""
    return [route for route in Route if route.is_competition]
