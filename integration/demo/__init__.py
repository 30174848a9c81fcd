"""The demo city 示例市: people, agencies, a shelf with prices, projects, work under way; and seeded mass data for measuring."""

from __future__ import annotations

from integration.demo import bulk, city, reviewing
from integration.demo.city import START, City

__all__ = ["START", "City", "bulk", "city", "load", "reviewing"]


def load() -> City | None:
    """Load the demo, in the caller's transaction; None when it is there already."""
    town = city.load()
    if town is not None:
        reviewing.load(town)
    return town
