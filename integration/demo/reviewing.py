"""A technical review under way in the demo city: construction drawings before three experts and a department."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select

from integration.demo.city import PAGE, REGION, City, document
from kernel import money, projects
from kernel.db import session
from kernel.files import Document
from kernel.projects import Project, ProjectClass
from kernel.trail import Actor
from market import catalogue, commissions, services
from market.agencies import Agency
from market.commissions import Commission, Picked
from market.listings import Listing
from reviews import experts, panels, rounds, technical
from reviews.kinds import Grade
from reviews.rounds import Writing
from reviews.technical import TechnicalReview

ITEM, LEAD = "ZJ-0303", "agency8"
#: Expert's account → speciality.
PANEL = {"expert2": "architecture", "expert3": "structure", "expert5": "building_services"}
DRAWINGS = "drawings"
PAGES: Sequence[str] = (
    "建筑设计总说明",
    "疏散楼梯净宽 1.05 米，扶手中心线内侧计。",
    "管井防火门采用乙级防火门。",
    PAGE,
    "结构设计总说明",
    "楼板混凝土强度等级 C30，钢筋保护层厚度 15 毫米。",
    PAGE,
    "设备设计总说明",
    "屋面排烟风机 EF-3 风量 28000 立方米每小时。",
)


def load(city: City) -> None:
    """One round open; one expert has answered, one has a draft, one and the department have still to answer."""
    applicant, lead = city.actor("applicant"), city.actor(LEAD)
    project = projects.register(
        "2602-230199-04-01-100003",
        "云麓文化艺术中心",
        project_class=ProjectClass.OTHER,
        organisation=city.organisations["宏远"],
        by=applicant,
        region=REGION,
        address="示例市示例区",
        investment=money.parse("31000万"),
        land_area=26_000,
        building_area=38_500,
    )
    drawings = document("施工图.pdf", "云麓文化艺术中心施工图", list(PAGES), by=applicant)
    commission = taken_on(project, applicant, lead, drawings)
    services.start(commission, by=lead)
    review = technical.mine(lead, most=1)[0]
    seated(review, lead, city.actor)
    panels.invite_department(review, city.organisations["住建"], "消防", by=lead)
    for actor in (lead, *(city.actor(login) for login in PANEL)):
        panels.declare(review, [], "", by=actor)
    rounds.open_round(review, by=lead)
    _write(review, city)


def taken_on(project: Project, applicant: Actor, lead: Actor, drawings: Document) -> Commission:
    """A commission for the review of a demo project's drawings, taken on by the review body."""
    listing = session.scalars(
        select(Listing)
        .join(Agency, Agency.id == Listing.agency_id)
        .where(Agency.organisation_id == lead.organisation_id, Listing.item_id == catalogue.by_code(ITEM).id)
    ).one()
    commission = commissions.draft(project, listing, project.organisation, by=applicant)
    paper = document("材料.pdf", "送审材料", ["随施工图一并送审。"], by=applicant)
    slots = {one: drawings if one == "全套施工图和计算书" else paper for one in listing.item.required_materials}
    commissions.hand_in(commission, [Picked(name, document=one) for name, one in slots.items()])
    commissions.offer(commission, by=applicant)
    commissions.take_on(commission, by=lead)
    return commission


def seated(review: TechnicalReview, lead: Actor, actor: Callable[[str], Actor]) -> None:
    """The demo panel, appointed; ``actor``: by account."""
    for login, speciality in PANEL.items():
        expert = experts.of_person(actor(login).person_id)
        if expert is not None:
            panels.appoint(review, expert, speciality, by=lead)


def _write(review: TechnicalReview, city: City) -> None:
    structure, building = city.actor("expert3"), city.actor("expert2")
    rounds.write(
        review,
        1,
        Writing(
            grade=Grade.MUST,
            slot=DRAWINGS,
            clause="《混凝土结构通用规范》GB 55008-2021 第2.0.10条",
            required="应按环境类别确定钢筋的混凝土保护层厚度，并在图中注明环境类别。",
            found="总说明未注明环境类别，无法判断保护层厚度 15 毫米是否满足要求。",
            page=2,
        ),
        by=structure,
    )
    rounds.submit(review, 1, by=structure)
    rounds.write(
        review,
        1,
        Writing(
            grade=Grade.MUST,
            slot=DRAWINGS,
            clause="《建筑防火通用规范》GB 55037-2022 第7.1.4条",
            required="公共建筑疏散楼梯的净宽度不应小于 1.1 米。",
            found="总说明中疏散楼梯净宽为 1.05 米，不足 1.1 米。",
            page=1,
        ),
        by=building,
    )
