"""What every request is measured against: a bare view, the same server, the same database, one statement."""

from __future__ import annotations

import os
import random
from typing import Any

from flask import Flask, jsonify, request
from sqlalchemy import Column, Identity, Integer, MetaData, Table, Text, create_engine, insert, select

#: Rows that the reading yardstick picks from.
ROWS = 10_000
metadata = MetaData()
READ = Table("bench_read", metadata, Column("id", Integer, primary_key=True), Column("name", Text, nullable=False))
WRITTEN = Table(
    "bench_written", metadata, Column("id", Integer, Identity(), primary_key=True), Column("name", Text, nullable=False)
)


def prepare(owner_url: str) -> None:
    """Make both tables, filled, for the web role to use."""
    engine = create_engine(owner_url)
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.execute(insert(READ), [{"id": key, "name": f"第 {key} 行"} for key in range(1, ROWS + 1)])
        for table, right in ((READ, "SELECT"), (WRITTEN, "SELECT, INSERT")):
            connection.exec_driver_sql(f"GRANT {right} ON {table.name} TO portal_web")
    engine.dispose()


def create_app() -> Flask:
    """One primary-key SELECT and one INSERT with COMMIT, each through SQLAlchemy core and its default pool."""
    app = Flask(__name__)
    engine = create_engine(os.environ["DATABASE_URL"])

    @app.get("/read")
    def read() -> Any:
        with engine.connect() as connection:
            row = connection.execute(
                select(READ.c.id, READ.c.name).where(READ.c.id == random.randrange(1, ROWS + 1))
            ).one()
        return jsonify(id=row.id, name=row.name)

    @app.post("/write")
    def write() -> Any:
        with engine.begin() as connection:
            key = connection.execute(
                insert(WRITTEN).values(name=request.get_json()["name"]).returning(WRITTEN.c.id)
            ).scalar_one()
        return jsonify(id=key), 201

    return app
