"""What is signed here holds for strangers, and stops holding with one changed byte (done when 4, A11)."""

from __future__ import annotations

import io
import itertools
import random
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
import time_machine
from apiflask import APIFlask
from asn1crypto import tsp
from cryptography import x509
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.reader import PdfFileReader

from kernel import files, seals
from kernel.seals import Appearance, LocalSeals, LocalTimeStamps, OutsideTimeStamps, PdfSeals, Signatory, checking
from kernel.seals import signing as signing_module
from kernel.web.seal_commands import seals_group
from tests.signing import make_signer, paper
from tests.signing import sign as sign_elsewhere

LEAD = Signatory("张三", "示例市图审中心有限公司", "91230199MA0000001X", "zhang.san")
SECOND = Signatory("李四", "示例市图审中心有限公司", "91230199MA0000001X", "li.si")
BODY = Signatory.of_organisation("示例市图审中心有限公司", "91230199MA0000001X")

needs_pdfsig = pytest.mark.skipif(shutil.which("pdfsig") is None, reason="pdfsig (poppler-utils) is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> LocalSeals:
    return LocalSeals(tmp_path_factory.mktemp("seals") / "keys")


@pytest.fixture(autouse=True)
def trusted(keys: LocalSeals, monkeypatch: pytest.MonkeyPatch) -> None:
    """This module's authority is the installation's."""
    monkeypatch.setattr(checking, "_checker", PdfSeals(keys.roots))
    monkeypatch.setattr(signing_module, "_provider", keys)
    monkeypatch.setattr(signing_module, "_time_stamps", LocalTimeStamps(keys))


@pytest.fixture(scope="module")
def steps(keys: LocalSeals) -> list[bytes]:
    """A paper, then with each of its three signatures: the lead's, the second signer's, the body's seal."""
    told = {"provider": keys, "timestamp": LocalTimeStamps(keys)}
    pages = [paper("review report")]
    pages.append(seals.sign(pages[-1], LEAD, reason="审查负责人签署", field_name="lead", **told))
    place = Appearance(1, 120, 600, "复核人")
    pages.append(seals.sign(pages[-1], SECOND, reason="复核签署", field_name="second", appearance=place, **told))
    place = Appearance(-1, 420, 600, "技术审查专用章")
    pages.append(seals.sign(pages[-1], BODY, reason="出具报告", field_name="body", appearance=place, **told))
    return pages


@pytest.fixture
def signed(steps: list[bytes], tmp_path: Path) -> Path:
    path = tmp_path / "signed.pdf"
    path.write_bytes(steps[-1])
    return path


def test_every_signature_is_added_behind_what_was_signed_before(steps: list[bytes]) -> None:
    for before, after in itertools.pairwise(steps):
        assert after.startswith(before)
        assert len(after) > len(before)


def test_three_signatures_hold_and_are_trusted_and_the_last_covers_the_whole(signed: Path) -> None:
    found = seals.verify(signed, "报告.pdf", wanted=3)
    assert [(one.is_intact, one.is_trusted, one.covers_whole) for one in found] == [
        (True, True, False),
        (True, True, False),
        (True, True, True),
    ]
    assert ["张三" in found[0].signer, "李四" in found[1].signer] == [True, True]
    assert "Organization: 示例市图审中心有限公司" in found[2].signer
    assert "Serial Number: 91230199MA0000001X" in found[2].signer


@needs_pdfsig
def test_an_independent_verifier_says_valid_and_no_longer_after_one_changed_byte(signed: Path) -> None:
    said = pdfsig(signed)
    assert said.count("Signature Validation: Signature is Valid.") == 3
    assert said.count("Total document signed") == 1
    assert "Signature Type: ETSI.CAdES.detached" in said
    content = bytearray(signed.read_bytes())
    content[content.index(b"/Producer") + 12] ^= 1
    signed.write_bytes(bytes(content))
    assert "Signature is Valid" not in pdfsig(signed)
    with pytest.raises(seals.SignatureBroken):
        seals.verify(signed, "报告.pdf", wanted=3)


@needs_pdfsig
@pytest.mark.skipif(shutil.which("certutil") is None, reason="certutil (libnss3-tools) is not installed")
def test_a_stranger_who_takes_the_authoritys_certificate_trusts_the_signers(
    signed: Path, keys: LocalSeals, tmp_path: Path
) -> None:
    (tmp_path / "root.pem").write_bytes(keys.certificate())
    store = tmp_path / "store"
    store.mkdir()
    run("certutil", "-N", "-d", f"sql:{store}", "--empty-password")
    run("certutil", "-A", "-d", f"sql:{store}", "-n", "root", "-t", "TC,C,T", "-i", str(tmp_path / "root.pem"))
    assert pdfsig(signed, "-nssdir", f"sql:{store}").count("Certificate is Trusted") == 3


def test_no_changed_byte_of_what_is_signed_passes(signed: Path) -> None:
    whole = signed.read_bytes()
    with signed.open("rb") as file:
        _, length, again, rest = PdfFileReader(file).embedded_signatures[-1].byte_range
    chance = random.Random(20261121)
    places = chance.sample([*range(length), *range(again, again + rest)], 24)
    for at in places:
        changed = bytearray(whole)
        changed[at] ^= 1 << chance.randrange(8)
        signed.write_bytes(bytes(changed))
        with pytest.raises((seals.SignatureBroken, seals.SignatureMissing)):
            seals.verify(signed, "报告.pdf", wanted=3)


def test_something_added_after_the_last_signature_does_not_pass(signed: Path) -> None:
    with signed.open("ab") as file:
        file.write(b"\n% one more line\n")
    with pytest.raises(seals.SignatureBroken):
        seals.verify(signed, "报告.pdf", wanted=3)


def test_a_missing_signature_is_told_with_how_many_there_are(steps: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "half.pdf"
    path.write_bytes(steps[2])
    with pytest.raises(seals.SignatureMissing) as refused:
        seals.verify(path, "报告.pdf", wanted=3)
    assert (refused.value.params["wanted"], refused.value.params["found"]) == (3, 2)


def test_a_signed_document_is_accepted_as_an_upload_and_keeps_its_signatures(signed: Path) -> None:
    assert files.inspect(signed, "报告.pdf").facts["signatures"] == 3


def test_a_stranger_s_certificate_stays_untrusted(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pdf"
    path.write_bytes(sign_elsewhere(paper(), make_signer(tmp_path)))
    (found,) = seals.check(path, "foreign.pdf")
    assert (found.is_intact, found.is_trusted) == (True, False)


def test_the_seal_is_red_round_and_where_it_was_put(steps: list[bytes]) -> None:
    before, after = (picture(content) for content in (steps[2], steps[3]))
    assert red(before, (360, 540, 480, 660)) == 0
    assert red(after, (360, 540, 480, 660)) > 500
    assert red(after, (0, 0, 300, 500)) == 0
    # A ring: its corners are empty, its middle holds the star.
    assert red(after, (361, 541, 370, 550)) == 0
    assert red(after, (414, 588, 426, 606)) > 100


def test_a_mark_that_would_leave_the_page_is_moved_onto_it() -> None:
    content = seals.sign(paper(), BODY, reason="盖章", field_name="body", appearance=Appearance(1, 5000, -40))
    with pikepdf.open(io.BytesIO(content)) as pdf:
        left, bottom, right, top = (float(edge) for edge in pdf.pages[0].Annots[0].Rect)
        _, _, width, height = (float(edge) for edge in pdf.pages[0].MediaBox)
    assert 0 <= left < right <= width + 1
    assert 0 <= bottom < top <= height + 1


def test_a_field_is_signed_once(steps: list[bytes]) -> None:
    with pytest.raises(seals.FieldTaken):
        seals.sign(steps[1], SECOND, reason="复核签署", field_name="lead")


@pytest.mark.parametrize("content", [b"", b"no pdf at all", paper()[:400]], ids=["empty", "text", "cut off"])
def test_what_is_no_whole_pdf_cannot_be_signed(content: bytes) -> None:
    with pytest.raises(seals.CannotSign):
        seals.sign(content, LEAD, reason="签署", field_name="lead")


def test_an_encrypted_pdf_cannot_be_signed() -> None:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(paper())) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner="a", user="b"))
    with pytest.raises(seals.CannotSign):
        seals.sign(out.getvalue(), LEAD, reason="签署", field_name="lead")


def test_each_signature_carries_a_time_stamp_of_real_time(steps: list[bytes]) -> None:
    assert len(stamped_at(steps[-1])) == 3
    for moment in stamped_at(steps[-1]):
        assert abs(moment - datetime.now(UTC)) < timedelta(minutes=10)


@needs_openssl
def test_an_independent_program_verifies_the_time_stamp(keys: LocalSeals, tmp_path: Path) -> None:
    import asyncio
    import hashlib

    digest = hashlib.sha256(b"a signature").digest()
    token = asyncio.run(LocalTimeStamps(keys).stamper().async_timestamp(digest, "sha256"))
    (tmp_path / "token.der").write_bytes(token.dump())
    (tmp_path / "root.pem").write_bytes(keys.certificate())
    asked = ["openssl", "ts", "-verify", "-digest", digest.hex(), "-token_in", "-in", str(tmp_path / "token.der")]
    asked += ["-CAfile", str(tmp_path / "root.pem")]
    assert "Verification: OK" in run(*asked)
    asked[4] = hashlib.sha256(b"another").hexdigest()
    assert "Verification: OK" not in run(*asked, expect=1)


def test_a_signature_stays_trusted_after_its_certificate_ended_because_it_was_stamped_before(tmp_path: Path) -> None:
    brief = LocalSeals(tmp_path / "brief", years=1)
    told = {"reason": "签署", "field_name": "lead", "provider": brief}
    stamped, foreign = tmp_path / "stamped.pdf", tmp_path / "foreign.pdf"
    stamped.write_bytes(seals.sign(paper(), LEAD, timestamp=LocalTimeStamps(brief), **told))
    elsewhere = LocalTimeStamps(LocalSeals(tmp_path / "elsewhere"))
    foreign.write_bytes(seals.sign(paper(), LEAD, timestamp=elsewhere, **told))
    judge = PdfSeals(brief.roots)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=800), tick=True):
        assert [one.is_trusted for one in judge.signatures(stamped)] == [True]
        assert [one.is_trusted for one in judge.signatures(foreign)] == [False]
        # And whoever signs then has a certificate that is good then.
        renewed = tmp_path / "renewed.pdf"
        renewed.write_bytes(seals.sign(paper(), LEAD, timestamp=LocalTimeStamps(brief), **told))
        assert [one.is_trusted for one in judge.signatures(renewed)] == [True]


def test_keys_are_readable_by_their_owner_alone(keys: LocalSeals) -> None:
    keys.signer(LEAD)
    folder = next(iter({path.parent for path in keys._folder.iterdir()}))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {path.suffix for path in folder.iterdir()} == {".pem"}


def test_two_who_are_first_at_once_make_one_authority(tmp_path: Path) -> None:
    gate = threading.Barrier(3)

    def first() -> bytes:
        seals_ = LocalSeals(tmp_path / "keys")
        gate.wait()
        return seals_.certificate()

    with ThreadPoolExecutor(3) as pool:
        made = {future.result() for future in [pool.submit(first) for _ in range(3)]}
    assert len(made) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["authority.pem"]


def test_the_certificate_names_person_organisation_and_code(keys: LocalSeals) -> None:
    long = "示例市工程建设项目施工图设计文件联合审查与技术咨询服务中心有限责任公司"
    subject = subject_of(keys, Signatory("王五", long, "91230199MA0000001X", "wang.wu"))
    assert subject == ("王五", long, "91230199MA0000001X")
    name, organisation, _ = subject_of(keys, Signatory.of_organisation(long, "91230199MA0000001X"))
    assert organisation == long
    assert long.startswith(name)
    assert len(name) > 15


def test_people_of_one_name_in_one_organisation_have_keys_of_their_own(keys: LocalSeals) -> None:
    namesake = Signatory(LEAD.name, LEAD.organisation, LEAD.credit_code, "zhang.san2")
    one, other, again = (keys.signer(who).signing_cert.serial_number for who in (LEAD, namesake, LEAD))
    assert one == again
    assert one != other


def test_keys_that_cannot_be_kept_are_told_and_nothing_is_signed(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("a file where the folder should be")
    with pytest.raises(seals.SealsUnavailable):
        seals.sign(paper(), LEAD, reason="签署", field_name="lead", provider=LocalSeals(tmp_path / "keys"))


def test_an_outside_time_stamp_service_is_told_the_digest_alone(keys: LocalSeals, service: list[bytes]) -> None:
    url = service[0].decode()
    content = seals.sign(paper("secret"), LEAD, reason="签署", field_name="lead", timestamp=OutsideTimeStamps(url))
    assert len(service) > 1
    assert all(len(asked) < 120 for asked in service[1:])
    assert len(stamped_at(content)) == 1


def test_a_silent_time_stamp_service_is_told_and_nothing_is_signed() -> None:
    with pytest.raises(seals.TimeStampsUnavailable):
        seals.sign(
            paper(), LEAD, reason="签署", field_name="lead", timestamp=OutsideTimeStamps("http://127.0.0.1:9/tsa")
        )


def test_the_operator_can_hand_out_the_root_certificate_and_check_a_file(
    app: APIFlask, keys: LocalSeals, signed: Path
) -> None:
    runner = app.test_cli_runner()
    printed = runner.invoke(seals_group, ["certificate"])
    assert printed.exit_code == 0
    assert x509.load_pem_x509_certificate(printed.output.encode()).subject == root(keys).subject
    found = runner.invoke(seals_group, ["check", str(signed)])
    assert found.exit_code == 0
    assert found.output.count("trusted") == 3
    signed.write_bytes(paper())
    assert runner.invoke(seals_group, ["check", str(signed)]).exit_code == 1


@pytest.fixture
def service(keys: LocalSeals) -> Iterator[list[bytes]]:
    """A time-stamp service on a port of its own: its address, then what it was asked."""
    asked: list[bytes] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import asyncio

            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            stamper = LocalTimeStamps(keys).stamper()
            answer = asyncio.run(stamper.async_request_tsa_response(tsp.TimeStampReq.load(asked[-1]))).dump()
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *said: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    asked.append(f"http://127.0.0.1:{server.server_port}/tsa".encode())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def stamped_at(content: bytes) -> list[datetime]:
    """What the time stamps of a document's signatures say."""
    return [
        attribute["values"][0]["content"]["encap_content_info"]["content"].parsed["gen_time"].native
        for embedded in PdfFileReader(io.BytesIO(content)).embedded_signatures
        for attribute in embedded.signer_info["unsigned_attrs"]
        if attribute["type"].native == "signature_time_stamp_token"
    ]


def pdfsig(path: Path, *options: str) -> str:
    return re.sub(r"\s+", " ", run("pdfsig", *options, str(path), expect=None))


def run(*command: str, expect: int | None = 0) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert expect is None or done.returncode == expect, done.stderr
    return done.stdout + done.stderr


def picture(content: bytes):  # type: ignore[no-untyped-def]
    """The first page, one pixel for a point, marks included."""
    document = pypdfium2.PdfDocument(content)
    document.init_forms()
    found = document[0].render(scale=1, may_draw_forms=True).to_pil().convert("RGB")
    document.close()
    return found


def red(image, box: tuple[int, int, int, int]) -> int:  # type: ignore[no-untyped-def]
    """How many pixels of a box are clearly red."""
    part = image.crop(box)
    pixels = (part.getpixel((x, y)) for x in range(part.width) for y in range(part.height))
    return sum(1 for r, g, b in pixels if r > g + 60 and r > b + 60)


def subject_of(keys: LocalSeals, who: Signatory) -> tuple[str, str, str]:
    subject = x509.load_der_x509_certificate(keys.signer(who).signing_cert.dump()).subject
    kinds = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.SERIAL_NUMBER)
    name, organisation, code = (str(subject.get_attributes_for_oid(kind)[0].value) for kind in kinds)
    return name, organisation, code


def root(keys: LocalSeals) -> x509.Certificate:
    return x509.load_pem_x509_certificate(keys.certificate())
