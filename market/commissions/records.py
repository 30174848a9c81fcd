"""The commission as it is stored: its record, its materials, what is asked of its client (life-cycles §2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import numbers
from kernel.accounts import Organisation
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.dossier import Entry
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.words import Worded
from market.agencies import Agency
from market.catalogue import ServiceItem
from market.listings import Listing

NUMBER = numbers.series("WT")


class CommissionStatus(Worded):
    REQUESTED = "requested", "待主管部门受理", "Requested of the authority"
    DRAFT = "draft", "待委托", "Draft"
    OPEN = "open", "公告中", "Open for bids"
    EVALUATING = "evaluating", "评审中", "Under evaluation"
    PUBLICISED = "publicised", "公示中", "Result publicised"
    OFFERED = "offered", "待机构接受", "Offered"
    TAKEN_ON = "taken_on", "已接受委托", "Taken on"
    IN_SERVICE = "in_service", "服务中", "In service"
    DELIVERED = "delivered", "待认可成果", "Delivered"
    FINISHED = "finished", "已办结", "Finished"
    TERMINATED = "terminated", "已终止", "Terminated"
    CANCELLED = "cancelled", "已取消", "Cancelled"
    FAILED = "failed", "流标", "Failed"
    DECLINED = "declined", "未予受理", "Declined by the authority"


class Route(Worded):
    """How the agency is chosen; all but the first two are competitions (competition.md)."""

    MENU = "menu", "菜单式选择委托", "Menu"
    DIRECT = "direct", "直接委托", "Direct"
    BIDDING = "bidding", "线上竞价", "Bidding"
    COMPARISON = "comparison", "综合比选", "Comparison"
    DRAW = "draw", "随机抽取", "Draw"
    INVITATION = "invitation", "邀请比选", "Invitation"
    DESCENDING_ROUNDS = "descending_rounds", "多轮竞价", "Descending rounds"

    @property
    def is_competition(self) -> bool:
        return self not in {Route.MENU, Route.DIRECT}


class Payer(Worded):
    SELF = "self", "申请人付费", "Paid by the applicant"
    GOVERNMENT = "government", "政府付费", "Paid by government"


class InquiryKind(Worded):
    MATERIALS = "materials", "补齐材料", "Materials"
    PAUSE = "pause", "需委托人配合", "Needs the client"


class Commission(Keyed):
    """``fee`` in fen as agreed at the offer; ``quote`` keeps its arithmetic, ``listing_edition`` its origin.

    ``client`` buys; ``applicant`` is the project's construction unit, which accepts the deliverable: the same
    organisation unless the government pays (001 §9.2, §9.4).
    """

    __tablename__ = "commissions"
    number: Mapped[str] = mapped_column(unique=True)
    status: Mapped[CommissionStatus] = mapped_column(WordColumn(CommissionStatus))
    version: Mapped[int] = mapped_column(default=1)
    route: Mapped[Route] = mapped_column(WordColumn(Route))
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phases.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("service_items.id"))
    listing_id: Mapped[int | None] = mapped_column(ForeignKey("listings.id"))
    listing_edition: Mapped[int | None]
    agency_id: Mapped[int | None] = mapped_column(ForeignKey("agencies.id"))
    client_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    applicant_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    payer: Mapped[Payer] = mapped_column(WordColumn(Payer), default=Payer.SELF)
    rerun_of_id: Mapped[int | None] = mapped_column(ForeignKey("commissions.id"))
    fee: Mapped[int | None]
    quote: Mapped[list[Any]]
    quantity: Mapped[int | None]
    promised_working_days: Mapped[int]
    message: Mapped[str] = mapped_column(default="")
    reason: Mapped[str] = mapped_column(default="")
    policy: Mapped[str] = mapped_column(default="")
    needed_for: Mapped[str] = mapped_column(default="")
    requested_at: Mapped[datetime | None]
    draft_at: Mapped[datetime | None]
    open_at: Mapped[datetime | None]
    evaluating_at: Mapped[datetime | None]
    publicised_at: Mapped[datetime | None]
    offered_at: Mapped[datetime | None]
    taken_on_at: Mapped[datetime | None]
    in_service_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    terminated_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    declined_at: Mapped[datetime | None]
    project: Mapped[Project] = relationship(lazy="joined")
    phase: Mapped[Phase | None] = relationship(lazy="joined")
    item: Mapped[ServiceItem] = relationship(lazy="joined")
    listing: Mapped[Listing | None] = relationship()
    agency: Mapped[Agency | None] = relationship(lazy="joined")
    client: Mapped[Organisation] = relationship(lazy="joined", foreign_keys=[client_id])
    applicant: Mapped[Organisation] = relationship(foreign_keys=[applicant_id])
    rerun_of: Mapped[Commission | None] = relationship(remote_side="Commission.id")
    materials: Mapped[list[CommissionMaterial]] = relationship(lazy="selectin", order_by="CommissionMaterial.id")
    inquiries: Mapped[list[Inquiry]] = relationship(lazy="selectin", order_by="Inquiry.id")
    __table_args__ = (
        Index("ix_commissions_client", "client_id", "id"),
        Index("ix_commissions_agency", "agency_id", "id"),
        Index("ix_commissions_project", "project_id", "id"),
        Index("ix_commissions_applicant", "applicant_id", "id"),
        Index("ix_commissions_rerun_of", "rerun_of_id", unique=True, postgresql_where=text("rerun_of_id IS NOT NULL")),
    )

    @property
    def subject(self) -> str:
        return f"commission:{self.number}"

    @property
    def title(self) -> str:
        return f"{self.item.name}（{self.number}）"

    @property
    def engineering_code(self) -> str:
        return self.phase.code if self.phase else self.project.code


class CommissionMaterial(Keyed):
    """One material: picked from the dossier (``entry``) or uploaded once (``document``)."""

    __tablename__ = "commission_materials"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    name: Mapped[str]
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("dossier_entries.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str]
    added_at: Mapped[datetime]
    entry: Mapped[Entry | None] = relationship(lazy="joined")
    document: Mapped[Document] = relationship(lazy="joined")
    __table_args__ = (Index("ix_commission_materials_commission", "commission_id"), HISTORY)


class Inquiry(Keyed):
    """What the agency asks of the client, itemised and everything at once; one open notice of a kind."""

    __tablename__ = "commission_inquiries"
    commission_id: Mapped[int] = mapped_column(ForeignKey("commissions.id"))
    kind: Mapped[InquiryKind] = mapped_column(WordColumn(InquiryKind))
    key: Mapped[str]
    points: Mapped[list[str]]
    reason: Mapped[str] = mapped_column(default="")
    answer: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_commission_inquiries_commission", "commission_id"),
        Index(
            "uq_commission_inquiries_open",
            "commission_id",
            "kind",
            unique=True,
            postgresql_where=text("closed_at IS NULL"),
        ),
    )
