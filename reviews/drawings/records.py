"""Sheets, their versions, what ended a version, and who approved one: all of it history, nothing is ever changed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import numbers, trail
from kernel.db import HISTORY, Keyed, WordColumn
from kernel.files import Document
from kernel.projects import Phase, Project
from kernel.words import Worded

REFERENCE = numbers.series("TZ")

trail.name_acts(
    {
        "drawings.entered": ("图纸归入", "Drawings entered"),
        "drawings.withdrawn": ("图纸作废", "Drawing withdrawn"),
        "drawings.approved": ("登记图纸审批引用", "Approval of drawings recorded"),
        "drawings.changed": ("已审批的图纸有变更", "An approved drawing was changed"),
    }
)


class Discipline(Worded):
    """In the order of a set."""

    SURVEY = "survey", "勘察", "Survey"
    ARCHITECTURE = "architecture", "建筑", "Architecture"
    STRUCTURE = "structure", "结构", "Structure"
    WATER = "water", "给排水", "Water supply and drainage"
    HVAC = "hvac", "暖通", "Heating, ventilation and air conditioning"
    ELECTRICAL = "electrical", "电气", "Electrical"
    FIRE = "fire", "消防", "Fire protection"
    CIVIL_DEFENCE = "civil_defence", "人防", "Civil defence"
    LANDSCAPE = "landscape", "景观", "Landscape"
    OTHER = "other", "其他", "Other"


class DrawingStage(Worded):
    """For which step of the project a version was drawn."""

    SURVEY = "survey", "勘察", "Survey"
    SCHEME = "scheme", "方案设计", "Scheme design"
    PRELIMINARY = "preliminary", "初步设计", "Preliminary design"
    CONSTRUCTION = "construction", "施工图设计", "Construction drawings"
    CHANGE = "change", "设计变更", "Design change"
    COMPLETION = "completion", "竣工图", "Completion drawings"


class Sheet(Keyed):
    """One sheet of a set. ``number`` as drawn, such as 结施-05; ``reference`` is ours, such as TZ-2026-000012.

    ``engineering_code`` is the phase's code, or the project's where the sheet belongs to no phase.
    """

    __tablename__ = "sheets"
    reference: Mapped[str] = mapped_column(unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phases.id"))
    engineering_code: Mapped[str]
    discipline: Mapped[Discipline] = mapped_column(WordColumn(Discipline))
    number: Mapped[str]
    entered_at: Mapped[datetime]
    project: Mapped[Project] = relationship(lazy="joined")
    phase: Mapped[Phase | None] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("engineering_code", "discipline", "number"),
        Index("ix_sheets_project", "project_id", "id"),
        HISTORY,
    )

    @property
    def subject(self) -> str:
        return f"sheet:{self.reference}"


class SheetVersion(Keyed):
    """One edition (from 1) of a sheet. ``effective_at``: from when it is the one in force; ``entered_at``: since when
    the portal knows it.
    """

    __tablename__ = "sheet_versions"
    sheet_id: Mapped[int] = mapped_column(ForeignKey("sheets.id"))
    edition: Mapped[int]
    title: Mapped[str]
    stage: Mapped[DrawingStage] = mapped_column(WordColumn(DrawingStage))
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id"))
    sha256: Mapped[str]
    effective_at: Mapped[datetime]
    entered_at: Mapped[datetime]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    organisation: Mapped[str]
    person_id: Mapped[int | None]
    person: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    sheet: Mapped[Sheet] = relationship(lazy="joined")
    document: Mapped[Document] = relationship(lazy="joined")
    withdrawal: Mapped[SheetWithdrawal | None] = relationship(lazy="joined", back_populates="version")
    __table_args__ = (
        UniqueConstraint("sheet_id", "edition"),
        Index("ix_sheet_versions_sha256", "sha256"),
        Index("ix_sheet_versions_document", "document_id"),
        HISTORY,
    )


class SheetWithdrawal(Keyed):
    """作废: a version is in force no more, and no earlier one comes back in its place."""

    __tablename__ = "sheet_withdrawals"
    version_id: Mapped[int] = mapped_column(ForeignKey("sheet_versions.id"), unique=True)
    reason: Mapped[str]
    at: Mapped[datetime]
    organisation: Mapped[str]
    person: Mapped[str]
    version: Mapped[SheetVersion] = relationship(back_populates="withdrawal")
    __table_args__ = (HISTORY,)


class SheetApproval(Keyed):
    """Somebody's decision stands on exactly this version: ``decided`` is its subject (``review:JS-…``, ``matter:…``)."""

    __tablename__ = "sheet_approvals"
    version_id: Mapped[int] = mapped_column(ForeignKey("sheet_versions.id"))
    sha256: Mapped[str]
    decided: Mapped[str]
    decided_title: Mapped[str]
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"))
    organisation: Mapped[str]
    person_id: Mapped[int | None]
    person: Mapped[str]
    at: Mapped[datetime]
    version: Mapped[SheetVersion] = relationship(lazy="joined")
    __table_args__ = (
        UniqueConstraint("version_id", "decided"),
        Index("ix_sheet_approvals_decided", "decided"),
        HISTORY,
    )


def subject_of(project: Project) -> str:
    """The subject of a project's set of drawings."""
    return f"drawings:{project.code}"
