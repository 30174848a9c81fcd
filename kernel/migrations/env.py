"""Run by Alembic, on the connection that :mod:`kernel.schema` opened."""

from __future__ import annotations

from alembic import context

from kernel.db import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
