"""Electronic signatures are judged by real signatures, whole and broken (A11)."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyhanko.sign import signers

from kernel import seals
from tests.signing import make_signer, paper, sign


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> signers.SimpleSigner:
    return make_signer(tmp_path_factory.mktemp("keys"))


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
