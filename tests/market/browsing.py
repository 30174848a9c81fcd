"""A person with a plain browser at the application itself: reads pages, fills in forms, follows redirects."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from flask.testing import FlaskClient

from integration.visitor import Page, Visitor, _Reader


class Plain(Visitor):
    """The story's visitor over a test client instead of a socket."""

    def __init__(self, client: FlaskClient) -> None:
        super().__init__("http://localhost")
        self.client = client

    def _fetch(self, method: str, address: str, body: bytes | None, headers: dict[str, str]) -> Page:
        url = urljoin(self.base + "/", address)
        for _ in range(6):
            parts = urlsplit(url)
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            answer = self.client.open(path, method=method, data=body, headers=headers)
            text = answer.get_data(as_text=True)
            if answer.status_code in (301, 302, 303) and answer.location:
                url, method, body, headers = urljoin(url, answer.location), "GET", None, {}
                continue
            reader = _Reader()
            reader.feed(text)
            return Page(url, answer.status_code, text, reader.forms, reader.links, " ".join(reader.title.split()))
        raise AssertionError(f"{address} redirects without end")

    def confirm(self, address: str, expect: int = 200, **values: str) -> Page:
        """Open a confirm page, fill it in, press its button."""
        page = self.get(address)
        assert page.status == 200, (address, page.status, page.title)
        return self.submit(page, page.form("act"), values, expect=expect)


def each_once(client_as: Callable[[str], FlaskClient]) -> Callable[[str], Plain]:
    """People by login, each signed in once: a second factor's code is good for one sign-in."""
    known: dict[str, Plain] = {}

    def person(login: str) -> Plain:
        if login not in known:
            known[login] = Plain(client_as(login))
        return known[login]

    return person


def last(url: str) -> str:
    """The number at the end of an address."""
    return urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1]


def main(page: Page) -> str:
    """What stands on a page besides its frame and the time of printing."""
    return page.text[page.text.index("<main") : page.text.index('<p class="print-only')]
