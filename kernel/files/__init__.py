"""Uploaded files: judged, content-addressed, durable before they are named (trust G14, requirement "Kernel")."""

from kernel.files.documents import (
    Document,
    by_number,
    configure,
    enter,
    may_read,
    open_document,
    path_of,
    put,
    receive,
    register_bar,
    register_reader,
    sweep,
    verify,
)
from kernel.files.incidents import (
    Danger,
    FileDamaged,
    FileEmpty,
    FileEncrypted,
    FileNameInvalid,
    FilesUnavailable,
    FileTooLarge,
    FileTooLong,
    FileTypeMismatch,
    FileTypeNotAllowed,
    FileUnsafe,
)
from kernel.files.inspection import Inspection, inspect
from kernel.files.kinds import MEDIA_TYPES
from kernel.files.names import clean_name
from kernel.files.store import Blob, check_length, store_blob

__all__ = [
    "MEDIA_TYPES",
    "Blob",
    "Danger",
    "Document",
    "FileDamaged",
    "FileEmpty",
    "FileEncrypted",
    "FileNameInvalid",
    "FileTooLarge",
    "FileTooLong",
    "FileTypeMismatch",
    "FileTypeNotAllowed",
    "FileUnsafe",
    "FilesUnavailable",
    "Inspection",
    "by_number",
    "check_length",
    "clean_name",
    "configure",
    "enter",
    "inspect",
    "may_read",
    "open_document",
    "path_of",
    "put",
    "receive",
    "register_bar",
    "register_reader",
    "store_blob",
    "sweep",
    "verify",
]
