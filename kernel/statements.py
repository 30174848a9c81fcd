"""Statements that are asked all day: compiled once, put to the driver itself; and writings that nobody waits for.

SQLAlchemy's way from a statement to the driver costs more than most statements take, and a unit of work costs several
times that again. What runs with every request therefore is a :class:`Statement`, and a transaction's new rows are
*gathered* (:meth:`Statement.later`, :func:`store`): written together, in one statement, before the transaction's next
one and at the latest before its commit. So whoever asks the database sees them, and every constraint still speaks
before the commit; it may only speak one statement later.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final, Generic, TypeVar, cast

import psycopg
from psycopg.rows import namedtuple_row, tuple_row
from sqlalchemy import ColumnElement, event, select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapper, RelationshipDirection, Session, class_mapper
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.sql import ClauseElement, FromClause
from sqlalchemy.types import TypeEngine

from kernel.db import CONNECTION, MEMORY, Base, Keyed, memory, session

_DIALECT = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]
_GATHERED = "gathered"
#: So many pieces are written without waiting for more: PostgreSQL answers 1,664 columns and takes 65,535 values.
MOST: Final = 500
#: How the text of a stored record ends.
_KEY = " RETURNING id"

Convert = Callable[[Any], Any]
R = TypeVar("R", bound=Keyed)


class Statement:
    """One core statement with its values as ``bindparam``, compiled when it is first used.

    ``keys`` names the columns of an INSERT or UPDATE without values of its own; each is then a value to give.
    """

    def __init__(self, clause: ClauseElement, keys: Iterable[str] = ()) -> None:
        self._clause, self._keys = clause, list(keys)

    @cached_property
    def _form(self) -> tuple[str, tuple[tuple[str, Convert | None, Any], ...]]:
        """The text, and in its order each value's name, conversion, and what it is if nobody names it."""
        made: Any = self._clause.compile(dialect=_DIALECT, column_keys=self._keys or None)
        if made.post_compile_params:
            raise ValueError("IN with a list is another text for every length: ask for = any_(array)")
        fixed = made.params
        return str(made), tuple((name, made._bind_processors.get(name), fixed[name]) for name in made.positiontup)

    def _piece(self, named: dict[str, Any]) -> _Piece:
        text, places = self._form
        values: list[Any] = []
        for name, convert, fixed in places:
            value = named.get(name, fixed)
            values.append(value if convert is None or value is None else convert(value))
        return _Piece(text, values)

    def ask(self, shape: Any = namedtuple_row, /, **named: Any) -> list[Any]:
        """Run it now and answer its rows, as named tuples (or in another of the driver's shapes)."""
        piece, current = self._piece(named), session()
        return run(_connection(current), _composed(piece.text), piece.values, shape)

    def first(self, **named: Any) -> Any:
        """Run it now and answer its first row, or None."""
        rows = self.ask(**named)
        return rows[0] if rows else None

    def later(self, key: Hashable = None, **named: Any) -> None:
        """Gather it. One with the same ``key`` that is not written yet is replaced: only the last counts."""
        pieces = _gathered().pieces
        pieces[len(pieces) if key is None else (self, key)] = self._piece(named)
        if len(pieces) >= MOST:
            write(_connection(session()))


class Records(Generic[R]):
    """A question for whole records: the objects that the session's own loading would give, for a fraction of its cost.

    ``joined`` are to-one relationships that come with it, each of ``record`` or of one named before it. With ``hold``
    the records are locked FOR SHARE and are as the database has them; otherwise, as ever, what the session has counts.
    """

    def __init__(
        self, record: type[R], where: ColumnElement[bool], *joined: Any, order: Any = None, hold: bool = False
    ) -> None:
        self._record, self._where, self._joined, self._order, self._hold = record, where, joined, order, hold

    @cached_property
    def _form(self) -> tuple[Statement, list[_Part]]:
        first = class_mapper(self._record)
        table: FromClause = first.local_table
        parts, tables, columns = [_Part(first, None, "", 0, *_reading(first))], [table], list(table.c)
        source = table
        for relation in (one.property for one in self._joined):
            parent = next(at for at, part in enumerate(parts) if part.mapper is relation.parent)
            ((near, far),) = relation.local_remote_pairs
            table = relation.mapper.local_table.alias(f"joined{len(tables)}")
            source = source.outerjoin(table, tables[parent].c[near.name] == table.c[far.name])
            parts.append(_Part(relation.mapper, parent, relation.key, len(columns), *_reading(relation.mapper)))
            tables.append(table)
            columns += table.c
        clause = select(*columns).select_from(source).where(self._where).order_by(self._order)
        return Statement(clause.with_for_update(read=True, of=tables[0]) if self._hold else clause), parts

    def all(self, **named: Any) -> list[R]:
        """Every record, in the order of the answer."""
        statement, parts = self._form
        current = session()
        if current.autoflush:
            current.flush()
        return [self._read(parts, current, row) for row in statement.ask(tuple_row, **named)]

    def first(self, **named: Any) -> R | None:
        """The first record, if there is one."""
        found = self.all(**named)
        return found[0] if found else None

    def _read(self, parts: list[_Part], current: Session, row: tuple[Any, ...]) -> R:
        found: list[Any] = []
        for part in parts:
            record = part.read(current, row, fresh=self._hold)
            found.append(record)
            holder = None if part.parent is None else found[part.parent]
            if holder is not None and (self._hold or part.relation not in instance_state(holder).dict):
                set_committed_value(holder, part.relation, record)
        return cast("R", found[0])


def store(record: Keyed) -> None:
    """Gather a new record with the new records in its lists: like ``session.add``, without a unit of work.

    It is written as it stands when it is written, so it may still be changed, and belongs to the session from then on.
    If something else draws it into the session before, the session writes it as ever.
    """
    if _is_new(record):
        state = instance_state(record)
        plan, known = _plan(state.mapper), state.dict
        _gathered().records.append(record)
        _follow(plan, known, None)
        for key, _, default in plan.columns:
            known.setdefault(key, default)


def sketch(mapper: Mapper[Any], values: dict[str, Any]) -> Base:
    """A record of these values by attribute, of no session and without the cost of setting them one by one."""
    record: Base = mapper.class_manager.new_instance()
    instance_state(record).dict.update(values)
    return record


def run(connection: Connection, text: str, values: Sequence[Any], shape: Any = tuple_row) -> list[Any]:
    """Put a statement with values ``$1``, ``$2`` … to the driver.

    Listeners hear of it and what it raises is raised as if SQLAlchemy had put it.
    """
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    cursor = psycopg.RawCursor(driver, row_factory=shape)
    for listener in connection.dispatch.before_cursor_execute:
        listener(connection, cursor, text, values, None, False)
    try:
        cursor.execute(text.encode(), values)
        return [] if cursor.rownumber is None else cursor.fetchall()
    except psycopg.Error as error:
        is_lost = driver.closed
        if is_lost:
            connection.invalidate(error)
            connection.engine.dispose()  # the pool's others are as dead
        raise DBAPIError.instance(
            text, list(values), error, psycopg.Error, connection_invalidated=is_lost, dialect=connection.dialect
        ) from error


def write(connection: Connection) -> None:
    """Write what this connection's transaction has gathered."""
    kept = connection.info.get(MEMORY)
    gathered: _Gathered | None = kept.pop(_GATHERED, None) if kept else None
    if gathered is None:
        return
    pieces: list[_Piece] = []
    stored: list[tuple[Keyed, int]] = []
    for record in gathered.records:
        _lay_out(record, None, pieces, stored)
    pieces += gathered.pieces.values()
    if not pieces:
        return
    text = _composed(*(piece.text for piece in pieces))
    rows = run(connection, text, [value for piece in pieces for value in piece.values])
    if stored:
        _attach([(record, rows[0][place]) for record, place in stored])


@dataclass(slots=True)
class _Piece:
    text: str
    values: list[Any]


@dataclass(slots=True)
class _Gathered:
    """New records, and other pieces by a key of their own or their place."""

    records: list[Keyed] = field(default_factory=list)
    pieces: dict[Hashable, _Piece] = field(default_factory=dict)


def _connection(current: Session) -> Connection:
    """The session's connection, by the short way where there is nothing to look after."""
    known: Connection | None = None if current.in_nested_transaction() else current.info.get(CONNECTION)
    return known or current.connection()


def _gathered() -> _Gathered:
    kept, current = memory(), session()
    if current.in_nested_transaction():
        current.connection()  # or the savepoint, which the session makes when first needed, came too late
    found: _Gathered | None = kept.get(_GATHERED)
    if found is None:
        found = kept[_GATHERED] = _Gathered()
    return found


@event.listens_for(Engine, "before_cursor_execute")
def _before_statement(connection: Connection, *_: Any) -> None:
    write(connection)


@event.listens_for(Engine, "rollback_savepoint")
def _forget(connection: Connection, *_: Any) -> None:
    """What was gathered, and what was learnt, since the savepoint no longer holds."""
    connection.info.get(MEMORY, {}).clear()


@event.listens_for(Session, "before_flush")
def _before_flush(current: Session, *_: Any) -> None:
    if MEMORY in current.info:
        write(current.connection())


@event.listens_for(Session, "before_commit")
def _before_commit(current: Session) -> None:
    if MEMORY in current.info:
        current.flush()
        write(current.connection())


@lru_cache(maxsize=1024)
def _composed(*texts: str) -> str:
    """One statement out of several, carried out in their order; the row it answers has the key that each made, if any.

    PostgreSQL carries a part out when it is first asked for, and those that nobody asks for in no order.
    """
    numbered, last = [], 0
    for text in texts:
        first, *others = text.split("%s")
        parts = [first]
        for other in others:
            last += 1
            parts += (f"${last}", other)
        numbered.append("".join(parts).replace("%%", "%"))
    if len(numbered) == 1:
        return numbered[0]
    whole = ", ".join(
        f"w{place} AS ({text}{'' if text.endswith(_KEY) else ' RETURNING 1 AS id'})"
        for place, text in enumerate(numbered)
    )
    # max() reads a part to its end
    asked = ", ".join(f"(SELECT max(id) FROM w{place}) AS key{place}" for place in range(len(numbered)))  # noqa: S608
    return f"WITH {whole} SELECT {asked}"


# Records read without the session's loading


@dataclass(frozen=True, slots=True)
class _Part:
    """One record of a row: whose relationship it is, and where its columns begin."""

    mapper: Mapper[Any]
    parent: int | None
    relation: str
    begin: int
    key: int
    columns: tuple[tuple[str, int, Convert | None], ...]

    def read(self, current: Session, row: tuple[Any, ...], *, fresh: bool) -> Keyed | None:
        key = row[self.begin + self.key]
        if key is None:
            return None
        known = current.identity_map.get(self.mapper.identity_key_from_primary_key((key,)))
        if known is not None and not fresh and not instance_state(known).expired_attributes:
            return cast("Keyed", known)
        values = {
            name: row[at] if convert is None or row[at] is None else convert(row[at])
            for name, place, convert in self.columns
            for at in (self.begin + place,)
        }
        if known is not None:
            for name, value in values.items():
                set_committed_value(known, name, value)
            return cast("Keyed", known)
        record = cast("Keyed", sketch(self.mapper, values))
        _adopt(current, record)
        return record


@lru_cache
def _reading(mapper: Mapper[Any]) -> tuple[int, tuple[tuple[str, int, Convert | None], ...]]:
    """The place of the key among a table's columns, and each column's attribute, place and conversion."""
    columns = tuple(
        (
            mapper.get_property_by_column(column).key,
            place,
            cast("Convert | None", column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)),
        )
        for place, column in enumerate(mapper.local_table.c)
    )
    (key,) = (place for place, column in enumerate(mapper.local_table.c) if column.primary_key)
    return key, columns


# Records written without a unit of work


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a record becomes a row.

    Attributes:
        columns: attribute, conversion, what it is if nobody set it. references: attribute of a foreign key → the
            relationship that may hold the record it means. lists: relationship to new records → their foreign key.
    """

    head: str
    columns: tuple[tuple[str, Convert | None, Any], ...]
    references: dict[str, str]
    lists: tuple[tuple[str, str], ...]


@lru_cache
def _plan(mapper: Mapper[Any]) -> _Plan:
    quote = _DIALECT.identifier_preparer.format_column
    attributes = [one for one in mapper.column_attrs if not one.columns[0].primary_key]
    names = ", ".join(quote(one.columns[0]) for one in attributes)
    references, lists = {}, []
    for relation in mapper.relationships:
        if len(pairs := relation.local_remote_pairs or ()) != 1:
            continue
        ((near, far),) = pairs
        if relation.direction is RelationshipDirection.MANYTOONE:
            references[mapper.get_property_by_column(near).key] = relation.key
        elif relation.direction is RelationshipDirection.ONETOMANY:
            lists.append((relation.key, relation.mapper.get_property_by_column(far).key))
    return _Plan(
        f"INSERT INTO {_DIALECT.identifier_preparer.format_table(mapper.local_table)} ({names}) VALUES (",  # noqa: S608  our own names
        tuple(
            (one.key, _conversion(one.columns[0].type), getattr(one.columns[0].default, "arg", None))
            for one in attributes
        ),
        references,
        tuple(lists),
    )


def _conversion(kind: TypeEngine[Any]) -> Convert | None:
    return cast("Convert | None", kind.dialect_impl(_DIALECT).bind_processor(_DIALECT))


def _lay_out(
    record: Keyed, parent: tuple[str, int] | None, pieces: list[_Piece], stored: list[tuple[Keyed, int]]
) -> None:
    """The pieces of a record and of the new records in its lists; ``parent``: its foreign key, and where that is."""
    if not _is_new(record) or any(record is one for one, _ in stored):
        return
    state = instance_state(record)
    plan, known = _plan(state.mapper), state.dict
    _follow(plan, known, parent[0] if parent else None)
    signs: list[str] = []
    values: list[Any] = []
    for key, convert, default in plan.columns:
        if parent is not None and key == parent[0]:
            signs.append(f"(SELECT max(id) FROM w{parent[1]})")  # noqa: S608  a number
            continue
        value = known.setdefault(key, default)
        signs.append("%s")
        values.append(value if convert is None or value is None else convert(value))
    place = len(pieces)
    pieces.append(_Piece(f"{plan.head}{', '.join(signs)}){_KEY}", values))
    stored.append((record, place))
    for relation, foreign_key in plan.lists:
        for child in known.get(relation, ()):
            _lay_out(child, (foreign_key, place), pieces, stored)


def _follow(plan: _Plan, known: dict[str, Any], parent: str | None) -> None:
    """Foreign keys are those of the records that the relationships hold; that of the ``parent`` is its own affair."""
    for key, relation in plan.references.items():
        meant = known.get(relation)
        if meant is None or key == parent:
            continue
        if meant.id is None:
            session.flush()
        if meant.id is None:
            raise ValueError(f"{relation} is no row yet: store it first, with this record in one of its lists")
        known[key] = meant.id


def _attach(records: Sequence[tuple[Keyed, int]]) -> None:
    """The records are rows now; the session holds them as if it had written them."""
    current = session()
    for record, key in records:
        instance_state(record).dict["id"] = key
    for record, _ in records:
        state = instance_state(record)
        for relation, foreign_key in _plan(state.mapper).lists:
            for child in state.dict.get(relation, ()):
                instance_state(child).dict[foreign_key] = record.id
        _adopt(current, record)


def _adopt(current: Session, record: Keyed) -> None:
    """Let the session hold a record that is as the database has it, as it does with those that it loads itself."""
    state = instance_state(record)
    state.key = state.mapper.identity_key_from_primary_key((record.id,))
    state.session_id = current.hash_key
    current.identity_map.add(state)
    state._commit_all(state.dict, current.identity_map)


def _is_new(record: Keyed) -> bool:
    """Neither a row nor the session's to make one of."""
    state = instance_state(record)
    return state.session_id is None and state.key is None
