"""The demo city 示例市: people, agencies, a shelf with prices, projects; and seeded mass data for measuring."""

from integration.demo import bulk, city
from integration.demo.city import START, City, load

__all__ = ["START", "City", "bulk", "city", "load"]
