"""A person with a plain browser and no JavaScript: reads pages, fills in forms, follows redirects.

Used by the story, so that it goes through the same pages, tokens and refusals as everybody.
"""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import quote, urlencode, urljoin, urlsplit

#: Name → (file name, content): an upload.
Files = Mapping[str, Sequence[tuple[str, bytes]]]


class UnexpectedAnswer(Exception):
    """A page that a person would not have expected here; the text says what it showed."""


@dataclass(slots=True)
class Form:
    """A form with the values that a browser would send if nothing were touched."""

    action: str
    method: str
    values: list[tuple[str, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    options: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Page:
    """What came back: its address after redirects, status, text, forms and links."""

    url: str
    status: int
    text: str
    forms: list[Form]
    links: list[tuple[str, str]]
    title: str

    def form(self, *names: str, action: str = "") -> Form:
        """The first form that has all these fields (and whose action ends so)."""
        for one in self.forms:
            if set(names) <= one.names and one.action.endswith(action):
                return one
        raise UnexpectedAnswer(f"{self.url} has no form with {names} {action}: “{self.title}”")

    def link(self, part: str) -> str:
        """The first link whose address or text contains ``part``."""
        for address, text in self.links:
            if part in address or part in text:
                return address
        raise UnexpectedAnswer(f"{self.url} has no link “{part}”: “{self.title}”")


class Visitor:
    """One browser with its own cookies, on one portal."""

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")
        self._cookies: dict[str, str] = {}

    def get(self, address: str) -> Page:
        return self._fetch("GET", address, None, {})

    def download(self, address: str) -> bytes:
        """The bytes of a file. Raises UnexpectedAnswer when there is none."""
        parts = urlsplit(urljoin(self.base + "/", address))
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items())}
            connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), None, sent)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise UnexpectedAnswer(f"{address} answered {response.status}")
        return content

    def submit(
        self,
        page: Page,
        form: Form,
        values: Mapping[str, str | Sequence[str]] | None = None,
        files: Files | None = None,
        *,
        expect: int = 200,
    ) -> Page:
        """Send a form with some fields filled in; after a redirect the page it led to.

        Raises:
            UnexpectedAnswer: the last status is not ``expect``.
        """
        given = dict(values or {})
        sent = [(name, value) for name, value in form.values if name not in given and name not in (files or {})]
        for name, value in given.items():
            sent += [(name, value)] if isinstance(value, str) else [(name, one) for one in value]
        target = urljoin(page.url, form.action) if form.action else page.url
        if form.method == "get":
            answer = self.get(f"{target.split('?')[0]}?{urlencode(sent)}")
        else:
            body, kind = _multipart(sent, files) if files else (urlencode(sent).encode(), _FORM)
            answer = self._fetch("POST", target, body, {"Content-Type": kind})
        if answer.status != expect:
            raise UnexpectedAnswer(f"{target} answered {answer.status}: “{answer.title}” {_errors(answer.text)}")
        return answer

    def _fetch(self, method: str, address: str, body: bytes | None, headers: dict[str, str]) -> Page:
        url = urljoin(self.base + "/", address)
        for _ in range(6):
            parts = urlsplit(url)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
            path = quote(parts.path, safe="/%:@") + (f"?{quote(parts.query, safe='=&%+')}" if parts.query else "")
            sent = {"Cookie": "; ".join(f"{k}={v}" for k, v in self._cookies.items()), **headers}
            try:
                connection.request(method, path, body, sent)
                response = connection.getresponse()
                text = response.read().decode("utf-8", "replace")
            finally:
                connection.close()
            for line in response.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self._cookies[name] = morsel.value
            location = response.headers.get("Location")
            if response.status in (301, 302, 303, 307, 308) and location:
                url, method, body, headers = urljoin(url, location), "GET", None, {}
                continue
            reader = _Reader()
            reader.feed(text)
            return Page(url, response.status, text, reader.forms, reader.links, " ".join(reader.title.split()))
        raise UnexpectedAnswer(f"{address} redirects without end")


_FORM = "application/x-www-form-urlencoded"


def _multipart(values: list[tuple[str, str]], files: Files | None) -> tuple[bytes, str]:
    boundary = secrets.token_hex(16)
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n'.encode() for n, v in values]
    for name, many in (files or {}).items():
        for file_name, content in many:
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n'
            parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _errors(text: str) -> str:
    at = text.find('class="error')
    return " ".join(_Plain.of(text[at : at + 600]).split()) if at >= 0 else ""


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @classmethod
    def of(cls, text: str) -> str:
        reader = cls()
        reader.feed(text)
        return " ".join(reader.parts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.title = ""
        self._form: Form | None = None
        self._select = ""
        self._textarea: str | None = None
        self._text = ""
        self._href: str | None = None
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "title":
            self._in_title = True
        elif tag == "a" and "href" in given:
            self._href, self._text = given["href"], ""
        elif tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag == "input" and name:
            self._form.names.add(name)
            kind = given.get("type", "text")
            if kind in ("checkbox", "radio"):
                self._form.options.setdefault(name, []).append(given.get("value", "on"))
            if kind not in ("checkbox", "radio", "file", "submit") or "checked" in given:
                self._form.values.append((name, given.get("value", "")))
        elif tag == "select":
            self._select = name
            self._form.names.add(name)
        elif tag == "option" and self._select:
            self._form.options.setdefault(self._select, []).append(given.get("value", ""))
            if "selected" in given or not any(n == self._select for n, _ in self._form.values):
                self._form.values = [(n, v) for n, v in self._form.values if n != self._select]
                self._form.values.append((self._select, given.get("value", "")))
        elif tag == "textarea" and name:
            self._textarea, self._text = name, ""
            self._form.names.add(name)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == "a" and self._href is not None:
            self.links.append((self._href, " ".join(self._text.split())))
            self._href = None
        elif tag == "textarea" and self._textarea is not None and self._form is not None:
            self._form.values.append((self._textarea, self._text))
            self._textarea = None
        elif tag == "select":
            self._select = ""
        elif tag == "form":
            self._form = None

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        if self._href is not None or self._textarea is not None:
            self._text += data
