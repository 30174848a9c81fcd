"""Who may come near what: the roles, named predicates, and one cell per route.

Every endpoint has a cell in the table that ``app.py`` puts together from each package's ``web`` module; an
endpoint without a cell is refused, and a test walks every route × every role (trust G11). A cell says who
may knock; whether *this* record is theirs is the noun's own predicate, and the answer then is 404.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kernel.trail import Actor
from kernel.words import Worded


class Role(Worded):
    """What a member does for an organisation (requirements, "Roles")."""

    APPLICANT = "applicant", "申请人（建设单位）", "Applicant"
    ASSISTANT = "assistant", "帮办代办人员", "Assistant"
    AGENCY = "agency", "中介服务机构", "Agency"
    AUTHORITY = "authority", "行业主管部门", "Authority"
    EXPERT = "expert", "专家", "Expert"
    WINDOW = "window", "综合窗口", "Window"
    CENTRE = "centre", "审批审查中心", "Review centre"
    APPROVER = "approver", "审批部门", "Approver"
    UTILITY = "utility", "市政公用服务单位", "Utility"
    SPONSOR = "sponsor", "项目发起部门", "Sponsor"
    LEAD = "lead", "阶段牵头单位", "Stage lead"
    REGULATOR = "regulator", "监管部门", "Regulator"
    SUPERVISOR = "supervisor", "督查（工改办）", "Supervisor"
    OPERATOR = "operator", "系统运营", "Operator"
    SECURITY = "security", "安全管理", "Security administrator"
    AUDITOR = "auditor", "安全审计", "Auditor"


#: Roles that need a second factor at sign-in (trust G13).
SECOND_FACTOR = frozenset(role.value for role in Role) - {Role.APPLICANT.value}
#: The three administrators; nobody holds two of them (trust G12).
ADMINISTRATORS = frozenset({Role.OPERATOR.value, Role.SECURITY.value, Role.AUDITOR.value})


@dataclass(frozen=True, slots=True)
class Cell:
    """Who may call a route: a name a lawyer could read, and the test."""

    name: str
    allows: Callable[[Actor | None], bool]


PUBLIC = Cell("anyone", lambda actor: True)
SIGNED_IN = Cell("signed in", lambda actor: actor is not None)


def holders(*roles: Role) -> Cell:
    """People who hold at least one of ``roles`` in the organisation they act for."""
    names = frozenset(role.value for role in roles)
    return Cell(" or ".join(sorted(names)), lambda actor: actor is not None and not names.isdisjoint(actor.roles))
