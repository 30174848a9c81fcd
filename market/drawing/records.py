"""The draw and its parties as they are stored; what is published stands once (trust G7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, event, text
from sqlalchemy.orm import LoaderCallableStatus, Mapped, mapped_column, relationship

from kernel import numbers
from kernel.accounts import Organisation
from kernel.db import Keyed, WordColumn
from kernel.words import Worded
from market.custody import Custodian
from market.drawing.faults import PublishedOnce

NUMBER = numbers.series("CQ")
#: A seed is sealed at the smallest padded size, in bytes.
SEED_CLASS: Final = 4096


class DrawStatus(Worded):
    LISTED = "listed", "已公布名单，等待各方提交承诺", "Listed"
    COMMITTED = "committed", "各方已承诺，等待公开随机数", "Committed"
    DRAWN = "drawn", "已抽取", "Drawn"


class DrawPurpose(Worded):
    AGENCY = "agency", "抽取机构", "Agency"
    TIE = "tie", "报价相同，抽取决定", "Tie"
    EXPERTS = "experts", "抽取专家", "Experts"


class Draw(Keyed):
    """``candidates`` lists {id, name} sorted by id; ``record`` is the canonical JSON text once drawn.

    ``recipients``: custodian → its long-term public recipient when the list was published; {} when fewer than two had
    one, so that nobody could open a withheld seed. ``next_check_at``: when those who are awaited are urged.
    """

    __tablename__ = "draws"
    number: Mapped[str] = mapped_column(unique=True)
    subject_of: Mapped[str]
    purpose: Mapped[DrawPurpose] = mapped_column(WordColumn(DrawPurpose))
    run: Mapped[int]
    status: Mapped[DrawStatus] = mapped_column(WordColumn(DrawStatus))
    version: Mapped[int] = mapped_column(default=1)
    rule: Mapped[str]
    picks: Mapped[int]
    candidates: Mapped[list[Any]]
    recipients: Mapped[dict[str, Any]]
    list_hash: Mapped[str]
    outside_source: Mapped[str] = mapped_column(default="")
    outside_value: Mapped[str] = mapped_column(default="")
    outside_at: Mapped[datetime | None]
    listed_at: Mapped[datetime]
    committed_at: Mapped[datetime | None]
    drawn_at: Mapped[datetime | None]
    next_check_at: Mapped[datetime | None]
    urged: Mapped[int] = mapped_column(default=0)
    record: Mapped[str | None]
    parties: Mapped[list[DrawParty]] = relationship(order_by="DrawParty.party", lazy="selectin")
    __table_args__ = (
        UniqueConstraint("subject_of", "purpose", "run"),
        CheckConstraint("(record IS NOT NULL) = (status = 'drawn')", name="record_when_drawn"),
        Index("ix_draws_next_check_at", "next_check_at", postgresql_where=text("next_check_at IS NOT NULL")),
    )

    @property
    def subject(self) -> str:
        return f"draw:{self.number}"


class DrawParty(Keyed):
    """A party to a draw: its commitment, the seed sealed for pairs of custodians, the seed once revealed.

    ``sealed``: {} or {ciphertext: base64, wraps: {pair: base64}}. ``is_made_here``: the server made the seed and saw it;
    ``is_opened``: the party withheld the seed and two custodians opened it.
    """

    __tablename__ = "draw_parties"
    draw_id: Mapped[int] = mapped_column(ForeignKey("draws.id"))
    party: Mapped[str]
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    commitment: Mapped[str | None]
    sealed: Mapped[dict[str, Any]]
    is_made_here: Mapped[bool] = mapped_column(default=False)
    committed_at: Mapped[datetime | None]
    seed: Mapped[str | None]
    is_opened: Mapped[bool] = mapped_column(default=False)
    revealed_at: Mapped[datetime | None]
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("draw_id", "party"),
        CheckConstraint("seed IS NULL OR commitment IS NOT NULL", name="commitment_before_seed"),
        Index("ix_draw_parties_draw", "draw_id"),
    )

    def label(self, language: str = "zh") -> str:
        """Who it is in words: the custodian's office with its organisation, or the name that the rule gave."""
        names = {one.value: one for one in Custodian}
        if self.party not in names:
            return self.party
        office = names[self.party].label(language)
        return f"{office} ({self.organisation.name})" if language == "en" else f"{office}（{self.organisation.name}）"

    def names(self) -> dict[str, str]:
        """The label in both languages, for an incident's text."""
        return {"party": self.label(), "party_en": self.label("en")}


def _once(target: object, value: object, old: object, initiator: object) -> None:
    if old is not None and not isinstance(old, LoaderCallableStatus) and value != old:
        raise PublishedOnce


for _column in (
    Draw.number,
    Draw.subject_of,
    Draw.rule,
    Draw.picks,
    Draw.candidates,
    Draw.recipients,
    Draw.list_hash,
    Draw.outside_source,
    Draw.listed_at,
    Draw.record,
    DrawParty.party,
    DrawParty.organisation_id,
    DrawParty.commitment,
    DrawParty.seed,
):
    event.listen(_column, "set", _once, active_history=True)
