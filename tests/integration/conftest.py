"""A matter of the town's water authority, handed in, accepted and begun, each step through its verb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from integration.approvals import guide, matters
from integration.approvals.matters import Matter
from kernel import dossier
from kernel.db import session, transaction
from kernel.dossier import Entry, EntryKind
from kernel.trail import Actor

KIND = "SP-0503"


@dataclass
class Office:
    """Verbs of the approval slice, each in a transaction of its own."""

    world: Any

    def draft(self, project: Any = None, kind: str = KIND) -> Matter:
        with transaction():
            return matters.apply(
                project or self.world.project, guide.by_code(kind), self.world.client_org, by=self.world.applicant
            )

    def fill(self, matter: Matter) -> Matter:
        """Hand in an uploaded document for everything required."""
        with transaction():
            found = matters.find(matter.number, by=self.world.applicant, lock=True)
            for material in matters.missing(found):
                document = self.world.document(f"{material.position}.pdf", f"{matter.number} {material.position}")
                matters.pick(found, material.position, by=self.world.applicant, document=document)
        return found

    def act(self, matter: Matter, verb: Callable[..., Any], by: Actor, *given: Any, **more: Any) -> Matter:
        with transaction():
            found = matters.find(matter.number, by=by, lock=True)
            verb(found, *given, by=by, **more)
        return found

    def submitted(self) -> Matter:
        return self.act(self.fill(self.draft()), matters.submit, self.world.applicant)

    def accepted(self) -> Matter:
        matter = self.act(self.submitted(), matters.receive, self.world.window)
        return self.act(matter, matters.accept, self.world.window)

    def begun(self) -> Matter:
        return self.act(self.accepted(), matters.begin, self.world.approver)

    def entry(self, title: str = "水土保持方案报告书", body: str = "一", project: Any = None, **more: Any) -> Entry:
        """A document in the dossier, issued by the town's agency."""
        with transaction():
            document = self.world.document(f"{title}.pdf", body, by=self.world.agency_actor)
            return dossier.attach(
                session.merge(project or self.world.project),
                document,
                kind=EntryKind.DELIVERABLE,
                title=title,
                source="test:1",
                issuer=self.world.agency.organisation.name,
                issuer_id=self.world.agency.organisation_id,
                accepted_by="示例市宏远置业有限公司 林知夏",
                item_code="ZJ-0506",
                by=self.world.applicant,
                **more,
            )


@pytest.fixture
def office(world: Any) -> Office:
    return Office(world)
