"""Walks a role's pages from its navigation through links, and reads the words on them."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from integration.demo import city
from kernel.config import Config
from tests.journeys.person import Person

ROOT = Path(__file__).resolve().parents[2]
#: What is no page: files, downloads, what programs read; and the switches of the frame itself.
_NO_PAGE = re.compile(r"^/(files|static|api/v1)/|\.(csv|xlsx|pdf|json|zip|atom)$|/picture$")
_SWITCHES = {"lang", "font"}
_WORDS = """() => {
  const told = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const holder = walker.currentNode.parentElement;
    if (holder.closest("script, style, code, textarea, [hreflang], [data-written-by-people]")) continue;
    const text = walker.currentNode.textContent.replace(/\\s+/g, " ").trim();
    if (text) told.push(text);
  }
  for (const holder of document.querySelectorAll("[aria-label], [placeholder], [title], [alt]"))
    for (const name of ["aria-label", "placeholder", "title", "alt"])
      if (holder.getAttribute(name)) told.push(holder.getAttribute(name));
  told.push(document.title);
  return told;
}"""
_SMALL = """() => {
  const em = parseFloat(getComputedStyle(document.body).fontSize);
  const seen = e => e.getClientRects().length > 0 && !e.closest(".visually-hidden");
  const read = e => {
    const copy = e.cloneNode(true);
    copy.querySelectorAll(".visually-hidden").forEach(part => part.remove());
    return copy.textContent.trim();
  };
  const found = [];
  for (const cell of document.querySelectorAll("main td, main th"))
    if (seen(cell) && read(cell).length > 8 && cell.getBoundingClientRect().width < 4 * em)
      found.push("column narrower than 4em: " + read(cell).slice(0, 40));
  for (const button of document.querySelectorAll("main .button:not(.compact):not(.link)"))
    if (seen(button) && button.getBoundingClientRect().height < 43.5)
      found.push("button lower than 44px: " + button.outerHTML.slice(0, 120));
  for (const image of document.querySelectorAll("img"))
    if (seen(image) && image.naturalWidth && Math.abs(image.width / image.height - image.naturalWidth / image.naturalHeight) > 0.02)
      found.push("image out of ratio: " + image.src);
  return found;
}"""


def pattern(address: str) -> str:
    """Pages of one kind have one pattern: numbers and codes are the same, and so are all queries."""
    parts = urlsplit(address)
    is_asked = any(name not in _SWITCHES for name, _ in parse_qsl(parts.query))
    return re.sub(r"[A-Z]*-?[0-9][0-9-]*", "0", parts.path) + ("?" if is_asked else "")


def walk(person: Person, *, most: int = 25, each: int = 1, suffix: str = "") -> Iterator[str]:
    """Open up to ``most`` pages that links lead to, breadth first, at most ``each`` of a pattern; yields each path.

    ``suffix`` is put behind every address (``font=care&lang=en``).
    """
    waiting, known = deque(["/"]), {"/"}
    opened: Counter[str] = Counter()
    while waiting and sum(opened.values()) < most:
        address = waiting.popleft()
        if opened[pattern(address)] >= each:
            continue
        opened[pattern(address)] += 1
        try:
            person.open(address + (("&" if "?" in address else "?") + suffix if suffix else ""))
        except AssertionError as fault:
            person.faults.append(f"{person.login} {address}: {fault}")
            continue
        person.faults += [f"{person.login} {address} {told}" for told in person.page.evaluate(_SMALL)]
        yield address
        for link in person.page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))"):
            parts = urlsplit(link)
            if parts.scheme or link.startswith("#") or _NO_PAGE.search(parts.path):
                continue
            if _SWITCHES & {name for name, _ in parse_qsl(parts.query)}:
                continue
            target = (parts.path or urlsplit(address).path) + (f"?{parts.query}" if parts.query else "")
            if target not in known:
                known.add(target)
                waiting.append(target)


def words(person: Person) -> list[str]:
    """Every text of the page, labels for screen readers included."""
    return list(dict.fromkeys(person.page.evaluate(_WORDS)))


_SENTENCE = re.compile(r"(?:[A-Za-z][a-z'’]+[ ,;:]+){2,}[A-Za-z][a-z'’]+")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_BRACKETS = re.compile(r"[（(〔][^（()）〔〕]*[)）〕]|“[^”]*”")
_FILE = re.compile(r"[^\s（(，]+\.pdf|第[0-9]版")
_LAW = re.compile(r"《[^》]*》(第[一二三四五六七八九十百零]+条)?")


def english_sentences(texts: list[str]) -> list[str]:
    """Texts that hold three English words in a row."""
    return [text for text in texts if _SENTENCE.search(text)]


def chinese_leftovers(texts: list[str]) -> list[str]:
    """Texts that hold Chinese beyond proper names, the city's own data, laws, and terms given in brackets."""
    found = []
    for text in texts:
        bare = text
        if _HAN.search(bare):
            for name in _names():
                bare = bare.replace(name, " ")
        bare = _LAW.sub(" ", _BRACKETS.sub(" ", _FILE.sub(" ", bare)))
        if _HAN.search(bare):
            found.append(text)
    return found


@cache
def _names() -> tuple[str, ...]:
    """Everything that is data of the demo city, longest first: organisations, people, matters, materials, items."""
    # What people of the demo and of these journeys wrote and named is data too.
    told = {
        "学府花园",
        "号楼",
        "云麓新苑",
        "示例市",
        "注册工程师",
        "工程师",
        "成果符合委托要求",
        "补充附图",
        "核对规模",
    }
    told |= {"云栖里住宅小区一期", "云栖里一期", "楼及地下车库", "宏远智造产业园标准厂房", "滨江路跨清水河大桥"}
    told |= {"计算参数有误", "符合法定条件", "标准厂房施工图需联合审查，申请由主管部门委托审查机构。"}
    told |= {f"示例市示例区建设大道 {serial} 号" for serial, *_rest in city.ORGANISATIONS.values()} | {"示例市示例区"}
    told |= {Config().name, "的全部工作，含一次现场调查和送审修改。", "本机构公示收费标准"}
    for _serial, full, _kind, legal in city.ORGANISATIONS.values():
        told |= {full, legal}
    told |= {name for _login, name, _organisation, _role in city.PEOPLE}
    told |= {introduction for introduction, _held, _staff, _items in city.AGENCIES.values()}
    for folder in ("market/data", "integration/approvals/data"):
        for path in sorted((ROOT / folder).glob("*.csv")):
            with path.open(encoding="utf-8-sig", newline="") as file:
                for row in csv.reader(file):
                    for value in row:
                        told |= {value, *re.split("[|；]", value)}
    return tuple(sorted((one for one in told if len(one) > 1 and _HAN.search(one)), key=len, reverse=True))
