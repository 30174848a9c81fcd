"""The migrations make exactly the tables that the records describe (issue, "Ground")."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from apiflask import APIFlask
from sqlalchemy import create_engine, inspect, text

from kernel import cluster as clusters
from kernel import schema
from kernel.db import Base, Instant


def test_migrated_database_differs_from_the_records_in_nothing(portal: APIFlask, owner_engine) -> None:  # type: ignore[no-untyped-def]
    with owner_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_declared_sequence_exists(portal: APIFlask, owner_engine) -> None:  # type: ignore[no-untyped-def]
    with owner_engine.connect() as connection:
        stored = set(inspect(connection).get_sequence_names())
    assert set(Base.metadata._sequences) <= stored


def test_partial_indexes_carry_their_condition(portal: APIFlask, owner_engine) -> None:  # type: ignore[no-untyped-def]
    """The comparison above doesn't look into conditions, and a lost one would forbid a second clock for ever."""
    with owner_engine.connect() as connection:
        for table in Base.metadata.tables.values():
            stored = {index["name"]: index for index in inspect(connection).get_indexes(table.name)}
            for index in table.indexes:
                wanted = index.dialect_options["postgresql"]["where"] is not None
                has = bool(stored[index.name].get("dialect_options", {}).get("postgresql_where"))
                assert has == wanted, index.name
                assert stored[index.name]["unique"] == bool(index.unique), index.name


def test_upgrading_again_changes_nothing(
    portal: APIFlask, cluster: clusters.Cluster, database: str, owner_engine
) -> None:  # type: ignore[no-untyped-def]
    schema.upgrade(cluster.owner_url(database))
    assert schema.current(owner_engine) == schema.head() != ""


def test_empty_database_has_no_revision(cluster: clusters.Cluster) -> None:
    engine = create_engine(cluster.owner_url("postgres"))
    try:
        assert schema.current(engine) == ""
    finally:
        engine.dispose()


@pytest.mark.parametrize("table", sorted(Base.metadata.tables))
def test_every_instant_column_refuses_naive_values(table: str) -> None:
    for column in Base.metadata.tables[table].columns:
        if "TIMESTAMP" in str(column.type.compile()).upper() or "DATETIME" in str(column.type.compile()).upper():
            assert isinstance(column.type, Instant), column.name


def test_legal_time_is_there_for_sql(portal: APIFlask, owner_engine) -> None:  # type: ignore[no-untyped-def]
    with owner_engine.connect() as connection:
        assert connection.scalar(text("SELECT portal_now() IS NOT NULL"))
