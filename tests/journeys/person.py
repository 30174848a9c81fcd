"""A person at a real browser: presses and fills in what is visible, by its words; every page that shows is checked.

What a check finds is kept in :attr:`Person.faults`; the fixture that made the person fails the test with all of it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, ElementHandle, Locator, Page, Request, Response

VENDOR = Path(__file__).parent / "vendor"
STATIC = Path(__file__).resolve().parents[2] / "static"
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
WIDTHS = (320, 390, 1280)
#: Bytes of a page's HTML, CSS and JavaScript together, compressed (goal 4).
PAGE_WEIGHT = 40 * 1024
_AXE = (VENDOR / "axe.min.js").read_text(encoding="utf-8")
_RUN_AXE = """async (tags) => {
  const found = await axe.run(document, {resultTypes: ["violations"], runOnly: {type: "tag", values: tags}});
  return found.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ") + " | " + n.html.slice(0, 160)).join("  ;  "));
}"""
_SHAPE = """() => document.documentElement.lang + document.documentElement.className + [...new Set([...document.querySelectorAll("body *")].map(e => e.tagName + "." + e.className))].sort().join()"""
_OVERFLOW = """() => {
  const wide = document.documentElement.scrollWidth, width = innerWidth;
  if (wide <= width) return "";
  const worst = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > width + 1);
  return `${wide} > ${width}: ` + worst.slice(-3).map(e => e.outerHTML.slice(0, 120)).join(" ; ");
}"""
_SETTLED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"
#: Chromium stops restyling what is in a size container within another one when the window has become wider, until
#: something else moves; a ruler that widens the window three times must not be what hides the focus.
_RELAY = """() => {
  document.body.style.zoom = "1.01"; document.body.offsetWidth; document.body.style.zoom = ""; document.body.offsetWidth;
}"""
_FOCUS_SEEN = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const marked = s => (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none";
  const box = e.getBoundingClientRect();
  const sibling = e.nextElementSibling;
  return (marked(style) || (sibling && marked(getComputedStyle(sibling)))) && box.bottom > 0 && box.top < innerHeight;
}"""
#: Shapes of pages in which axe and the ruler have found nothing; the same shape again would tell nothing new.
_clean: set[tuple[Any, ...]] = set()


@dataclass(frozen=True)
class Mode:
    """A way of using the portal: with or without JavaScript, at which width, by pointer or keyboard alone."""

    name: str
    javascript: bool = True
    width: int = 1280
    keyboard: bool = False

    def __str__(self) -> str:
        return self.name


NORMAL = Mode("normal")
PLAIN = Mode("without-javascript", javascript=False)
NARROW = Mode("390px", width=390)
KEYBOARD = Mode("keyboard", keyboard=True)
MODES = (NORMAL, PLAIN, NARROW)
MODES_AND_KEYBOARD = (*MODES, KEYBOARD)


@dataclass
class Effort:
    """What a piece of work cost a person."""

    clicks: int = 0
    fields: int = 0


@dataclass
class Person:
    """One browser context with its own cookies. Make it with the fixture ``person``."""

    browser: Browser
    base: str
    mode: Mode
    faults: list[str] = field(default_factory=list)
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self) -> None:
        self._context = self.browser.new_context(
            java_script_enabled=self.mode.javascript,
            viewport={"width": self.mode.width, "height": 900},
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
        )
        self._context.set_default_timeout(15_000)
        self._shown: list[Response] = []
        self.login = "visitor"
        self.page: Page = self._context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"{self.page.url} script error: {error}"))
        self.page.on("request", self._requested)
        self.page.on("response", self._answered)

    def leave(self) -> None:
        self._context.close()

    # Going about

    def open(self, address: str, *, status: int = 200) -> None:
        """Type an address."""
        url = address if address.startswith("http") else self.base + address
        self._shown.clear()
        self.page.goto(url)
        self._arrived(status)

    def press(self, target: str | Locator, *, status: int = 200, times: int = 1) -> None:
        """Press a link or button by its words (or a locator); the page it leads to is checked.

        ``times=2`` is a double click.
        """
        place = self.find(target) if isinstance(target, str) else target
        self._unfold(place)
        self.effort.clicks += 1
        self._shown.clear()
        if self.mode.keyboard:
            self.reach(place)
            with self.page.expect_navigation():
                for _ in range(times):
                    self.page.keyboard.press("Enter")
        else:
            with self.page.expect_navigation():
                place.click(click_count=times)
        self.page.wait_for_load_state()
        self._arrived(status)

    def back(self) -> None:
        self._shown.clear()
        self.page.go_back()
        self._arrived(None)

    def refresh(self) -> None:
        self._shown.clear()
        self.page.reload()
        self._arrived(200)

    def sign_in(self, login: str) -> None:
        """By the sandbox's button for this account, from the sign-in page that is open or else opened now."""
        if urlsplit(self.page.url).path != "/sign-in":
            self.open("/sign-in")
        self.press(
            self.page.locator("form", has=self.page.locator(f"input[name=demo][value='{login}']")).locator("button")
        )
        self.login = login

    # Filling in

    def write(self, name: str, text: str) -> None:
        """Type into the field of this name, replacing what stands there."""
        place = self.page.locator(f"main [name='{name}']").first
        self._unfold(place)
        self.effort.fields += 1
        if self.mode.keyboard:
            self.reach(place)
            self.page.keyboard.press("ControlOrMeta+A")
            self.page.keyboard.insert_text(text)
        else:
            place.fill(text)

    def tick(self, place: Locator) -> None:
        """Tick a box or choose a radio button."""
        self._unfold(place)
        self.effort.fields += 1
        if not self.mode.keyboard:
            place.check()
        elif place.get_attribute("type") == "radio":
            group = self.page.locator(f"[name='{place.get_attribute('name')}']")
            chosen = self.page.locator(f"[name='{place.get_attribute('name')}']:checked")
            self.reach(chosen.first if chosen.count() else group.first)
            self.page.keyboard.press("Space")
            for _ in range(group.count()):
                if place.is_checked():
                    break
                self.page.keyboard.press("ArrowDown")
        elif not place.is_checked():
            self.reach(place)
            self.page.keyboard.press("Space")
        assert place.is_checked()

    def attach(self, name: str, files: Sequence[tuple[str, bytes]]) -> None:
        """Choose files from this computer for the field of this name."""
        place = self.page.locator(f"input[type=file][name='{name}']")
        self.effort.fields += 1
        if self.mode.keyboard:
            self.reach(place)
        place.set_input_files(
            [{"name": n, "mimeType": "application/octet-stream", "buffer": content} for n, content in files]
        )

    # Looking

    def find(self, words: str) -> Locator:
        """The first link or button with these words, those in the page's own content before the frame's."""
        main = self.page.locator("main")
        for scope in (main, self.page.locator("body")):
            for exact in (True, False):
                for role in ("button", "link"):
                    found = scope.get_by_role(role, name=words, exact=exact, include_hidden=True)  # type: ignore[arg-type]
                    if found.count():
                        return found.first
        raise AssertionError(f"{self.page.url} has no link or button “{words}”")

    def offers(self, words: str) -> bool:
        """Whether a link or button of the page's content has these words."""
        main = self.page.locator("main")
        return any(main.get_by_role(role, name=words, include_hidden=True).count() for role in ("button", "link"))  # type: ignore[arg-type]

    @property
    def text(self) -> str:
        """What the page says, folded parts included."""
        return " ".join((self.page.locator("main").text_content() or "").split())

    @property
    def heading(self) -> str:
        return self.page.locator("h1").first.inner_text()

    @property
    def path(self) -> str:
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @contextmanager
    def counting(self) -> Iterator[Effort]:
        """What the work inside the block costs."""
        self.effort = Effort()
        yield self.effort

    def reach(self, place: Locator) -> None:
        """Go to an element with the Tab key alone; the focus is seen at the end and never stands still."""
        target = place.element_handle()
        stood: ElementHandle | None = None
        for _ in range(400):
            if self.page.evaluate("e => document.activeElement === e", target):
                if not self.page.evaluate(_FOCUS_SEEN):
                    self.faults.append(f"{self.path} focus not seen on {place.evaluate('e => e.outerHTML')[:160]}")
                return
            self.page.keyboard.press("Tab")
            now = self.page.evaluate_handle("document.activeElement").as_element()
            if (
                stood is not None
                and now is not None
                and self.page.evaluate("([a, b]) => a === b && a !== document.body", [stood, now])
            ):
                raise AssertionError(f"{self.path} traps the keyboard at {now.evaluate('e => e.outerHTML')[:160]}")
            stood = now
        raise AssertionError(f"{self.path} can't be reached by keyboard: {place}")

    def _unfold(self, place: Locator) -> None:
        """Open the folded parts around an element, as a person must on a narrow screen."""
        for _ in range(3):
            if place.is_visible():
                return
            fold = place.locator("xpath=ancestor::details[not(@open)]").first
            if not fold.count():
                return
            fold.locator("summary").first.click()

    # Checks

    def _arrived(self, status: int | None) -> None:
        shown = self._shown[-1] if self._shown else None
        if status is not None and (shown is None or shown.status != status):
            errors = self.page.locator(".error-summary, h1").all_inner_texts()
            raise AssertionError(
                f"{self.page.url} answered {shown.status if shown else 'nothing'}, not {status}: {errors}"
            )
        self.check(shown)

    def check(self, shown: Response | None = None) -> None:
        """Title, width at 320, 390 and 1280, axe, weight; faults are kept."""
        where = f"{self.login} {self.path} [{self.mode}]"
        if not self.page.title().strip():
            self.faults.append(f"{where} has no title")
        if shown is not None:
            weight = page_weight(shown.body())
            if weight > PAGE_WEIGHT:
                self.faults.append(f"{where} weighs {weight} bytes")
        shape = (
            re.sub(r"[0-9]+", "0", urlsplit(self.page.url).path),
            self.mode.javascript,
            self.mode.width,
            self.page.evaluate(_SHAPE),
        )
        if shape in _clean:
            return
        found = [*self._overflow(), *self._axe()]
        self.faults += [f"{where} {fault}" for fault in found]
        if not found:
            _clean.add(shape)

    def _overflow(self) -> list[str]:
        found = []
        # Who reads on a narrow screen never has a wide one; the others see every width, their own last.
        for width in (*(w for w in WIDTHS if w < self.mode.width), self.mode.width):
            self.page.set_viewport_size({"width": width, "height": 900})
            if self.mode.javascript:
                self.page.evaluate(_SETTLED)  # the script folds and unfolds parts by width
            told = self.page.evaluate(_OVERFLOW)
            if told:
                found.append(f"overflows at {width}: {told}")
        self.page.evaluate(_RELAY)
        return found

    def _axe(self) -> list[str]:
        if not self.mode.javascript:
            return []
        self.page.evaluate(_AXE)
        return [f"axe {told}" for told in self.page.evaluate(_RUN_AXE, list(AXE_TAGS))]

    def _console(self, message: ConsoleMessage) -> None:
        # The status of a page is checked by itself; everything else on the console is a fault, refusals by the
        # content security policy included.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"{self.page.url} console: {message.text}")

    def _requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self.faults.append(f"{self.page.url} asks {request.url}")

    def _answered(self, response: Response) -> None:
        if response.request.is_navigation_request():
            if response.status not in (301, 302, 303, 307, 308):
                self._shown.append(response)
        elif response.status >= 400:
            self.faults.append(f"{self.page.url} needs {response.url}, which answered {response.status}")


def page_weight(html: bytes) -> int:
    """Compressed bytes of a page with the style sheet and the script that every page names."""
    static = (STATIC / "portal.css").read_bytes(), (STATIC / "portal.js").read_bytes()
    return sum(len(gzip.compress(part, 6)) for part in (html, *static))
