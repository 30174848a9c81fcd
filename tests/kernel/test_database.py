"""Which database, and as whom: the web process never holds more rights than it needs (trust G8)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from kernel import cluster as clusters
from kernel.config import Config
from kernel.database import Database


def test_named_database_is_used_with_the_owner_beside_it() -> None:
    settings = Config(database_url="postgresql://web@x/p", database_owner_url="postgresql://owner@x/p")
    database = Database(settings)
    assert not database.is_bundled
    assert database.urls() == ("postgresql://web@x/p", "postgresql://owner@x/p")


def test_owner_is_the_same_unless_named() -> None:
    assert Database(Config(database_url="postgresql://x/p")).urls() == ("postgresql://x/p",) * 2


def test_without_an_address_the_bundled_cluster_is_meant() -> None:
    assert Database(Config()).is_bundled


def test_web_process_connects_as_the_web_role(cluster: clusters.Cluster, database: str, tmp_path: Path) -> None:
    settings = Config(
        database_url=cluster.web_url(database), database_owner_url=cluster.owner_url(database), data=tmp_path
    )
    with Database(settings).connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("portal_web",)


@pytest.fixture
def single(cluster: clusters.Cluster, database: str) -> Iterator[str]:
    """An address of the kind a hosting firm gives: one login that owns everything."""
    name = f"single_{secrets.token_hex(4)}"
    with cluster.connect(database) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'x'").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("GRANT portal_web, portal_owner TO {}").format(sql.Identifier(name)))
        superuser.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(name))
        )
        yield make_url(cluster.web_url(database)).set(username=name, password="x").render_as_string(False)
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_with_one_address_for_everything_the_web_process_gives_up_its_rights(single: str, tmp_path: Path) -> None:
    with Database(Config(database_url=single, data=tmp_path)).connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("portal_web",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM trail")


def test_given_up_rights_stay_given_up_after_a_rollback(single: str, tmp_path: Path) -> None:
    with Database(Config(database_url=single, data=tmp_path)).connect() as connection:
        connection.rollback()
        assert connection.execute("SELECT current_user").fetchone() == ("portal_web",)
