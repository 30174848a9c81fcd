"""A bid sealed in a real browser is the bid that Python opens, and nothing readable leaves the page (trust G1)."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template_string, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from kernel import money, sealing
from kernel.errors import Invalid
from kernel.sealing import BidContent, BidFile, Reason, SealedBid, SealedBy
from kernel.web import gate
from tests import age_program

ROOT = Path(__file__).resolve().parents[2]
CALL = "ZB-2026-000012"
BIDDER = "91350100M000100Y43"
KEYS = {name: sealing.fresh_identity() for name in ("buyer", "platform", "supervisor")}
RECIPIENTS = {name: sealing.recipient_of(key) for name, key in KEYS.items()}
LONG_TERM = sealing.fresh_identity()
SPARE = sealing.fresh_identity()
STORED = base64.b64encode(sealing.protect(KEYS["buyer"], CALL, sealing.recipient_of(LONG_TERM))).decode()
OF_OTHER_CALL = base64.b64encode(
    sealing.protect(KEYS["buyer"], "ZB-2026-000099", sealing.recipient_of(LONG_TERM))
).decode()
#: Everything that a person types and nobody else may see.
STATEMENT = "机密方案\n“引号” \u2028 😀 \\ end"

BID = """<!doctype html><html lang="zh-CN"><title>报价</title><link rel="icon" href="/static/icon.svg">
<form method="post" action="/bids" enctype="multipart/form-data" data-sealing data-call="{{ call }}"
  data-organisation="{{ bidder }}" data-recipients='{{ recipients|tojson }}' data-size-classes="{{ classes }}"
  data-message-price="价格无法识别" data-message-working-days="天数无法识别" data-message-statement="太长"
  data-message-files="文件太多" data-message-large="总量太大" data-message-failed="封装没有完成">
<p role="alert" data-sealing-alert></p>
<p data-sealing-server>服务器封装</p><p data-sealing-browser hidden>浏览器封装</p>
<input type="hidden" name="csrf_token" value="t">
<div data-sealing-plain>
<div class="field"><label>报价<input name="price" id="price"></label></div>
<label>工作日<input name="working_days"></label>
<label>说明<textarea name="statement"></textarea></label>
<label>附件<input type="file" name="files" multiple></label>
<label>后加<input name="added_later"></label>
<label>封装文件<input type="file" name="sealed"></label>
<label><input type="checkbox" name="agreed" value="1" data-sealing-open>同意</label>
<button>封装</button>
</div>
{% if confirm %}<div data-sealing-done hidden>
<p data-sealing-show="price"></p><p data-sealing-show="statement"></p><p data-sealing-show="sha256"></p>
<a data-sealing-key>保存密钥</a><button type="button" data-sealing-back>返回修改</button><button>提交</button></div>
{% endif %}
</form><script type="module" src="/static/sealing.js"></script></html>"""

CUSTODY = """<!doctype html><html lang="zh-CN"><title>保管</title><link rel="icon" href="/static/icon.svg">
<form method="post" action="/custody" data-custody="{{ act }}" data-name="buyer" data-call="{{ call }}"
  data-recipients='{{ own|tojson }}' data-recipient="{{ recipient }}" data-protected="{{ stored }}"
  data-message-unreadable="不是密钥" data-message-not-yours="不是您的" data-message-other-call="其他公告">
<p role="alert" data-custody-alert hidden></p>
{% if act == "identity" %}<input name="recipient"><button type="button" hidden data-custody-make>生成</button>
<a hidden data-custody-key>保存</a>{% endif %}
{% if act == "call" %}<input name="recipient"><textarea name="protected"></textarea>{% endif %}
{% if act == "open" %}<label>长期密钥<textarea name="by_mistake" data-custody-identity></textarea></label>
<label>密钥文件<input type="file" data-custody-identity></label><input name="key">{% endif %}
<button>办理</button></form><script type="module" src="/static/custody.js"></script></html>"""


class Desk:
    """A small portal that shows the forms under the portal's own content policy and keeps what was sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.forms: list[dict[str, str]] = []
        self.files: list[dict[str, tuple[str, bytes]]] = []
        self.stored = STORED
        app = Flask(__name__, static_folder=str(ROOT / "static"))

        @app.after_request
        def policy(answer: Any) -> Any:
            answer.headers["Content-Security-Policy"] = gate._POLICY
            return answer

        @app.get("/bids")
        def bid_page() -> str:
            return render_template_string(
                BID,
                call=CALL,
                bidder=BIDDER,
                recipients=RECIPIENTS if "broken" not in request.args else {"buyer": "age1x"},
                classes=request.args.get("classes", ",".join(map(str, sealing.CLASSES))),
                confirm="direct" not in request.args,
            )

        @app.get("/custody/<act>")
        def custody_page(act: str) -> str:
            own = [sealing.recipient_of(LONG_TERM), sealing.recipient_of(SPARE)]
            return render_template_string(
                CUSTODY, act=act, call=CALL, own=own, recipient=RECIPIENTS["buyer"], stored=self.stored
            )

        @app.post("/bids")
        @app.post("/custody")
        def receive() -> str:
            self.bodies.append(request.get_data(cache=True, parse_form_data=False))
            self.forms.append(request.form.to_dict())
            self.files.append({name: (one.filename or "", one.read()) for name, one in request.files.items()})
            return "<!doctype html><title>收到</title><link rel=icon href=/static/icon.svg>收到"

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    running = Desk()
    yield running
    running.close()


@pytest.fixture(scope="module")
def library() -> Iterator[Desk]:
    running = Desk()
    yield running
    running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN")
    one = context.new_page()
    faults: list[str] = []
    one.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    one.on("pageerror", lambda error: faults.append(str(error)))
    one.faults = faults  # type: ignore[attr-defined]
    yield one
    context.close()


@pytest.fixture(scope="module")
def script(browser: Browser, library: Desk) -> Iterator[Callable[[str, Any], Any]]:
    """Calls a function of ``static/sealing.js`` in the browser; what it refuses is answered as ``"refused"``."""
    context = browser.new_context()
    one = context.new_page()
    one.goto(f"{library.base}/bids")

    def call(expression: str, argument: Any) -> Any:
        return one.evaluate(
            f"""async (argument) => {{
                const sealing = await import("/static/sealing.js");
                try {{ return ({expression})(argument, sealing); }}
                catch (error) {{ if (error instanceof sealing.Unfit) return "refused"; throw error; }}
            }}""",
            argument,
        )

    yield call
    context.close()


def fill(page: Page) -> None:
    page.get_by_label("报价").fill("１２３，４５６．００")
    page.get_by_label("工作日").fill("12")
    page.get_by_label("说明").fill(STATEMENT)
    page.get_by_label("后加").fill("PLANTED-LATER")
    page.get_by_label("附件").set_input_files(
        {"name": "方案.pdf", "mimeType": "application/pdf", "buffer": b"%PDF secret"}
    )
    page.get_by_label("同意").check()


def received(desk: Desk) -> SealedBid:
    name, raw = desk.files[-1]["sealed"]
    assert name.endswith(".sealed.json")
    one, sealed_by = sealing.read_sealed(raw, CALL)
    assert sealed_by is SealedBy.BROWSER
    sealing.check_form(one.ciphertext, one.wraps, RECIPIENTS)
    return one


def test_bid_sealed_in_the_browser_opens_in_python_and_nothing_readable_was_sent(
    desk: Desk, page: Page, tmp_path: Path
) -> None:
    page.goto(f"{desk.base}/bids")
    expect(page.get_by_text("浏览器封装")).to_be_visible()
    expect(page.get_by_text("服务器封装")).to_be_hidden()
    fill(page)
    page.get_by_role("button", name="封装", exact=True).click()
    expect(page.locator("[data-sealing-show=price]")).to_have_text("123456.00")
    assert desk.bodies == []
    with page.expect_download() as saved:
        page.get_by_text("保存密钥").click()
    kept = Path(saved.value.path()).read_text(encoding="utf-8")
    page.get_by_role("button", name="提交").click()
    page.wait_for_url("**/bids")
    expect(page).to_have_title("收到")

    assert desk.forms == [{"csrf_token": "t", "agreed": "1"}]
    assert list(desk.files[0]) == ["sealed"]
    for planted in (
        "123456",
        "12345600",
        "１２３",
        "机密方案",
        "方案.pdf",
        "secret",
        "PLANTED-LATER",
        "AGE-SECRET-KEY",
    ):
        assert planted.encode() not in desk.bodies[0]
    assert base64.b64encode("机密方案".encode())[:-4] not in desk.bodies[0]
    one = received(desk)
    for lost in KEYS:
        content = sealing.open_bid(one, CALL, {n: key for n, key in KEYS.items() if n != lost}, bidder=BIDDER)
        assert (content.price, content.working_days, content.statement) == (12_345_600, 12, STATEMENT)
        assert content.files == (BidFile("方案.pdf", b"%PDF secret"),)
        assert content.sealed_by is SealedBy.BROWSER
    assert saved.value.suggested_filename == f"{CALL}-{one.sha256[:12]}.key.txt"
    assert kept == sealing.key_text(sealing.parse_identity(kept), CALL, one.sha256)
    opened = age_program.decrypt(one.ciphertext, sealing.parse_identity(kept), tmp_path)
    assert BidContent.read(opened.partition(b"\n")[2].rstrip(b" ")) == content
    assert page.faults == []  # type: ignore[attr-defined]


def test_bundle_of_a_browsers_bid_opens_with_the_age_program(desk: Desk, page: Page, tmp_path: Path) -> None:
    page.goto(f"{desk.base}/bids?direct")
    fill(page)
    with page.expect_download():
        page.get_by_role("button", name="封装", exact=True).click()
    expect(page).to_have_title("收到")
    one = received(desk)
    inner = age_program.decrypt(one.wraps["buyer+platform"], KEYS["buyer"], tmp_path)
    key = age_program.decrypt(inner, KEYS["platform"], tmp_path).decode()
    assert b"123" not in one.ciphertext[:168]
    assert b'"price":12345600' in age_program.decrypt(one.ciphertext, key, tmp_path)
    other = {name: sealing.fresh_identity() for name in KEYS}
    with pytest.raises(sealing.Unopenable) as told:
        sealing.open_bid(one, "ZB-2026-000099", other)
    assert told.value.reason is Reason.WRAP


def test_bid_is_sealed_on_a_page_without_the_browsers_own_key_functions(desk: Desk, page: Page) -> None:
    """Browsers keep them from pages without HTTPS, as on an office network."""
    page.add_init_script("Object.defineProperty(Crypto.prototype, 'subtle', { value: undefined })")
    page.goto(f"{desk.base}/bids")
    assert page.evaluate("crypto.subtle === undefined")
    fill(page)
    page.get_by_role("button", name="封装", exact=True).click()
    page.get_by_role("button", name="提交").click()
    expect(page).to_have_title("收到")
    assert sealing.open_bid(received(desk), CALL, KEYS).price == 12_345_600


def test_bidder_goes_back_mends_and_seals_anew(desk: Desk, page: Page) -> None:
    page.goto(f"{desk.base}/bids")
    fill(page)
    page.get_by_role("button", name="封装", exact=True).click()
    first = page.locator("[data-sealing-show=sha256]").text_content()
    page.get_by_role("button", name="返回修改").click()
    page.get_by_label("报价").fill("99.5")
    page.get_by_role("button", name="封装", exact=True).click()
    expect(page.locator("[data-sealing-show=price]")).to_have_text("99.50")
    page.get_by_role("button", name="提交").click()
    expect(page).to_have_title("收到")
    one = received(desk)
    assert one.sha256 != first
    assert sealing.open_bid(one, CALL, KEYS).price == 9950


@pytest.mark.parametrize(
    ("label", "text", "message"),
    [("报价", "1.234", "价格无法识别"), ("报价", "", "价格无法识别"), ("工作日", "0", "天数无法识别")],
)
def test_what_cannot_be_read_is_said_at_its_field_and_nothing_is_sent(
    desk: Desk, page: Page, label: str, text: str, message: str
) -> None:
    page.goto(f"{desk.base}/bids")
    fill(page)
    page.get_by_label(label).fill(text)
    page.get_by_role("button", name="封装", exact=True).click()
    expect(page.get_by_text(message)).to_be_visible()
    expect(page.get_by_label(label)).to_be_focused()
    expect(page.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    page.get_by_label(label).fill("7")
    page.get_by_role("button", name="封装", exact=True).click()
    expect(page.get_by_role("button", name="提交")).to_be_visible()
    expect(page.get_by_text(message)).to_have_count(0)
    assert desk.bodies == []


@pytest.mark.parametrize(("query", "message"), [("classes=4096", "总量太大"), ("broken", "封装没有完成")])
def test_what_cannot_be_sealed_is_not_sent_in_the_clear(desk: Desk, page: Page, query: str, message: str) -> None:
    page.goto(f"{desk.base}/bids?{query}")
    fill(page)
    page.get_by_label("附件").set_input_files({"name": "a", "mimeType": "x/y", "buffer": bytes(4096)})
    page.get_by_role("button", name="封装", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(message)
    assert desk.bodies == []
    assert page.get_by_label("报价").is_enabled()


def test_file_sealed_offline_is_handed_in_without_the_fields_beside_it(desk: Desk, page: Page) -> None:
    offline = sealing.seal(b"x", CALL, RECIPIENTS)
    raw = sealing.write_sealed(offline, CALL, SealedBy.OFFLINE)
    page.goto(f"{desk.base}/bids")
    fill(page)
    page.get_by_label("封装文件").set_input_files(
        {"name": "x.sealed.json", "mimeType": "application/json", "buffer": raw}
    )
    page.get_by_role("button", name="封装", exact=True).click()
    expect(page).to_have_title("收到")
    assert desk.forms == [{"csrf_token": "t", "agreed": "1"}]
    assert desk.files == [{"sealed": ("x.sealed.json", raw)}]


def test_without_scripts_the_form_says_that_the_server_seals_and_sends_the_fields(desk: Desk, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{desk.base}/bids")
    assert page.get_by_text("服务器封装").is_visible()
    assert page.get_by_text("浏览器封装").is_hidden()
    page.get_by_label("报价").fill("1")
    page.get_by_role("button", name="封装", exact=True).click()
    assert desk.forms[0]["price"] == "1"
    assert desk.files[0].get("sealed", ("", b""))[0] == ""
    context.close()


ODD = st.text(
    st.one_of(
        st.characters(exclude_categories=("Cs",)), st.sampled_from('"\\/\u2028\u2029\ufeff\x00\x01\x1f\x7f\r\n\t😀')
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    statement=ODD, name=ODD, content=st.binary(max_size=50), days=st.integers(1, 9999), fen=st.integers(0, money.MOST)
)
def test_browser_and_python_write_the_same_canonical_content(
    script: Callable[[str, Any], Any], statement: str, name: str, content: bytes, days: int, fen: int
) -> None:
    fields = {"price": f"{fen // 100}.{fen % 100:02d}", "working_days": str(days), "statement": statement}
    written = script(
        """({fields, name, content, ...rest}, sealing) => {
            const files = [{ name, content: new Uint8Array(content) }];
            return sealing.base64(sealing.contentOf({ ...rest, fields, files }).bytes);
        }""",
        {
            "call": CALL,
            "organisation": BIDDER,
            "nonce": "0" * 32,
            "fields": fields,
            "name": name,
            "content": list(content),
        },
    )
    here = BidContent(
        call=CALL,
        organisation=BIDDER,
        price=fen,
        discount=None,
        working_days=days,
        statement=sealing.plain_text(statement),
        sealed_by=SealedBy.BROWSER,
        files=(BidFile(sealing.clean_name(name), content),),
        nonce="0" * 32,
    )
    assert base64.b64decode(written) == here.as_bytes()


def test_half_a_character_is_replaced_alike(script: Callable[[str, Any], Any]) -> None:
    # Playwright can't carry half a surrogate pair: the browser makes it itself.
    assert script("(_, sealing) => sealing.plainText('a\\ud800b\\udc00')", None) == sealing.plain_text("a\ud800b\udc00")
    assert script("(_, sealing) => sealing.cleanName('a\\ud83d/')", None) == sealing.clean_name("a\ud83d/")


AMOUNT = st.one_of(
    st.from_regex(
        r"-?[¥￥]? ?[0-9０-９]{1,5}([,，][0-9]{3}){0,2}([.．][0-9]{0,4})? ?(万|亿)?(元|元整)?", fullmatch=True
    ),
    st.text("0123456789０１２.．,，-¥￥万亿元整 \u3000", max_size=16),
    st.sampled_from(["0" * 61, "10000000000000", "10000000000000.01", "9" * 30, "²", "٣", "1e3", ""]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=AMOUNT)
def test_browser_reads_amounts_as_python_does(script: Callable[[str, Any], Any], text: str) -> None:
    def read(parse: Callable[[str], int]) -> int | str:
        try:
            return parse(text)
        except Invalid:
            return "refused"

    wanted = [read(money.parse), read(sealing.parse_discount), read(sealing.parse_working_days)]
    for name, answer in zip(("parsePrice", "parseDiscount", "parseWorkingDays"), wanted, strict=True):
        assert script(f"(text, sealing) => sealing.{name}(text)", text) == answer, (name, text)


def test_browser_pads_as_python_does(script: Callable[[str, Any], Any]) -> None:
    for length in (0, 1, 4000, 4069, 4070, 4071, 65_000):
        content = b"x" * length
        written = script(
            "({length, call, classes}, sealing) => sealing.base64(sealing.pad(new Uint8Array(length).fill(120), call, classes))",
            {"length": length, "call": CALL, "classes": list(sealing.CLASSES)},
        )
        assert base64.b64decode(written) == sealing.pad(content, CALL, sealing.class_for(content, CALL))


# Custodians.


def test_custodian_makes_a_long_term_key_that_stays_with_it(desk: Desk, page: Page) -> None:
    page.goto(f"{desk.base}/custody/identity")
    page.get_by_role("button", name="生成").click()
    with page.expect_download() as saved:
        page.get_by_text("保存").click()
    page.get_by_role("button", name="办理").click()
    expect(page).to_have_title("收到")
    kept = sealing.parse_identity(Path(saved.value.path()).read_text(encoding="ascii"))
    assert desk.forms == [{"recipient": sealing.recipient_of(kept)}]


def test_custodian_makes_a_call_key_that_only_its_long_term_keys_recover(desk: Desk, page: Page) -> None:
    page.goto(f"{desk.base}/custody/call")
    page.get_by_role("button", name="办理").click()
    expect(page).to_have_title("收到")
    (form,) = desk.forms
    assert b"SECRET" not in desk.bodies[0]
    for key in (LONG_TERM, SPARE):
        recovered = sealing.recover(base64.b64decode(form["protected"]), CALL, key)
        assert sealing.check_key(recovered, form["recipient"]) == recovered
    with pytest.raises(sealing.KeyNotYours):
        sealing.recover(base64.b64decode(form["protected"]), CALL, KEYS["buyer"])


@pytest.mark.parametrize("by", ["长期密钥", "密钥文件"])
def test_custodian_hands_in_the_calls_key_and_not_its_own(desk: Desk, page: Page, by: str) -> None:
    page.goto(f"{desk.base}/custody/open")
    text = f"# public key: {sealing.recipient_of(LONG_TERM)}\n{LONG_TERM}\n"
    if by == "密钥文件":
        page.get_by_label(by).set_input_files({"name": "k.txt", "mimeType": "text/plain", "buffer": text.encode()})
    else:
        page.get_by_label(by).fill(text)
    page.get_by_role("button", name="办理").click()
    expect(page).to_have_title("收到")
    assert desk.forms == [{"key": KEYS["buyer"]}]
    assert LONG_TERM.encode() not in desk.bodies[0]


def test_custodian_hands_in_nothing_when_the_key_is_not_this_calls(desk: Desk, page: Page) -> None:
    for stored, typed, message in (
        (STORED, "x", "不是密钥"),
        (STORED, "", "不是密钥"),
        (STORED, LONG_TERM[:-1] + ("Q" if LONG_TERM[-1] != "Q" else "P"), "不是密钥"),
        (STORED, SPARE, "不是您的"),
        ("!", LONG_TERM, "不是您的"),
        (OF_OTHER_CALL, LONG_TERM, "其他公告"),
    ):
        desk.stored = stored
        page.goto(f"{desk.base}/custody/open")
        page.get_by_label("长期密钥").fill(typed)
        page.get_by_role("button", name="办理").click()
        expect(page.get_by_role("alert")).to_have_text(message)
    assert desk.bodies == []


def test_key_of_a_call_made_by_python_and_by_the_browser_have_one_form(script: Callable[[str, Any], Any]) -> None:
    made = script(
        """async (argument) => (await import("/static/custody.js")).makeCallKey(argument.call, argument.own)""",
        {"call": CALL, "own": [sealing.recipient_of(LONG_TERM)]},
    )
    text = sealing.age.decrypt(base64.b64decode(made["protected"]), LONG_TERM).decode()
    assert text == sealing.custody.identity_text(sealing.parse_identity(text), CALL)
    assert json.dumps(made["recipient"]).strip('"') in text
