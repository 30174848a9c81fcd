"""Time stamps (RFC 3161): proof that a signature was there at a moment, made here or asked of an outside service.

A time stamp made here says no more than the portal's own clock does. Where that isn't enough, ``TIMESTAMP_URL``
names an accredited service; it is sent a digest, never a document.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final, Protocol

from asn1crypto import cms, tsp, x509
from pyhanko.sign.general import as_signing_certificate_v2
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.requests_client import RequestsHTTPTimeStamper

from kernel import clock
from kernel.errors import Unavailable
from kernel.seals.authority import LocalSeals

#: The policy under which this portal stamps: an identifier of our own (ITU-T X.667).
POLICY: Final = "2.25.239407198412058311093562774810063712859"
#: Digests that are stamped.
DIGESTS: Final = frozenset({"sha256", "sha384", "sha512"})
#: How long an outside service may take, in seconds.
PATIENCE: Final = 10


class TimeStampsUnavailable(Unavailable):
    code = "time_stamps_unavailable"
    zh = "时间戳服务暂时不可用，文件没有签署，请稍后再试"
    en = "The time-stamp service is unavailable; nothing was signed. Try again later"


class TimeStampService(Protocol):
    """Whoever stamps the time."""

    def stamper(self) -> TimeStamper: ...


class LocalTimeStamps:
    """Stamps by this machine's clock, under the installation's own authority."""

    def __init__(self, seals: LocalSeals) -> None:
        self._seals = seals

    def stamper(self) -> TimeStamper:
        return _LocalStamper(self._seals)


class OutsideTimeStamps:
    """Asks the service at ``url`` (http or https)."""

    def __init__(self, url: str) -> None:
        self._stamper = RequestsHTTPTimeStamper(url, timeout=PATIENCE)

    def stamper(self) -> TimeStamper:
        return self._stamper


class _LocalStamper(TimeStamper):
    def __init__(self, seals: LocalSeals) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seals = seals

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        if req["message_imprint"]["hash_algorithm"]["algorithm"].native not in DIGESTS:
            refused = {"status": "rejection", "fail_info": tsp.PKIFailureInfo({"bad_alg"})}
            return tsp.TimeStampResp({"status": tsp.PKIStatusInfo(refused)})
        signer = self._seals.stamper()
        certificate: x509.Certificate = signer.signing_cert
        said = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": req["message_imprint"],
            "serial_number": secrets.randbits(64),
            "gen_time": clock.machine(),
            "accuracy": tsp.Accuracy({"seconds": 1}),
            "tsa": x509.GeneralName(name="directory_name", value=certificate.subject),
        }
        if req["nonce"].native is not None:
            said["nonce"] = req["nonce"]
        content = tsp.TSTInfo(said).dump()
        told = {
            "content_type": "tst_info",
            "message_digest": hashlib.sha256(content).digest(),
            "signing_certificate_v2": as_signing_certificate_v2(certificate),
        }
        attributes = cms.CMSAttributes([{"type": kind, "values": (value,)} for kind, value in told.items()])
        token = await signer.async_sign_prescribed_attributes(
            "sha256",
            attributes,
            cms_version="v3",
            encap_content_info=cms.EncapsulatedContentInfo(
                {"content_type": "tst_info", "content": cms.ParsableOctetString(content)}
            ),
        )
        granted = tsp.PKIStatusInfo({"status": "granted"})
        return tsp.TimeStampResp({"status": granted, "time_stamp_token": token})
