"""Every role's pages, found by following links: nothing broken, nothing too wide, axe at zero (goals 1, 2, 4, 14)."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration import demo
from tests.journeys import crawler
from tests.journeys.clerk import SOIL, SUNLIGHT, Clerk
from tests.journeys.person import NARROW, NORMAL, PLAIN, Mode, Person

pytestmark = pytest.mark.journey
ROOT = Path(__file__).resolve().parents[2]
#: role → login of somebody who holds it; None for who has not signed in.
ROLES = {
    "visitor": "",
    "applicant": "applicant",
    "agency": SUNLIGHT.login,
    "window": "window",
    "approver": "approver4",
    "supervisor": "supervisor",
    "operator": "operator",
    "auditor": "auditor",
    "authority": "authority",
    "expert": "expert2",
    "review body": demo.reviewing.LEAD,
}
#: Language and type size for each role, so that every pair of role × language, role × size and language × size
#: is seen on every push; all of them together nightly.
PAIRS = {
    "visitor": "lang=en&font=care",
    "applicant": "lang=zh&font=care",
    "agency": "lang=en&font=normal",
    "window": "lang=en&font=care",
    "approver": "lang=zh&font=care",
    "supervisor": "lang=en&font=care",
    "operator": "lang=en&font=normal",
    "auditor": "lang=zh&font=care",
    "authority": "lang=en&font=normal",
    "expert": "lang=en&font=care",
    "review body": "lang=en&font=care",
}


@pytest.fixture(scope="module")
def _lived_in(base: str) -> Iterator[None]:
    """A portal in which something has happened: every state of a commission, a decision that lost its ground."""
    clerk = Clerk(base)
    code = clerk.project("云麓新苑")
    clerk.offered(code, SOIL)
    clerk.deliver(clerk.started(code, SUNLIGHT), SUNLIGHT, "第1版")
    returned = clerk.started(clerk.project(), SUNLIGHT)
    clerk.deliver(returned, SUNLIGHT, "第1版")
    clerk.give_back(returned)
    clerk.accepted(code, SUNLIGHT)
    finished = clerk.accepted(code, SUNLIGHT)
    matter = clerk.begun(code)
    approver = clerk.as_("approver4")
    page = approver.get(f"/matters/{matter}/evidence")
    approver.submit(page, page.form("entry", "act"))
    page = approver.get(f"/matters/{matter}/decision")
    approver.submit(page, page.form("outcome"), {"outcome": "granted", "opinion": "符合法定条件。"})
    agency = clerk.as_(SUNLIGHT.login)
    deliverable = next(a for a, _ in agency.get(f"/commissions/{finished}").links if a.startswith("/deliverables/"))
    clerk.act(SUNLIGHT.login, f"{deliverable}/withdraw", {"reason": "计算参数有误。"})
    open_one = clerk.begun(clerk.project())
    assert open_one
    clerk.matter(clerk.project())
    return


@pytest.mark.usefixtures("_lived_in")
@pytest.mark.parametrize("role", ROLES)
def test_every_page_of_a_role_stands(role: str, person: Callable[..., Person]) -> None:
    """Status, title, axe, width, weight, columns, buttons; a Chinese page has no English sentence left."""
    one = person(NORMAL, ROLES[role])
    seen = 0
    for address in crawler.walk(one):
        seen += 1
        left = crawler.english_sentences(crawler.words(one))
        one.faults += [f"{role} {address} is half in English: {text[:120]}" for text in left if address != "/api/docs"]
    assert seen >= 8


@pytest.mark.usefixtures("_lived_in")
@pytest.mark.parametrize("role", ROLES)
def test_larger_type_and_english_change_no_layout(role: str, person: Callable[..., Person]) -> None:
    """Goals 1, 2 and 5, pairwise."""
    one = person(NORMAL, ROLES[role])
    assert sum(1 for _ in crawler.walk(one, most=9, suffix=PAIRS[role])) >= 4


@pytest.mark.nightly
@pytest.mark.usefixtures("_lived_in")
@pytest.mark.parametrize("mode", [NORMAL, NARROW, PLAIN], ids=str)
@pytest.mark.parametrize(
    "choice", ["lang=zh&font=normal", "lang=zh&font=care", "lang=en&font=normal", "lang=en&font=care"]
)
@pytest.mark.parametrize("role", ROLES)
def test_every_page_in_every_language_and_size(
    role: str, choice: str, mode: Mode, person: Callable[..., Person]
) -> None:
    one = person(mode, ROLES[role])
    assert sum(1 for _ in crawler.walk(one, most=60, each=2, suffix=choice)) >= 8


@pytest.mark.nightly
@pytest.mark.usefixtures("_lived_in")
@pytest.mark.parametrize("role", ROLES)
def test_an_english_page_keeps_chinese_for_names_and_terms_only(role: str, person: Callable[..., Person]) -> None:
    one = person(NORMAL, ROLES[role])
    left = {
        text: address
        for address in crawler.walk(one, most=40, suffix="lang=en")
        for text in crawler.chinese_leftovers(crawler.words(one))
    }
    assert not left, "\n".join(f"{address}: {text[:160]}" for text, address in left.items())


def test_the_script_is_small() -> None:
    """At most 6 KB compressed, for the whole portal."""
    assert len(gzip.compress((ROOT / "static" / "portal.js").read_bytes(), 6)) <= 6 * 1024


def test_the_keyboard_can_skip_the_navigation(person: Callable[..., Person]) -> None:
    """Goal 3."""
    one = person()
    one.open("/services")
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    one.page.keyboard.press("Enter")
    one.page.keyboard.press("Tab")
    assert one.page.evaluate("document.getElementById('main').contains(document.activeElement)")
