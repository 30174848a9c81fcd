"""Public notices: what everybody may read of a purchase, from the call to the contract (001 §9.2, A6).

A notice is written once, in the transaction of the act it tells of, and never changed: a correction is another notice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, mapped_column

from kernel import clock, notifications, numbers, trail
from kernel.db import HISTORY, Keyed, WordColumn, session
from kernel.errors import Conflict, Invalid, NotFound
from kernel.trail import Actor
from kernel.words import Worded

trail.name_acts({"notice.published": ("公告发布", "Notice published")})

NUMBER = numbers.series("GG")


class NoticeKind(Worded):
    CALL = "call", "采购公告", "Call for bids"
    CORRECTION = "correction", "更正公告", "Correction"
    EXTENSION = "extension", "顺延公告", "Closing time extended"
    ANSWER = "answer", "答疑公告", "Questions answered"
    WITHDRAWN = "withdrawn", "终止公告", "Call withdrawn"
    FAILED = "failed", "流标公告", "Call failed"
    OPENING = "opening", "开标记录", "Opening"
    ROUNDS = "rounds", "多轮竞价公告", "Descending rounds"
    RESULT = "result", "中选公示", "Result"
    OVERTURNED = "overturned", "结果更正公告", "Result overturned"
    CONTRACT = "contract", "合同公告", "Contract"
    OUTAGE = "outage", "故障公告", "Outage"


class PublicNotice(Keyed):
    """``body`` is a list of {zh, en, value} rows; ``call_number`` is '' for a notice of the whole platform."""

    __tablename__ = "public_notices"
    number: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[NoticeKind] = mapped_column(WordColumn(NoticeKind))
    call_number: Mapped[str] = mapped_column(default="")
    item_code: Mapped[str] = mapped_column(default="")
    region: Mapped[str] = mapped_column(default="")
    title: Mapped[str]
    body: Mapped[list[Any]]
    published_at: Mapped[datetime]
    __table_args__ = (
        Index("ix_public_notices_published", "published_at", "id"),
        Index("ix_public_notices_call", "call_number"),
        Index("ix_public_notices_kind", "kind", "id"),
        Index("ix_public_notices_item", "item_code", "id"),
        HISTORY,
    )

    @property
    def subject(self) -> str:
        return f"notice:{self.number}"


class NoticeSubscription(Keyed):
    """A person's wish to be told; '' for every item, or every region. ``region`` is a division's code."""

    __tablename__ = "notice_subscriptions"
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    item_code: Mapped[str] = mapped_column(default="")
    region: Mapped[str] = mapped_column(default="")
    since: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint("person_id", "item_code", "region"),
        Index("ix_notice_subscriptions_item", "item_code"),
    )


class RegionUnclear(Invalid):
    code = "region_unclear"
    zh = "地区应为 6 位行政区划代码，如 230199"
    en = "A region is a six-digit division code such as 230199"


class TooManySubscriptions(Conflict):
    code = "too_many_subscriptions"
    zh = "最多订阅 {most} 项，请先取消不需要的"
    en = "At most {most} subscriptions; cancel one first"


#: Subscriptions of one person.
MOST_SUBSCRIPTIONS = 50


def publish(
    kind: NoticeKind,
    title: str,
    body: list[dict[str, Any]],
    *,
    call_number: str = "",
    item_code: str = "",
    region: str = "",
    at: datetime | None = None,
) -> PublicNotice:
    """Write a notice; what is in it is public from the commit on."""
    notice = PublicNotice(
        number=numbers.following(NUMBER),
        kind=kind,
        call_number=call_number,
        item_code=item_code,
        region=region,
        title=title,
        body=body,
        published_at=at or clock.now(),
    )
    session.add(notice)
    session.flush()
    _tell_subscribers(notice)
    return notice


def _tell_subscribers(notice: PublicNotice) -> None:
    """One line in the inbox of everybody who asked for it, however many of their wishes it meets."""
    if not notice.call_number:
        return  # a notice of the whole platform
    rows = session.execute(
        select(NoticeSubscription.person_id, NoticeSubscription.region).where(
            NoticeSubscription.item_code.in_({"", notice.item_code})
        )
    )
    people = {person for person, region in rows if is_within(notice.region, region)}
    notifications.tell(
        people,
        subject=notice.subject,
        act="notice.published",
        title=f"{notice.kind.zh}：{notice.title}",
        at=notice.published_at,
        kind=notice.kind.value,
    )


def is_within(region: str, wished: str) -> bool:
    """Whether a division's code lies in another: a city's code ends in 00, a province's in 0000."""
    return region.startswith(_stem(wished))


def _stem(code: str) -> str:
    """The leading digits that all divisions inside share; '' for everywhere."""
    while code.endswith("00"):
        code = code[:-2]
    return code


# What is asked


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list of notices is narrowed to; empty members narrow nothing."""

    kind: str = ""
    item: str = ""
    region: str = ""
    call: str = ""


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.kind:
        found.append(PublicNotice.kind == NoticeKind(wanted.kind))
    if wanted.item:
        found.append(PublicNotice.item_code == wanted.item)
    if wanted.region:
        found.append(PublicNotice.region.startswith(_stem(wanted.region), autoescape=True))
    if wanted.call:
        found.append(PublicNotice.call_number == wanted.call)
    return found


def find(number: str) -> PublicNotice:
    """Raises NotFound."""
    notice = session.scalars(select(PublicNotice).where(PublicNotice.number == number)).first()
    if notice is None:
        raise NotFound
    return notice


def listed(wanted: Wanted, *, most: int, offset: int = 0) -> list[PublicNotice]:
    """Notices, the newest first."""
    return list(
        session.scalars(
            select(PublicNotice)
            .where(*_conditions(wanted))
            .order_by(PublicNotice.published_at.desc(), PublicNotice.id.desc())
            .limit(most)
            .offset(offset)
        )
    )


def counts(wanted: Wanted) -> dict[str, dict[str, int]]:
    """For each facet (kind, item, region) its values and how many notices each would leave."""
    found: dict[str, dict[str, int]] = {}
    for facet, column in (
        ("kind", PublicNotice.kind),
        ("item", PublicNotice.item_code),
        ("region", PublicNotice.region),
    ):
        rest = replace(wanted, **{facet: ""})
        rows = session.execute(select(column, func.count()).where(*_conditions(rest)).group_by(column))
        found[facet] = {str(value): count for value, count in rows if value}
    return found


def total(wanted: Wanted) -> int:
    return session.scalar(select(func.count()).select_from(PublicNotice).where(*_conditions(wanted))) or 0


# Subscriptions


def subscriptions_of(by: Actor) -> list[NoticeSubscription]:
    return list(
        session.scalars(
            select(NoticeSubscription)
            .where(NoticeSubscription.person_id == by.person_id)
            .order_by(NoticeSubscription.item_code, NoticeSubscription.region)
        )
    )


def subscribe(item_code: str, region: str, *, by: Actor) -> None:
    """Be told of an item's notices, a region's, or both at once; asking twice changes nothing.

    Raises:
        RegionUnclear, TooManySubscriptions.
    """
    if region and not (len(region) == 6 and region.isascii() and region.isdigit()):
        raise RegionUnclear(field="region")
    mine = subscriptions_of(by)
    if any((one.item_code, one.region) == (item_code, region) for one in mine):
        return
    if len(mine) >= MOST_SUBSCRIPTIONS:
        raise TooManySubscriptions(most=MOST_SUBSCRIPTIONS)
    session.add(NoticeSubscription(person_id=by.person_id, item_code=item_code, region=region, since=clock.now()))
    session.flush()


def unsubscribe(item_code: str, region: str, *, by: Actor) -> None:
    """Be told no more; what is not there is left as it is."""
    for one in subscriptions_of(by):
        if (one.item_code, one.region) == (item_code, region):
            session.delete(one)
    session.flush()
