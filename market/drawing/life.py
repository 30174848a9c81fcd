"""The life of a draw: its acts, who may do them, and the one table of steps."""

from __future__ import annotations

from kernel import trail, workflow
from kernel.access import Role
from kernel.trail import Actor
from market.custody import Custodian
from market.drawing.records import Draw, DrawParty

trail.name_acts(
    {
        "draw.listed": ("公布抽取名单", "List to draw from published"),
        "draw.pledged": ("提交种子承诺", "Committed to a seed"),
        "draw.committed": ("各方承诺到齐", "All parties have committed"),
        "draw.outside": ("登记外部数值", "Outside value entered"),
        "draw.revealed": ("公开种子", "Seed opened"),
        "draw.opened": ("保管人开启未公开的种子", "Withheld seed opened by custodians"),
        "draw.urged": ("催办抽取", "Draw urged"),
        "draw.drawn": ("完成抽取", "Drawn"),
    }
)

#: Who acts for a party whose name is a custodian's; for any other party, whoever works for its organisation.
_ROLES: dict[str, tuple[str, ...]] = {
    Custodian.BUYER.value: (Role.APPLICANT.value, Role.AUTHORITY.value, Role.ASSISTANT.value),
    Custodian.PLATFORM.value: (Role.OPERATOR.value,),
    Custodian.SUPERVISOR.value: (Role.SUPERVISOR.value,),
}
_NEVER = frozenset({Role.SECURITY.value, Role.AUDITOR.value})


def acts_for(party: DrawParty, actor: Actor) -> bool:
    """Whether ``actor`` is one of the party's people."""
    if actor.organisation_id != party.organisation_id:
        return False
    roles = _ROLES.get(party.party)
    return actor.has(*roles) if roles else bool(actor.roles - _NEVER)


def parties_of(draw: Draw, actor: Actor) -> list[DrawParty]:
    """The parties that ``actor`` acts for; mostly none or one."""
    return [party for party in draw.parties if acts_for(party, actor)]


def by_party(draw: Draw, actor: Actor) -> bool:
    return bool(parties_of(draw, actor))


def by_operator(draw: Draw, actor: Actor) -> bool:
    return actor.has(Role.OPERATOR.value)


def by_clock(draw: Draw, actor: Actor) -> bool:
    return actor.has("clock")


#: ``complete`` and ``draw`` follow in the transaction of the last commitment and of the last seed.
STEPS: workflow.Steps = {
    "commit": workflow.Step(("listed",), None, "draw.pledged", by_party),
    "complete": workflow.Step(("listed",), "committed", "draw.committed", by_party),
    "enter_outside": workflow.Step(("committed",), None, "draw.outside", by_operator),
    "reveal": workflow.Step(("committed",), None, "draw.revealed", by_party),
    "reveal_withheld": workflow.Step(("committed",), None, "draw.opened", by_party),
    "draw": workflow.Step(("committed",), "drawn", "draw.drawn", by_party),
    "urge": workflow.Step(("listed", "committed"), None, "draw.urged", by_clock),
}


def moves(draw: Draw, actor: Actor) -> list[str]:
    """What ``actor`` can do now: the table's, less what was done and what waits for something else."""
    mine = parties_of(draw, actor)
    waits = bool(draw.outside_source) and not draw.outside_value
    has_seeds = any(party.seed is not None for party in draw.parties)
    closed = {"complete", "draw", "urge"}
    if all(party.commitment is not None for party in mine):
        closed.add("commit")
    if waits or all(party.seed is not None for party in mine):
        closed.add("reveal")
    if waits or not draw.recipients or all(party.seed is not None for party in draw.parties if party not in mine):
        closed.add("reveal_withheld")
    if not draw.outside_source or has_seeds:
        closed.add("enter_outside")
    return [name for name in workflow.moves(draw, STEPS, actor) if name not in closed]
