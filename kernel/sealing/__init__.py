"""Sealed bids: nobody reads a price before two of three custodians open it (trust G1, G2; competition, "Sealed bids").

Everything is the age file format (age-encryption.org/v1), so that a stranger repeats the opening with the ``age``
program of a Linux distribution. Nothing here touches a database or HTTP, and nothing here is mathematics of our own.

1. A custodian holds a long-term identity. For each call a fresh identity is made on the custodian's side and stored
   encrypted to the long-term one (:func:`protect`, :func:`recover`); its public recipient goes into the call.
2. A bid (:class:`BidContent`) is padded to a size class and encrypted to a key made for this bid alone; that key is
   wrapped for every pair of custodians, ``age(A, age(B, key))`` (:func:`seal`). ``static/sealing.js`` does the same.
3. The portal checks the form of what it can't read (:func:`check_form`) and answers a signed :func:`receipt`.
4. Two handed-in keys open every bid (:func:`open_bid`); what doesn't open says why (:class:`Unopenable`).
5. Ciphertexts and keys are published (:func:`write_bundle`, :func:`bundle_zip`, :func:`open_bundle`).
"""

from __future__ import annotations

from kernel.sealing.age import fresh_identity, parse_identity, parse_recipient, recipient_of
from kernel.sealing.bundle import BundleReport, bundle_files, bundle_zip, open_bundle, write_bundle
from kernel.sealing.content import (
    CALL,
    BidContent,
    BidFile,
    SealedBy,
    clean_name,
    parse_discount,
    parse_working_days,
    plain_text,
)
from kernel.sealing.custody import check_key, protect, recover
from kernel.sealing.envelope import (
    CLASSES,
    SealedBid,
    check_form,
    class_for,
    open_bid,
    open_envelope,
    open_with_key,
    pad,
    seal,
    unpad,
    unwrap,
    wrap_names,
)
from kernel.sealing.handover import CallKeys, key_text, read_call, read_sealed, write_sealed
from kernel.sealing.incidents import (
    BidMalformed,
    BundleDamaged,
    CallUnreadable,
    CiphertextMalformed,
    ContentInvalid,
    ContentTooLarge,
    DiscountUnreadable,
    KeyDoesNotFit,
    KeyNotYours,
    KeyOfOtherCall,
    KeysMissing,
    KeyUnreadable,
    Reason,
    ReceiptInvalid,
    RecipientUnreadable,
    SealedFileUnreadable,
    SealedForOtherCall,
    SizeNotInClass,
    Unopenable,
    WorkingDaysUnreadable,
    WrapMalformed,
    WrapsIncomplete,
)
from kernel.sealing.receipts import configure, public_key, receipt, verify_receipt

__all__ = [
    "CALL",
    "CLASSES",
    "BidContent",
    "BidFile",
    "BidMalformed",
    "BundleDamaged",
    "BundleReport",
    "CallKeys",
    "CallUnreadable",
    "CiphertextMalformed",
    "ContentInvalid",
    "ContentTooLarge",
    "DiscountUnreadable",
    "KeyDoesNotFit",
    "KeyNotYours",
    "KeyOfOtherCall",
    "KeyUnreadable",
    "KeysMissing",
    "Reason",
    "ReceiptInvalid",
    "RecipientUnreadable",
    "SealedBid",
    "SealedBy",
    "SealedFileUnreadable",
    "SealedForOtherCall",
    "SizeNotInClass",
    "Unopenable",
    "WorkingDaysUnreadable",
    "WrapMalformed",
    "WrapsIncomplete",
    "bundle_files",
    "bundle_zip",
    "check_form",
    "check_key",
    "class_for",
    "clean_name",
    "configure",
    "fresh_identity",
    "key_text",
    "open_bid",
    "open_bundle",
    "open_envelope",
    "open_with_key",
    "pad",
    "parse_discount",
    "parse_identity",
    "parse_recipient",
    "parse_working_days",
    "plain_text",
    "protect",
    "public_key",
    "read_call",
    "read_sealed",
    "receipt",
    "recipient_of",
    "recover",
    "seal",
    "unpad",
    "unwrap",
    "verify_receipt",
    "wrap_names",
    "write_bundle",
    "write_sealed",
]
