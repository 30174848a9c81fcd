"""This installation's own certificate authority: a certificate for each organisation and person that signs here.

It lets a city without a seal platform sign from the first day: every reader can check that nothing was changed, and
whoever takes over the authority's certificate (``flask seals certificate``) also sees who signed. It is no substitute
for a certificate of a licensed authority under the Electronic Signature Law, art. 16 and 17, because the keys lie
with the portal; where the law asks for one, a licensed platform is plugged in (:class:`kernel.seals.SealProvider`).

Each key lies with its certificate in one PEM file, readable by its owner alone, whole from its first moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import asn1crypto.x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.keys.internal import translate_pyca_cryptography_cert_to_asn1, translate_pyca_cryptography_key_to_asn1
from pyhanko.sign.signers.pdf_cms import SimpleSigner
from pyhanko_certvalidator.registry import SimpleCertificateStore
from pyhanko_certvalidator.util import get_pyca_cryptography_hash

from kernel import clock

#: Bits of a signatory's RSA key: a signature by an elliptic curve would make a PDF 1.7, and so PDF/A-2, a PDF 2.0.
BITS: Final = 2048
#: Years that the authority's own certificate is good for.
AUTHORITY_YEARS: Final = 30
#: A certificate that ends sooner than this is replaced before it signs.
RENEW_BEFORE: Final = timedelta(days=30)
#: Machines' clocks differ a little.
_SKEW: Final = timedelta(minutes=5)
_YEAR: Final = timedelta(days=365)
#: Most bytes of a common name; the organisation's name stands in full beside it.
_COMMON_NAME: Final = 64
#: The name of the authority's file.
_ROOT: Final = "authority"
_AUTHORITY: Final = "工程建设项目电子签章根证书"
_STAMPER: Final = "工程建设项目可信时间戳"
_PORTAL: Final = "工程建设项目审批管理系统"


@dataclass(frozen=True, slots=True)
class Signatory:
    """Whom a signature names.

    ``organisation`` and ``credit_code`` (18 characters) say for whom a person signs. An organisation that seals is
    its own signatory: its name stands in both. ``reference`` tells apart people of the same name in one organisation;
    it is written into the certificate, so it must be something that anyone may read.
    """

    name: str
    organisation: str
    credit_code: str
    reference: str = ""

    @classmethod
    def of_organisation(cls, name: str, credit_code: str) -> Signatory:
        return cls(name, name, credit_code)

    @property
    def is_organisation(self) -> bool:
        return self.name == self.organisation and not self.reference


Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Held:
    """A key with its certificate."""

    key: Key
    certificate: x509.Certificate


class HeldSigner(SimpleSigner):
    """Signs with a key that is loaded already: reading one proves it anew each time, which takes most of the time."""

    def __init__(self, held: Held, authority: x509.Certificate) -> None:
        registry = SimpleCertificateStore()
        registry.register(translate_pyca_cryptography_cert_to_asn1(authority))
        super().__init__(
            signing_cert=translate_pyca_cryptography_cert_to_asn1(held.certificate),
            signing_key=translate_pyca_cryptography_key_to_asn1(held.key),
            cert_registry=registry,
        )
        self._held = held

    @property
    def certificate(self) -> x509.Certificate:
        return self._held.certificate

    def sign_raw(self, data: bytes, digest_algorithm: str) -> bytes:
        digest = get_pyca_cryptography_hash(digest_algorithm)
        if isinstance(self._held.key, rsa.RSAPrivateKey):
            return self._held.key.sign(data, padding.PKCS1v15(), digest)
        return self._held.key.sign(data, ec.ECDSA(digest))


class LocalSeals:
    """Keys and certificates under ``folder``, each made when it is first needed; ``years`` they are good for."""

    def __init__(self, folder: Path, *, years: int = 10) -> None:
        self._folder = folder
        self._years = years
        self._known: dict[str, HeldSigner] = {}

    def signer(self, signatory: Signatory) -> HeldSigner:
        """Who signs for ``signatory``, with a certificate of this installation's authority."""
        told = [signatory.name, signatory.organisation, signatory.credit_code, signatory.reference]
        digest = hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:32]
        kind = "organisation" if signatory.is_organisation else "person"
        return self._signer(f"{kind}-{digest}", lambda: self._issue(_subject(signatory)))

    def stamper(self) -> HeldSigner:
        """Who signs time stamps."""
        return self._signer(
            "time-stamps", lambda: self._issue(_name(_STAMPER, _PORTAL), stamps=True, years=AUTHORITY_YEARS)
        )

    def roots(self) -> list[asn1crypto.x509.Certificate]:
        """The authority's certificate; empty as long as nobody has signed here."""
        if not self._path(_ROOT).exists():
            return []
        return [translate_pyca_cryptography_cert_to_asn1(self._authority())]

    def certificate(self) -> bytes:
        """The authority's certificate as PEM, for whoever wants to trust it; made if need be."""
        return self._authority().public_bytes(serialization.Encoding.PEM)

    def _signer(self, name: str, make: Callable[[], Held]) -> HeldSigner:
        authority = self._authority()
        stored = self._stored(name, make)
        if not _is_good(stored, authority):
            self._write(name, make(), is_renewal=True)
            stored = self._stored(name, make)
        known = self._known.get(name)
        if known is None or known.certificate != stored:
            known = self._known[name] = HeldSigner(self._held(name), authority)
        return known

    def _authority(self) -> x509.Certificate:
        return self._stored(_ROOT, _make_authority)

    def _issue(self, subject: x509.Name, *, stamps: bool = False, years: int | None = None) -> Held:
        self._authority()
        authority = self._held(_ROOT)
        key = _curve_key() if stamps else rsa.generate_private_key(public_exponent=65537, key_size=BITS)
        now = clock.machine()
        ends = min(now + _YEAR * (years or self._years), authority.certificate.not_valid_after_utc)
        builder = (
            _certificate(subject, authority.certificate.subject, key, now, ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True, content_commitment=not stamps), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
        )
        if stamps:  # RFC 3161 §2.3: this purpose alone, and critical
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        return Held(key, builder.sign(authority.key, hashes.SHA384()))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.pem"

    def _stored(self, name: str, make: Callable[[], Held]) -> x509.Certificate:
        """The certificate under this name, made with its key if there is none."""
        path = self._path(name)
        if not path.exists():
            self._write(name, make())
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _held(self, name: str) -> Held:
        content = self._path(name).read_bytes()
        key = serialization.load_pem_private_key(content, password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError(f"{name} holds neither an RSA nor an elliptic-curve key")
        return Held(key, x509.load_pem_x509_certificate(content))

    def _write(self, name: str, held: Held, *, is_renewal: bool = False) -> None:
        """Two processes may be the first at once: the name is given to a whole file, and the first one keeps it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(name)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(
                held.key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            file.write(held.certificate.public_bytes(serialization.Encoding.PEM))
            file.flush()
            os.fsync(file.fileno())
        if is_renewal:
            fresh.replace(path)
            return
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()


def _make_authority() -> Held:
    key = ec.generate_private_key(ec.SECP384R1())
    now = clock.machine()
    # Two installations' authorities must not be taken for each other by their name.
    subject = _name(_AUTHORITY, _PORTAL, reference=secrets.token_hex(8))
    certificate = (
        _certificate(subject, subject, key, now, now + _YEAR * AUTHORITY_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(key, hashes.SHA384())
    )
    return Held(key, certificate)


def _curve_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Key, now: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(**bits: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names})


def _subject(signatory: Signatory) -> x509.Name:
    return _name(signatory.name, signatory.organisation, signatory.credit_code, signatory.reference)


def _name(name: str, organisation: str, credit_code: str = "", reference: str = "") -> x509.Name:
    parts = [
        (NameOID.COUNTRY_NAME, "CN"),
        (NameOID.ORGANIZATION_NAME, organisation),
        (NameOID.SERIAL_NUMBER, credit_code),
        (NameOID.USER_ID, reference),
        (NameOID.COMMON_NAME, name.encode()[:_COMMON_NAME].decode(errors="ignore")),
    ]
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts if text])


def _is_good(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Still good for a while, and issued by the authority that is in force."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return certificate.not_valid_after_utc - clock.machine() > RENEW_BEFORE
