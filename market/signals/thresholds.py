"""From which figures on something is a signal: the policy row ``signals``, read member by member."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kernel import policies
from kernel.policies import Policy

KIND = "signals"

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Shares and the coefficient of variation in basis points, lift and relative distance in hundredths.

    ``window_months``: how far back habits are looked for. ``ignored_networks``: addresses shared by right, e.g. of a
    service hall. ``ordinary_authors``: what programs write when nobody gave a name. ``reopen_after``: so many more
    cases reopen a dismissed habit.
    """

    window_months: int
    ignored_networks: tuple[str, ...]
    ordinary_authors: tuple[str, ...]
    meeting_calls: int
    meeting_share: int
    meeting_lift: int
    late_minutes: int
    late_bids: int
    late_share: int
    variation_bids: int
    variation_most: int
    distance_bids: int
    distance_least: int
    distance_variation_most: int
    rotation_calls: int
    rotation_chance: int
    reopen_after: int

    def place_of(self, address: str) -> str:
        """The network address that tells bidders apart: IPv4 whole, IPv6 by its /64; '' for none, loopback, ignored."""
        try:
            found = ipaddress.ip_address(address.strip())
        except ValueError:
            return ""
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        ignored = (ipaddress.ip_network(network, strict=False) for network in self.ignored_networks)
        if found.is_loopback or found.is_unspecified or found.is_link_local or any(found in one for one in ignored):
            return ""
        if isinstance(found, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((found, 64), strict=False))
        return str(found)


def parse(values: Mapping[str, Any]) -> Thresholds:
    """Thresholds from a policy row's values.

    Raises:
        ValueError: a member is missing, unknown, no number from 0 on, or no list of texts.
    """
    names = {one.name for one in fields(Thresholds)}
    if values.keys() != names:
        raise ValueError(f"signals: {sorted(values.keys() ^ names)}")
    found: dict[str, Any] = {}
    for name in names:
        value = values[name]
        if isinstance(value, list) and name in ("ignored_networks", "ordinary_authors"):
            found[name] = tuple(str(one) for one in value)
        elif type(value) is int and value >= 0 and not name.startswith(("ignored", "ordinary")):
            found[name] = value
        else:
            raise ValueError(f"signals: {name} = {value!r}")
    for network in found["ignored_networks"]:
        ipaddress.ip_network(network, strict=False)
    return Thresholds(**found)


def current() -> tuple[Policy, Thresholds]:
    """The row in force and its thresholds.

    Raises:
        policies.PolicyMissing; ValueError: the row is wrong.
    """
    policy = policies.current(KIND)
    return policy, parse(policy.values)
