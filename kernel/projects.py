"""Projects and their codes: what everything else hangs on (000 §7.6, exchange "Codes", requirement C1).

A project carries its national investment code (24 characters, no check digit) or, outside investment, a code of
the system's own. Phases get engineering codes: project code, hyphen, four digits.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kernel import clock, trail
from kernel.accounts import Organisation
from kernel.db import Keyed, WordColumn, session
from kernel.errors import Conflict, Invalid, NotFound
from kernel.statements import Records
from kernel.trail import Actor
from kernel.words import Worded

NATIONAL = re.compile(r"\d{4}-\d{6}-\d{2}-\d{2}-\d{6}")
ENGINEERING = re.compile(r"(?P<project>.+)-(?P<serial>\d{4})")
LOCAL = re.compile(r"[A-Z0-9][A-Z0-9-]{5,39}")
GROUPS = (4, 6, 2, 2, 6)

trail.name_acts(
    {
        "project.registered": ("项目信息登记", "Project registered"),
        "project.phase_added": ("登记工程", "Engineering phase added"),
    }
)


class BadProjectCode(Invalid):
    code = "bad_project_code"
    zh = "项目代码“{value}”格式有误，应为 24 位，如 2603-230102-04-01-123456"
    en = "“{value}” is not a project code; it looks like 2603-230102-04-01-123456"


class ProjectUnknown(NotFound):
    code = "project_unknown"
    zh = "没有找到项目代码 {value}，请核对，或先办理项目信息登记"
    en = "There is no project {value}; check the code, or register the project first"


class ProjectKnown(Conflict):
    code = "project_known"
    zh = "项目代码 {value} 已登记"
    en = "The project code {value} is registered already"


class ProjectClass(Worded):
    """The classes of the monthly comparison (001 §12)."""

    WAREHOUSE = "warehouse", "社会投资仓储项目", "Private warehouse"
    FACTORY = "factory", "社会投资厂房项目", "Private factory"
    HOUSING = "housing", "社会投资房地产项目", "Private housing"
    GOVERNMENT_BUILDING = "government_building", "政府投资房屋建筑项目", "Government building"
    GOVERNMENT_ROAD = "government_road", "政府投资路桥工程", "Government road or bridge"
    OTHER = "other", "其他", "Other"


class Project(Keyed):
    """``investment`` in fen, areas in square metres; nil means not told."""

    __tablename__ = "projects"
    code: Mapped[str] = mapped_column(unique=True)
    is_national: Mapped[bool]
    name: Mapped[str]
    project_class: Mapped[ProjectClass] = mapped_column(WordColumn(ProjectClass))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    region: Mapped[str] = mapped_column(default="")
    address: Mapped[str] = mapped_column(default="")
    investment: Mapped[int | None]
    land_area: Mapped[int | None]
    building_area: Mapped[int | None]
    registered_at: Mapped[datetime]
    organisation: Mapped[Organisation] = relationship(lazy="joined")
    phases: Mapped[list[Phase]] = relationship(lazy="selectin", order_by="Phase.code")
    __table_args__ = (Index("ix_projects_organisation", "organisation_id"),)

    @property
    def subject(self) -> str:
        return f"project:{self.code}"


class Phase(Keyed):
    """One engineering phase of a project, with its engineering code."""

    __tablename__ = "phases"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    code: Mapped[str]
    name: Mapped[str]
    __table_args__ = (UniqueConstraint("code"),)


def parse_code(value: str, *, field: str = "project_code") -> str:
    """A project or engineering code as people type it → its canonical form.

    Spaces, full-width digits, other dashes, missing hyphens and letter case are forgiven.

    Raises:
        BadProjectCode: what remains is no code.
    """
    plain = unicodedata.normalize("NFKC", value)
    plain = re.sub(r"[\s\u200b]+", "", plain).upper()
    plain = re.sub(r"[\u2010-\u2015\u2212_－—]", "-", plain).strip("-")
    digits = plain.replace("-", "")
    if digits.isascii() and digits.isdigit() and len(digits) in {20, 24}:
        parts, at = [], 0
        for size in GROUPS:
            parts.append(digits[at : at + size])
            at += size
        code = "-".join(parts)
        return f"{code}-{digits[20:]}" if len(digits) == 24 else code
    if plain and not digits.isdigit() and LOCAL.fullmatch(plain):
        return plain
    raise BadProjectCode(field=field, value=value.strip())


def split_code(code: str) -> tuple[str, str | None]:
    """A canonical code → (project code, engineering code or None)."""
    if NATIONAL.fullmatch(code):
        return code, None
    match = ENGINEERING.fullmatch(code)
    if match and NATIONAL.fullmatch(match["project"]):
        return match["project"], code
    return code, None


def register(
    code: str,
    name: str,
    *,
    project_class: ProjectClass,
    organisation: Organisation,
    by: Actor,
    region: str = "",
    address: str = "",
    investment: int | None = None,
    land_area: int | None = None,
    building_area: int | None = None,
) -> Project:
    """Register a project for its construction unit.

    Raises:
        BadProjectCode, ProjectKnown.
    """
    plain, _ = split_code(parse_code(code))
    if session.scalars(select(Project).where(Project.code == plain)).first():
        raise ProjectKnown(field="project_code", value=plain)
    project = Project(
        code=plain,
        is_national=bool(NATIONAL.fullmatch(plain)),
        name=name.strip(),
        project_class=project_class,
        organisation=organisation,
        region=region,
        address=address,
        investment=investment,
        land_area=land_area,
        building_area=building_area,
        registered_at=clock.now(),
    )
    try:
        with session.begin_nested():
            session.add(project)
    except IntegrityError as error:  # somebody registered it a moment ago
        raise ProjectKnown(field="project_code", value=plain) from error
    trail.record(project.subject, "project.registered", by=by, name=project.name)
    return project


def add_phase(project: Project, name: str, *, by: Actor) -> Phase:
    """Give a phase the next engineering code of its project; two who do it at once get two codes."""
    session.scalars(
        select(Project)
        .where(Project.id == project.id)
        .with_for_update(of=Project)
        .execution_options(populate_existing=True)
    ).one()
    phase = Phase(project_id=project.id, code=f"{project.code}-{len(project.phases) + 1:04d}", name=name.strip())
    project.phases.append(phase)
    session.flush()
    trail.record(project.subject, "project.phase_added", by=by, code=phase.code, name=phase.name)
    return phase


#: Its phases are asked for only if somebody wants them.
_BY_CODE = Records(Project, Project.code == bindparam("code"), Project.organisation)


def find(code: str, *, field: str = "project_code") -> tuple[Project, Phase | None]:
    """The project (and phase) of a code as typed.

    Raises:
        BadProjectCode, ProjectUnknown.
    """
    plain = parse_code(code, field=field)
    project_code, engineering_code = split_code(plain)
    project = _BY_CODE.first(code=project_code)
    if project is None and engineering_code is None:
        # A code of the system's own doesn't show by its form whether it names a project or a phase of one.
        engineering_code = plain
        project = session.scalars(select(Project).join(Phase).where(Phase.code == plain)).first()
    elif project is not None and engineering_code is None:
        return project, None
    if project is None:
        raise ProjectUnknown(field=field, value=plain)
    phase = next((p for p in project.phases if p.code == engineering_code), None)
    if phase is None:
        raise ProjectUnknown(field=field, value=plain)
    return project, phase


def of_organisation(organisation_id: int, *, most: int = 200) -> list[Project]:
    """The construction unit's projects, newest first."""
    return list(
        session.scalars(
            select(Project).where(Project.organisation_id == organisation_id).order_by(Project.id.desc()).limit(most)
        )
    )


def is_owner(project: Project, actor: Actor) -> bool:
    """The project is the actor's organisation's own."""
    return actor.organisation_id is not None and actor.organisation_id == project.organisation_id
