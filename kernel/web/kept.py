"""Parts of pages kept ready in each process, under a key that names all they depend on.

Whoever keeps a part answers for its key: what is not in it must not be in the part. A form, a token or a
person's name never is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from flask import current_app
from markupsafe import Markup


def fragment(template: str, **values: object) -> Markup:
    """Part of a page by a template of its own, without what every whole page is given (person, token, messages)."""
    html = current_app.jinja_env.get_template(template).render(values)
    return Markup(html)  # noqa: S704  the template escapes by itself


class Kept:
    """The ``most`` parts asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: OrderedDict[Hashable, Markup] = OrderedDict()
        self._lock = threading.Lock()

    def part(self, key: Hashable, render: Callable[[], Markup]) -> Markup:
        """The part of ``key``, rendered now if it is not kept."""
        with self._lock:
            known = self._parts.get(key)
            if known is not None:
                self._parts.move_to_end(key)
                return known
        made = render()
        with self._lock:
            self._parts[key] = made
            while len(self._parts) > self._most:
                self._parts.popitem(last=False)
        return made

    def clear(self) -> None:
        with self._lock:
            self._parts.clear()
