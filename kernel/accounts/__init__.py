"""People, organisations and the roles that people hold in them (000 §4.4, requirement E1)."""

from kernel.accounts.organisations import (
    BadCreditCode,
    CreditCodeTaken,
    Organisation,
    OrganisationKind,
    by_credit_code,
    register_organisation,
)
from kernel.accounts.people import Membership, Person, actor_of, add_member, members_with, register_person

__all__ = [
    "BadCreditCode",
    "CreditCodeTaken",
    "Membership",
    "Organisation",
    "OrganisationKind",
    "Person",
    "actor_of",
    "add_member",
    "by_credit_code",
    "members_with",
    "register_organisation",
    "register_person",
]
