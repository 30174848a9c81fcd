"""Electronic signatures are judged by real signatures, whole and broken (A11)."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from reportlab.pdfgen.canvas import Canvas

from kernel import seals


def paper(text: str = "report") -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.drawString(72, 720, text)
    canvas.save()
    return out.getvalue()


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> signers.SimpleSigner:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example Agency")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("keys")
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    loaded = signers.SimpleSigner.load(str(folder / "key.pem"), str(folder / "cert.pem"))
    assert loaded is not None
    return loaded


def sign(content: bytes, signer: signers.SimpleSigner) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    out = signers.sign_pdf(writer, signers.PdfSignatureMetadata(field_name="Signature1"), signer=signer)
    return bytes(out.getvalue())


def test_a_whole_signature_names_its_signer(tmp_path: Path, signer: signers.SimpleSigner) -> None:
    path = tmp_path / "signed.pdf"
    path.write_bytes(sign(paper(), signer))
    (found,) = seals.check(path, "signed.pdf")
    assert found.is_intact
    assert found.covers_whole
    assert "Example Agency" in found.signer
    assert not found.is_trusted


def test_a_document_changed_after_signing_is_refused_by_name(tmp_path: Path, signer: signers.SimpleSigner) -> None:
    content = bytearray(sign(paper("fee 100"), signer))
    at = content.index(b"/Producer")
    content[at + 12] ^= 1
    path = tmp_path / "changed.pdf"
    path.write_bytes(bytes(content))
    with pytest.raises(seals.SignatureBroken) as refused:
        seals.check(path, "changed.pdf")
    assert "changed.pdf" in refused.value.text("zh")


def test_a_document_without_signature_is_told_apart_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.pdf"
    path.write_bytes(paper())
    assert seals.check(path, "plain.pdf") == []
    path.write_bytes(b"no pdf at all")
    assert seals.check(path, "plain.pdf") == []
