"""The database session, the typed base of every record, and the one way to commit.

Reading happens on autocommit connections (no BEGIN and ROLLBACK round trips); writing only inside
:func:`transaction`, which opens a real READ COMMITTED transaction. A flush outside it is refused, so that
"only edges commit" (architecture, "A noun's room") is enforced and not merely asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import psycopg.errors
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger, DateTime, Identity, MetaData, Text, event
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, registry, scoped_session
from sqlalchemy.types import TypeDecorator

from kernel.errors import Unavailable
from kernel.words import Worded

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class DatabaseReadOnly(Unavailable):
    code = "database_read_only"
    zh = "系统正在维护，目前只能查看，不能办理。您的内容没有改变，请稍后再试"
    en = "Maintenance: for now everything can be read and nothing changed. Your content is as it was; try again later"


class Instant(TypeDecorator[datetime]):
    """A ``timestamptz`` that refuses naive values and always answers in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"naive instant {value!r}")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


class WordColumn(TypeDecorator[Worded]):
    """A text column holding the value of a :class:`kernel.words.Worded` member."""

    impl = Text
    cache_ok = True

    def __init__(self, words: type[Worded]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Worded | str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.words(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> Worded | None:
        return None if value is None else self.words(value)


class Base(DeclarativeBase):
    """Base of every record."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={
            datetime: Instant,
            int: BigInteger,
            str: Text,
            dict[str, Any]: JSONB,
            list[Any]: JSONB,
            list[str]: JSONB,
        },
    )


class Keyed(Base):
    """A record with an integer key that never leaves the database; people see a readable number."""

    __abstract__ = True
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)


db = SQLAlchemy(
    model_class=Base,
    disable_autonaming=True,
    engine_options={"isolation_level": "AUTOCOMMIT", "pool_pre_ping": False},
    session_options={"expire_on_commit": False, "autoflush": True},
)
session: scoped_session[Session] = db.session  # type: ignore[assignment]

_WRITING: Final = "portal_writing"
_AFTER: Final = "portal_after_commit"
#: In the ``info`` of the session and of its connection: what lasts as long as the transaction.
MEMORY: Final = "portal_memory"
#: In the ``info`` of the session: the transaction's connection.
CONNECTION: Final = "portal_connection"


@event.listens_for(Session, "before_flush")
def _refuse_writes_outside(current: Session, context: object, instances: object) -> None:
    if (current.new or current.dirty or current.deleted) and not current.info.get(_WRITING):
        raise RuntimeError("a write outside transaction(): only edges commit")


@contextmanager
def transaction() -> Iterator[Session]:
    """One business transaction: all of it is stored when the block ends, or nothing.

    Ends the reading that went before (objects loaded earlier are refreshed on use), refuses nesting, and
    runs what :func:`after_commit` was given once the data is safe.

    Raises:
        DatabaseReadOnly: the server takes no writes at present (a standby, a full disk's guard, maintenance).
    """
    current = session()
    if current.info.get(_WRITING):
        raise RuntimeError("transaction() inside transaction()")
    current.rollback()
    current.info[_WRITING] = True
    current.info[_AFTER] = []
    kept: dict[Any, Any] = {}
    current.info[MEMORY] = kept
    try:
        connection = current.connection(execution_options={"isolation_level": "READ COMMITTED"})
        connection.info[MEMORY] = kept
        current.info[CONNECTION] = connection
        yield current
        current.commit()
    except BaseException as fault:
        current.rollback()
        if isinstance(fault, DBAPIError) and isinstance(fault.orig, psycopg.errors.ReadOnlySqlTransaction):
            raise DatabaseReadOnly from fault
        raise
    else:
        # Stored: what follows may open transactions of its own.
        for name in (_WRITING, MEMORY, CONNECTION):
            current.info.pop(name)
        for act in current.info.pop(_AFTER):
            act()
    finally:
        current.info.pop(_WRITING, None)
        current.info.pop(_AFTER, None)
        current.info.pop(MEMORY, None)
        current.info.pop(CONNECTION, None)
        kept.clear()  # the pool's connection still holds it


def after_commit(act: Callable[[], None]) -> None:
    """Run ``act`` once this transaction is stored; never if it is not. What must not be lost is an outbox row."""
    if not in_transaction():
        raise RuntimeError("after_commit() outside transaction()")
    session().info[_AFTER].append(act)


def memory() -> dict[Any, Any]:
    """What was learnt in this transaction and holds until it ends, or until a savepoint is rolled back."""
    found: dict[Any, Any] | None = session().info.get(MEMORY)
    if found is None:
        raise RuntimeError("memory() outside transaction()")
    return found


#: Put into ``__table_args__`` of a record that is history: the web role may insert and read it, nothing more.
HISTORY: Final = {"info": {"history": True}}


def in_transaction() -> bool:
    return bool(session().info.get(_WRITING))
