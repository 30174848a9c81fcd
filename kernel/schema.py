"""The schema: migrations, and what the web role may do with each table.

Migrations run as the owner role; afterwards every table's rights are granted anew from the records themselves:
history may be read and inserted by the web role, everything else also updated and deleted (trust G8).
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import Connection

from kernel.db import Base

WEB_ROLE = "portal_web"
FOLDER = Path(__file__).resolve().parent / "migrations"


def alembic_config(connection: Connection | None = None) -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision that this program knows."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head() or ""


def current(engine: Engine) -> str:
    """The revision of a database; '' when it has none."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def upgrade(owner_url: str) -> None:
    """Bring a database up to date and grant the web role its rights. Safe to call again."""
    engine = create_engine(owner_url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(7301)"))
            command.upgrade(alembic_config(connection), "head")
            _grant(connection)
    finally:
        engine.dispose()


def _grant(connection: Connection) -> None:
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": WEB_ROLE}) is None:
        connection.execute(text(f"CREATE ROLE {WEB_ROLE} NOLOGIN"))
        connection.execute(text(f"GRANT {WEB_ROLE} TO CURRENT_USER"))
    connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {WEB_ROLE}"))
    connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {WEB_ROLE}"))
    connection.execute(text(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {WEB_ROLE}"))
    connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {WEB_ROLE}"))
    history = [name for name, table in Base.metadata.tables.items() if table.info.get("history")]
    ordinary = [name for name, table in Base.metadata.tables.items() if not table.info.get("history")]
    if history:
        connection.execute(text(f"GRANT INSERT ON {', '.join(sorted(history))} TO {WEB_ROLE}"))
    if ordinary:
        connection.execute(text(f"GRANT INSERT, UPDATE, DELETE ON {', '.join(sorted(ordinary))} TO {WEB_ROLE}"))
