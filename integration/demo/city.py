"""The demo city: every organisation, person, code and document in it is invented.

Legal time begins at 2026-03-02 09:00 in Beijing, inside the announced calendar. Accounts exist with SANDBOX=1
only; the sign-in page shows them.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import typst
from sqlalchemy import select
from stdnum.cn import uscc

from integration.approvals import guide
from kernel import clock, files, money, policies, projects, sandbox
from kernel.access import Role
from kernel.accounts import Organisation, OrganisationKind, Person, actor_of, add_member, register_organisation
from kernel.accounts import register_person as register
from kernel.accounts.passwords import set_password
from kernel.accounts.sign_in import enrol
from kernel.db import session
from kernel.files import Document
from kernel.projects import Project, ProjectClass
from kernel.trail import SYSTEM, Actor
from market import agencies, calls, catalogue, listings, requests
from market.agencies import Agency
from market.catalogue import ServiceItem
from market.commissions import Route
from market.fees import Band, FeeKind, FeeRule, Measure
from reviews import experts, kinds

START = datetime(2026, 3, 2, 9, 0, tzinfo=clock.SHANGHAI)
REGION = "230199"
PASSWORD = "Demo-Market-2026"  # noqa: S105  shown on the sign-in page of every sandbox

#: login, name, organisation, role: one account per desk.
PEOPLE: tuple[tuple[str, str, str, Role], ...] = (
    ("applicant", "林知夏", "宏远", Role.APPLICANT),
    ("applicant2", "陈明远", "交投", Role.APPLICANT),
    ("agency", "周若彤", "清源", Role.AGENCY),
    ("agency2", "孙一鸣", "绿洲", Role.AGENCY),
    ("agency3", "何思远", "天衡", Role.AGENCY),
    ("agency4", "罗嘉木", "恒信", Role.AGENCY),
    ("agency5", "范文静", "北岭", Role.AGENCY),
    ("agency6", "邓可欣", "经纬", Role.AGENCY),
    ("agency7", "秦子墨", "安泰", Role.AGENCY),
    ("agency8", "石婉清", "磐石", Role.AGENCY),
    ("agency9", "金晓彤", "明鉴", Role.AGENCY),
    ("agency10", "方亦舟", "方略", Role.AGENCY),
    ("agency11", "田雨禾", "沃土", Role.AGENCY),
    ("reviewer", "石美玲", "磐石", Role.AGENCY),
    ("expert", "顾怀瑾", "专家", Role.EXPERT),
    ("expert2", "柳承宇", "专家", Role.EXPERT),
    ("expert3", "严若谷", "专家", Role.EXPERT),
    ("expert4", "邵明轩", "专家", Role.EXPERT),
    ("expert5", "祁连山", "专家", Role.EXPERT),
    ("expert6", "温如玉", "专家", Role.EXPERT),
    ("expert7", "江水生", "专家", Role.EXPERT),
    ("window", "王慧敏", "窗口", Role.WINDOW),
    ("approver", "赵立新", "水务", Role.APPROVER),
    ("approver2", "刘文博", "生态", Role.APPROVER),
    ("approver3", "高雅婷", "审批", Role.APPROVER),
    ("approver4", "沈佳宁", "规划", Role.APPROVER),
    ("approver5", "韩雪松", "发改", Role.APPROVER),
    ("approver6", "梁雨桐", "国动", Role.APPROVER),
    ("approver7", "宋明哲", "气象", Role.APPROVER),
    ("approver8", "唐海峰", "住建", Role.APPROVER),
    ("authority", "吴建国", "住建", Role.AUTHORITY),
    ("authority2", "郭晓岚", "住建", Role.AUTHORITY),
    ("supervisor", "郑晓峰", "工改", Role.SUPERVISOR),
    ("operator", "马一凡", "运营", Role.OPERATOR),
    ("security", "许静怡", "运营", Role.SECURITY),
    ("auditor", "黄志强", "工改", Role.AUDITOR),
)

#: short name → (serial for the invented credit code, full name, kind, legal representative).
ORGANISATIONS: dict[str, tuple[int, str, OrganisationKind, str]] = {
    "宏远": (101, "示例市宏远置业有限公司", OrganisationKind.COMPANY, "林宏远"),
    "交投": (102, "示例市交通建设投资有限公司", OrganisationKind.COMPANY, "陈国栋"),
    "清源": (201, "清源水土工程咨询有限公司", OrganisationKind.AGENCY, "周清源"),
    "绿洲": (202, "绿洲环境科技咨询有限公司", OrganisationKind.AGENCY, "孙绿洲"),
    "天衡": (203, "天衡建筑设计研究院有限公司", OrganisationKind.AGENCY, "何天衡"),
    "恒信": (204, "恒信工程造价咨询有限公司", OrganisationKind.AGENCY, "罗恒信"),
    "北岭": (205, "北岭岩土勘察有限公司", OrganisationKind.AGENCY, "范北岭"),
    "经纬": (206, "经纬测绘地理信息有限公司", OrganisationKind.AGENCY, "邓经纬"),
    "安泰": (207, "安泰安全评价技术有限公司", OrganisationKind.AGENCY, "秦安泰"),
    "磐石": (208, "磐石施工图审查中心", OrganisationKind.AGENCY, "石磊"),
    "明鉴": (209, "明鉴检验检测有限公司", OrganisationKind.AGENCY, "金明"),
    "方略": (210, "方略工程咨询有限公司", OrganisationKind.AGENCY, "方略"),
    "沃土": (211, "沃土生态规划设计有限公司", OrganisationKind.AGENCY, "田沃"),
    "窗口": (301, "示例市政务服务中心", OrganisationKind.AUTHORITY, ""),
    "水务": (302, "示例市水务局", OrganisationKind.AUTHORITY, ""),
    "生态": (303, "示例市生态环境局", OrganisationKind.AUTHORITY, ""),
    "审批": (304, "示例市行政审批局", OrganisationKind.AUTHORITY, ""),
    "住建": (305, "示例市住房和城乡建设局", OrganisationKind.AUTHORITY, ""),
    "规划": (306, "示例市自然资源和规划局", OrganisationKind.AUTHORITY, ""),
    "发改": (307, "示例市发展和改革委员会", OrganisationKind.AUTHORITY, ""),
    "国动": (308, "示例市国防动员办公室", OrganisationKind.AUTHORITY, ""),
    "气象": (309, "示例市气象局", OrganisationKind.AUTHORITY, ""),
    "专家": (311, "示例市工程评审专家库", OrganisationKind.AUTHORITY, ""),
    "工改": (310, "示例市工程建设项目审批制度改革工作领导小组办公室", OrganisationKind.AUTHORITY, ""),
    "运营": (401, "示例市数字政务运营有限公司", OrganisationKind.OPERATOR, ""),
}

#: short name → (introduction, qualifications "speciality:level", number of practitioners, items).
AGENCIES: dict[str, tuple[str, tuple[str, ...], int, tuple[str, ...]]] = {
    "清源": (
        "从事水土保持、水资源和防洪评价，编制人员均为水利工程师。",
        (),
        6,
        ("ZJ-0506", "ZJ-0508", "ZJ-0509", "ZJ-0511", "ZJ-0512", "ZJ-0118", "ZJ-0409"),
    ),
    "绿洲": (
        "环境影响评价、排污口论证与环保验收一体化服务。",
        ("Q10", "Q16.02"),
        8,
        ("ZJ-0501", "ZJ-0502", "ZJ-0408", "ZJ-0517", "ZJ-0117", "ZJ-0506", "ZJ-0106"),
    ),
    "天衡": (
        "建筑行业甲级设计院，提供方案、初步设计、施工图和专项设计。",
        ("Q02.01:甲级",),
        30,
        ("ZJ-0201", "ZJ-0203", "ZJ-0302", "ZJ-0305", "ZJ-0210", "ZJ-0211", "ZJ-0209", "ZJ-0206"),
    ),
    "恒信": (
        "全过程造价咨询、招标代理和节能报告编制。",
        ("Q01.01:甲级",),
        12,
        ("ZJ-0308", "ZJ-0309", "ZJ-0504", "ZJ-0102", "ZJ-0101", "ZJ-0103", "ZJ-0104", "ZJ-0204"),
    ),
    "北岭": (
        "岩土勘察、基坑监测与地质灾害评估。",
        ("Q03.01:甲级", "Q13:甲级"),
        9,
        ("ZJ-0301", "ZJ-0312", "ZJ-0112", "ZJ-0111"),
    ),
    "经纬": (
        "甲级测绘单位，承担多测合一和管线探测。",
        ("Q04.01:甲级", "Q04.02:甲级"),
        15,
        ("ZJ-0401", "ZJ-0402", "ZJ-0109", "ZJ-0110", "ZJ-0208", "ZJ-0212"),
    ),
    "安泰": (
        "安全评价、职业卫生评价。",
        ("Q14.01", "Q15"),
        10,
        ("ZJ-0513", "ZJ-0411", "ZJ-0516", "ZJ-0410", "ZJ-0515"),
    ),
    "磐石": ("一类施工图审查机构，承担联合审图。", ("Q06.01:一类", "Q06.03"), 20, ("ZJ-0303", "ZJ-0304", "ZJ-0306")),
    "明鉴": (
        "检验检测机构资质认定范围内的工程检测、消防与雷电防护检测。",
        ("Q17.01", "Q18:甲级", "Q19", "Q16.01"),
        25,
        ("ZJ-0403", "ZJ-0404", "ZJ-0405", "ZJ-0406", "ZJ-0407", "ZJ-0311", "ZJ-0524"),
    ),
    "方略": (
        "综合工程咨询，长于节能、社会稳定风险评估和项目前期论证。",
        ("Q01.02:甲级", "Q10"),
        14,
        ("ZJ-0102", "ZJ-0103", "ZJ-0106", "ZJ-0504", "ZJ-0502", "ZJ-0506", "ZJ-0107", "ZJ-0207"),
    ),
    "沃土": (
        "水土保持、林地与绿化规划设计。",
        ("Q02.08:甲级",),
        7,
        ("ZJ-0506", "ZJ-0508", "ZJ-0116", "ZJ-0211", "ZJ-0522", "ZJ-0511"),
    ),
}


#: login → (specialities, title, employer): two for each seat, so that somebody can be replaced.
EXPERTS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "expert": (("architecture", "planning"), "一级注册建筑师", "示例大学建筑学院"),
    "expert2": (("architecture", "planning", "transport"), "正高级工程师", "示例市城乡规划协会"),
    "expert3": (("structure",), "一级注册结构工程师", "示例大学土木工程学院"),
    "expert4": (("structure", "hydraulic"), "正高级工程师", "示例省建筑科学研究院"),
    "expert5": (("building_services", "electrical", "thermal_energy"), "注册公用设备工程师", "示例工业大学"),
    "expert6": (("building_services", "energy_management"), "正高级工程师", "示例省建筑科学研究院"),
    "expert7": (("soil_water", "hydraulic"), "水土保持正高级工程师", "示例省水利科学研究院"),
}


@dataclass(slots=True)
class City:
    """What was loaded, for tests and the story."""

    organisations: dict[str, Organisation] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    agencies: dict[str, Agency] = field(default_factory=dict)
    projects: list[Project] = field(default_factory=list)

    def actor(self, login: str) -> Actor:
        return actor_of(self.people[login])


def load() -> City | None:
    """Load the demo, in the caller's transaction; None when it is there already."""
    if session.scalar(select(Person.id).where(Person.login == PEOPLE[0][0])) is not None:
        return None
    sandbox.start_at(START)
    load_reference()
    city = City()
    _organisations(city)
    _people(city)
    _agencies(city)
    _experts(city)
    _projects(city)
    _purchases(city)
    return city


def load_reference() -> None:
    """What every installation starts with: policies, qualifications, service items, the example guide."""
    policies.load_shipped(catalogue.DATA / "policies.json")
    policies.load_shipped(guide.DATA / "policies.json")
    if session.scalar(select(ServiceItem.id).limit(1)) is None:
        catalogue.load_shipped(by=SYSTEM)
    guide.load_shipped(by=SYSTEM)
    experts.load_shipped()
    kinds.load_shipped()


def credit_code(serial: int) -> str:
    """An invented credit code with a right check digit."""
    body = f"91230199MA{serial:07d}"
    return f"{body}{uscc.calc_check_digit(body)}"


#: A line that begins a new page.
PAGE = "\f"


def letter(title: str, lines: list[str]) -> bytes:
    """A PDF in Chinese, one page up to each :data:`PAGE`, for demo materials and deliverables."""
    paragraphs = "\n\n".join("#pagebreak()" if line == PAGE else _escape(line) for line in lines)
    source = (
        '#set page(paper: "a4", margin: 2.5cm)\n#set text(font: ("Noto Sans CJK SC", "Source Han Sans SC", "SimSun"), '
        f'size: 12pt, lang: "zh")\n#align(center, text(size: 18pt, weight: "bold")[{_escape(title)}])\n#v(1em)\n{paragraphs}\n'
    )
    return bytes(typst.compile(io.BytesIO(source.encode()).getvalue(), format="pdf"))


def document(name: str, title: str, lines: list[str], *, by: Actor) -> Document:
    """Store a one-page PDF as ``by``'s upload."""
    return files.put(io.BytesIO(letter(title, lines)), name, by=by)


def _escape(line: str) -> str:
    return "".join(f"\\{c}" if c in "\\#$*_`<>@[]" else c for c in line)


def _organisations(city: City) -> None:
    for short, (serial, name, kind, legal) in ORGANISATIONS.items():
        city.organisations[short] = register_organisation(
            credit_code(serial),
            name,
            kind,
            region=REGION,
            address=f"示例市示例区建设大道 {serial} 号",
            legal_representative=legal,
            contact=f"{name[-4:-2]}联系人{serial}",
            telephone=f"0451-5550{serial}",
        )


def _people(city: City) -> None:
    for login, name, short, role in PEOPLE:
        person = register(login, name)
        set_password(person, PASSWORD)
        enrol(person)
        add_member(person, city.organisations[short], role)
        sandbox.announce(login, PASSWORD)
        city.people[login] = person


def _agencies(city: City) -> None:
    for index, (short, (introduction, held, staff, codes)) in enumerate(AGENCIES.items()):
        organisation = city.organisations[short]
        actor = Actor(
            None, organisation.legal_representative, organisation.id, organisation.name, frozenset({"agency"})
        )
        agency = agencies.admit(
            organisation, by=actor, commitment_agreed=True, regions=["示例市"], introduction=introduction
        )
        for place, want in enumerate(held):
            code, _, level = want.partition(":")
            agencies.file_qualification(
                agency,
                code,
                level,
                f"SL{code.replace('.', '')}-{index:02d}{place}",
                valid_from=date(2023, 1, 1),
                valid_until=date(2028, 12, 31),
                by=actor,
            )
        for number in range(staff):
            agencies.file_practitioner(
                agency, f"工程师{number + 1}", "注册工程师", f"ZC{index:02d}{number:03d}", valid_until=None, by=actor
            )
        for place, code in enumerate(codes):
            item = catalogue.by_code(code)
            listing = listings.draft(
                agency,
                item,
                demo_rule(item, index + place),
                promised_working_days=max(1, item.promised_working_days - (index + place) % 4),
                by=actor,
                scope=f"{item.name}的全部工作，含一次现场调查和送审修改。",
                regions=["示例市"],
            )
            if agencies.shortfall(agency, item.requirement, clock.today()) is None:
                listings.publish(listing, by=actor)
        city.agencies[short] = agency


def _experts(city: City) -> None:
    operator = city.actor("operator")
    for login, (specialities, title, employer) in EXPERTS.items():
        person = city.people[login]
        experts.register(
            experts.Entry(person.name, specialities, title, employer, region="示例市"),
            term_from=date(2025, 1, 1),
            term_until=date(2027, 12, 31),
            by=operator,
            person=person,
            employed_since=date(2015, 7, 1),
        )


def demo_rule(item: ServiceItem, turn: int) -> FeeRule:
    """A plausible, invented fee rule for an item; ``turn`` varies kind and level."""
    base = 600_000 + 150_000 * (turn % 7) + 40_000 * item.promised_working_days
    if item.default_unit == "平方米":
        return FeeRule(
            FeeKind.UNIT, amount=120 + 15 * (turn % 9), measure=Measure.BUILDING_AREA, unit="平方米", minimum=500_000
        )
    match turn % 5:
        case 0 | 1:
            rates = (Decimal("0.20"), Decimal("0.12"), Decimal("0.06"))
            cut = Decimal(turn % 3) / 100
            edges = (0, money.parse("1000万"), money.parse("5000万"), None)
            bands = tuple(
                Band(start, end, rate - cut) for start, end, rate in zip(edges[:-1], edges[1:], rates, strict=True)
            )
            return FeeRule(FeeKind.BANDS, measure=Measure.INVESTMENT, bands=bands, minimum=base)
        case 2 | 3:
            return FeeRule(FeeKind.FIXED, amount=base * 5)
        case _:
            return FeeRule(
                FeeKind.DISCOUNT, amount=base * 7, percent=Decimal(10 + turn % 20), standard="本机构公示收费标准"
            )


def _projects(city: City) -> None:
    rows = (
        ("2603-230199-04-01-100001", "云栖里住宅小区一期", ProjectClass.HOUSING, "宏远", "48000万", 62_000, 148_000),
        ("2603-230199-04-01-100002", "宏远智造产业园标准厂房", ProjectClass.FACTORY, "宏远", "12600万", 40_000, 56_000),
        (
            "2602-230199-48-01-200001",
            "滨江路跨清水河大桥",
            ProjectClass.GOVERNMENT_ROAD,
            "交投",
            "86000万",
            75_000,
            None,
        ),
    )
    for code, name, kind, owner, investment, land, building in rows:
        organisation = city.organisations[owner]
        actor = city.actor("applicant" if owner == "宏远" else "applicant2")
        project = projects.register(
            code,
            name,
            project_class=kind,
            organisation=organisation,
            by=actor,
            region=REGION,
            address="示例市示例区",
            investment=money.parse(investment),
            land_area=land,
            building_area=building,
        )
        city.projects.append(project)
    projects.add_phase(city.projects[0], "云栖里一期 1#–6# 楼及地下车库", by=city.actor("applicant"))


#: login of the buyer, project, item, route, title, ceiling, days: small self-paid calls, whose key the platform holds.
CALLS: tuple[tuple[str, int, str, Route, str, str, int], ...] = (
    ("applicant", 0, "ZJ-0506", Route.BIDDING, "云栖里住宅小区一期水土保持方案编制", "8.6万", 20),
    ("applicant2", 2, "ZJ-0502", Route.DRAW, "滨江路跨清水河大桥环境影响登记服务", "5万", 15),
)


def _purchases(city: City) -> None:
    """Two calls for bids under way, a need in the making, and a request that the authority has not answered."""
    for login, place, code, route, title, ceiling, days in CALLS:
        actor, project = city.actor(login), city.projects[place]
        call = calls.draft_need(project, catalogue.by_code(code), project.organisation, by=actor, route=route)
        _fill(call, actor, title=title, ceiling=money.parse(ceiling), most_working_days=days)
        calls.publish(call, by=actor)
    applicant, project = city.actor("applicant"), city.projects[1]
    need = calls.draft_need(
        project, catalogue.by_code("ZJ-0504"), project.organisation, by=applicant, route=Route.COMPARISON
    )
    calls.fill(need, by=applicant, title="宏远智造产业园标准厂房节能报告编制")
    requests.request(
        project,
        catalogue.by_code("ZJ-0303"),
        city.organisations["住建"],
        "标准厂房施工图需联合审查，申请由主管部门委托审查机构。",
        by=applicant,
    )


def _fill(call: calls.CallForBids, by: Actor, **fields: Any) -> None:
    """What every demo call says besides; it closes at 17:00 on the earliest working day that the rule allows, a week on."""
    closing = calls.earliest_closing(call.rules) + timedelta(days=7, hours=17)
    calls.fill(
        call,
        by=by,
        requirement="按国家和地方技术标准完成全部工作，含一次现场调查、送审和按评审意见修改，提交纸质成果六份和电子文件。",
        contact=by.person,
        telephone="0451-55501001",
        complaint_telephone="0451-55509001",
        closing_at=closing,
        **fields,
    )
