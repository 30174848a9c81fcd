"""Promises of the page frame, the components, the stylesheet and the script that a reader can check without a browser."""

from __future__ import annotations

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

ROOT = Path(__file__).resolve().parents[2]
STYLESHEET = re.sub(r"/\*.*?\*/", "", (ROOT / "static" / "portal.css").read_text(encoding="utf-8"), flags=re.DOTALL)
SCREEN = STYLESHEET[: STYLESHEET.index("@media print")]
SCRIPT = (ROOT / "static" / "portal.js").read_text(encoding="utf-8")
TEMPLATES = ROOT / "templates" / "kernel"
LIGHTS = ("grey", "blue", "green", "amber", "red", "done", "done_late")
GROUNDS = ("page", "paper", "tint")


def rules() -> list[tuple[str, dict[str, str]]]:
    """Every rule for the screen as (selector, declarations), whatever query it stands in."""
    found = []
    for selector, body in re.findall(r"([^{};]+)\{([^{}]*)\}", SCREEN):
        declarations = dict(part.split(":", 1) for part in body.split(";") if ":" in part)
        found.append((selector.strip(), {name.strip(): value.strip() for name, value in declarations.items()}))
    return found


def declared(selector: str) -> dict[str, str]:
    """The declarations of the rules with exactly this selector; the first one outside queries wins."""
    merged: dict[str, str] = {}
    for candidate, declarations in rules():
        if candidate == selector:
            merged = declarations | merged
    return merged


def tokens(mode: str) -> dict[str, str]:
    """The custom properties of the normal page, or of 关怀版 (mode "care")."""
    values: dict[str, str] = {}
    for selector, declarations in rules():
        if selector == ":root" or (mode == "care" and selector == "html.care"):
            values |= {name[2:]: value for name, value in declarations.items() if name.startswith("--")}
    return values


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def resolved(value: str, values: dict[str, str]) -> str | None:
    named = re.fullmatch(r"var\(--([\w-]+)\)", value)
    colour = values.get(named[1]) if named else value
    return colour if colour and re.fullmatch(r"#[0-9a-f]{3}([0-9a-f]{3})?", colour) else None


@pytest.mark.parametrize("mode", ["normal", "care"])
def test_text_on_every_ground_keeps_seven_to_one(mode: str) -> None:
    values = tokens(mode)
    pairs = {(ink, ground) for ink in ("ink", "muted", "brand", "brand-deep", "bad") for ground in GROUNDS}
    pairs |= {("on-brand", "brand-deep"), ("on-brand-quiet", "brand-deep"), ("on-brand", "bad")}
    pairs |= {(ink, "off-ground") for ink in ("ink", "muted", "brand", "off")}
    poor = {pair: round(contrast(values[pair[0]], values[pair[1]]), 2) for pair in pairs}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 7} == {}


@pytest.mark.parametrize("mode", ["normal", "care"])
def test_every_rule_with_its_own_ground_keeps_seven_to_one(mode: str) -> None:
    values = tokens(mode)
    seen, poor = 0, {}
    for selector, declarations in rules():
        ink = resolved(declarations.get("color", ""), values)
        ground = resolved(declarations.get("background", ""), values)
        if ink and ground:
            seen += 1
            if contrast(ink, ground) < 7:
                poor[selector] = round(contrast(ink, ground), 2)
    assert seen > 20
    assert poor == {}


def test_edges_marks_and_the_focus_ring_keep_three_to_one() -> None:
    values = tokens("normal")
    for mark in ("edge", "green-mark", "amber-mark", "red-mark", "brand"):
        for ground in GROUNDS:
            assert contrast(values[mark], values[ground]) >= 3, (mark, ground)
    assert contrast(values["focus"], values["ink"]) >= 3
    assert contrast(values["focus"], values["brand-deep"]) >= 3


def test_care_mode_enlarges_type_and_loosens_lines() -> None:
    care = declared("html.care")
    assert care["font-size"] == "137.5%"
    values = tokens("care")
    assert float(values["lines"]) >= 1.6
    assert float(values["tight"]) >= 1.6
    for selector, declarations in rules():
        height = declarations.get("line-height", "var(--lines)")
        assert height in ("var(--lines)", "var(--tight)") or float(height) >= 1.6, selector


def test_type_is_measured_so_that_it_grows_in_care_mode() -> None:
    for selector, declarations in rules():
        assert not declarations.get("font-size", "").endswith(("px", "pt")), selector


def test_main_buttons_and_fields_are_44_pixels_and_ticks_24() -> None:
    assert tokens("normal")["control"] == "2.75rem"
    assert declared(".button")["min-height"] == "var(--control)"
    assert any(".input" in selector and parts.get("min-height") == "var(--control)" for selector, parts in rules())
    assert declared(".choice input")["width"] == declared(".choice input")["height"] == "1.5rem"


def test_tables_turn_into_cards_where_they_are_narrow_and_not_on_paper() -> None:
    assert "@container (max-width: 39.99rem)" in SCREEN
    assert "content: attr(data-label)" in SCREEN
    assert declared("th, td")["min-width"] == "4em"
    paper = STYLESHEET[len(SCREEN) :]
    assert "container-type: normal" in paper
    assert "size: A4" in paper
    assert "table-header-group" in paper


def test_nothing_is_asked_of_another_site() -> None:
    for forbidden in ("url(", "@import", "@font-face", "data:"):
        assert forbidden not in STYLESHEET
    assert not re.search(r"https?://|import\(|eval\(|innerHTML", SCRIPT)


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_templates_hold_no_inline_script_or_style(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|<style|javascript:|https?://", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_script_and_stylesheet_stay_small() -> None:
    assert len(gzip.compress(SCRIPT.encode())) <= 6 * 1024
    assert len(gzip.compress((ROOT / "static" / "portal.css").read_bytes())) <= 10 * 1024


def test_every_component_is_documented() -> None:
    text = (TEMPLATES / "macros.html").read_text(encoding="utf-8")
    public = re.findall(r"(#\}\n)?\{% macro ([a-z]\w*)\(", text)
    assert len(public) > 30
    assert [name for comment, name in public if not comment] == []


class Page(HTMLParser):
    """The elements of a page, in order, as (tag, attributes)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]


@pytest.fixture
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: text, lambda one, many, count: one if count == 1 else many, newstyle=True
    )
    made.globals.update(
        csrf_token=lambda: "token-1",
        url_for=lambda endpoint, filename: f"/{endpoint}/{filename}",
        get_flashed_messages=lambda with_categories: [("success", "已提交")],
    )
    return made


@pytest.fixture
def ui(environment: Environment) -> Any:
    return environment.get_template("kernel/macros.html").module


def context(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "portal": SimpleNamespace(name="示例门户", sponsor="示例单位"),
        "person": None,
        "navigation": [SimpleNamespace(url="/services", label="服务超市", current=True)],
        "unread": 0,
        "sandbox": None,
        "language": "zh",
        "care": False,
        "url_with": lambda **params: "/here?" + "&".join(f"{name}={value}" for name, value in params.items()),
    }
    return values | changes


def test_every_light_has_a_word_a_colour_and_a_shape_of_its_own(ui: Any) -> None:
    words = [re.sub(r"<[^>]+>", "", str(ui.light(light))) for light in LIGHTS]
    assert all(words)
    assert len(set(words)) == len(LIGHTS)
    shapes = []
    for light in LIGHTS:
        before = declared(f".light-{light}::before")
        shapes.append(before.get("clip-path") or f"{before.get('border-radius')}{before.get('border')}")
    assert len(set(shapes)) == len(LIGHTS), "two lights share a shape"


def test_error_summary_leads_to_the_field_that_says_the_same(ui: Any) -> None:
    errors = [("area", "请填写建筑面积"), ("mode", "请选择选择方式")]
    html = str(ui.error_summary(errors))
    html += str(ui.field("建筑面积", "area", error=errors[0][1], hint="单位为平方米"))
    html += str(ui.radios("选择方式", "mode", [("a", "甲"), ("b", "乙")], error=errors[1][1]))
    page = Page(html)
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    for name, message in errors:
        assert {"href": f"#{name}"} in page.all("a")
        assert name in identifiers
        assert html.count(message) == 2
    for described in page.values("aria-describedby"):
        assert set(described.split()) <= set(identifiers)


def test_what_people_type_is_escaped(ui: Any) -> None:
    attack = '"><script>x</script>'
    for html in (ui.field("甲", "a", attack), ui.textarea("甲", "a", attack), ui.summary_list([("甲", attack)])):
        assert "<script>" not in str(html)


def test_every_post_form_carries_the_token(ui: Any, environment: Environment) -> None:
    person = SimpleNamespace(name="王敏", organisation_name="某机构", role_label="中介机构")
    sandbox = SimpleNamespace(now_text="2026-03-02 09:00")
    frame = environment.get_template("kernel/layout.html").render(context(person=person, sandbox=sandbox))
    confirmed = str(ui.confirm("开始受理服务", [("委托", "WT-1")], "点击后开始计时。", "开始受理服务", "/back"))
    for html in (frame, confirmed, str(ui.post_button("/act", "撤回"))):
        posts = re.findall(r'<form[^>]*method="post".*?</form>', html, flags=re.DOTALL)
        assert posts
        assert all('name="csrf_token" value="token-1"' in form for form in posts)
    assert "P1D" in frame
    assert "P7D" in frame
    assert "演示环境 · 法定时间 2026-03-02 09:00" in frame


def test_confirm_button_names_the_act(ui: Any) -> None:
    html = str(ui.confirm("开始受理服务", [], "点击后开始计时。", "开始受理服务", "/back"))
    assert re.search(r"<button[^>]*>开始受理服务</button>", html)


def test_table_cells_carry_the_heading_they_show_as_cards(ui: Any) -> None:
    html = str(ui.data_table("清单", ["名称", {"label": "金额", "kind": "number"}], [["甲", "1.00"], ["乙", None]]))
    page = Page(html)
    assert [cell.get("data-label") for cell in page.all("td")] == ["名称", "金额"] * 2
    assert all(cell.get("scope") == "col" for cell in page.all("th"))


def test_reading_of_a_clock_says_days_left_overdue_or_not_started(ui: Any) -> None:
    reading = {"light": "green", "due_text": "2026-03-16", "left": 4, "used": 6, "limit": 10}
    assert "剩余 4 个工作日" in str(ui.clock_box(reading))
    assert "已逾期 3 个工作日" in str(ui.clock_box(reading | {"light": "red", "left": -3, "used": 13}))
    assert "尚未开始计时" in str(ui.clock_box(reading | {"light": "grey", "left": None, "used": None}))
    explained = reading | {"why_days": [{"on": "2026-03-07", "counted": False, "why": "周末"}]}
    html = str(ui.clock_box(explained))
    assert "<details>" in html
    assert "周末" in html


def test_frame_speaks_the_language_and_mode_asked_for(environment: Environment) -> None:
    layout = environment.get_template("kernel/layout.html")
    chinese = Page(layout.render(context()))
    assert chinese.all("html") == [{"lang": "zh-CN"}]
    assert "/here?lang=en" in chinese.values("href")
    assert "/here?font=care" in chinese.values("href")
    english = Page(layout.render(context(language="en", care=True)))
    assert english.all("html") == [{"lang": "en", "class": "care"}]
    assert "/here?lang=zh" in english.values("href")
    assert "/here?font=normal" in english.values("href")


def test_title_of_a_form_with_errors_starts_with_the_word_error(environment: Environment) -> None:
    layout = environment.get_template("kernel/layout.html")
    assert "<title>示例门户</title>" in layout.render(context())
    assert "<title>错误：示例门户</title>" in layout.render(context(form_errors=[("a", "请填写")]))


def test_frame_has_a_skip_link_one_main_and_says_who_runs_it(environment: Environment) -> None:
    html = environment.get_template("kernel/layout.html").render(context())
    page = Page(html)
    assert next(link for link in page.all("a"))["href"] == "#main"
    assert [main["id"] for main in page.all("main")] == ["main"]
    assert "主办单位：示例单位" in html
    assert {"/accessibility", "/guide", "/api/docs"} <= set(page.values("href"))


@pytest.mark.parametrize("status", [403, 404, 409, 422, 500, 503])
def test_error_page_tells_what_happened_what_stayed_and_where_to_go(environment: Environment, status: int) -> None:
    html = environment.get_template("kernel/error.html").render(
        context(status=status, message="发生了某事", reference="E-7F3A", kept="键入的文字")
    )
    assert "发生了某事" in html
    assert "均已保存" in html
    assert "E-7F3A" in html
    assert "键入的文字" in html
    assert 'href="/"' in html
    assert html.count("<h1>") == 1
