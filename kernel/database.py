"""Where the database is: the one that ``DATABASE_URL`` names, or the cluster that comes with the product.

The bundled cluster is started by whoever needs it first and is stopped by the process that started it.
"""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from kernel import cluster as clusters
from kernel.config import Config
from kernel.schema import WEB_ROLE

NAME = "portal"


class Database:
    """Opens connections as the web role; starts the bundled cluster at the first one if no address is set."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._urls: tuple[str, str] | None = None

    @property
    def is_bundled(self) -> bool:
        return not self._config.database_url

    def urls(self) -> tuple[str, str]:
        """SQLAlchemy URLs of the web role and of the owner."""
        with self._lock:
            if self._urls is None:
                self._urls = self._bundled() if self.is_bundled else self._configured()
            return self._urls

    def connect(self) -> psycopg.Connection[Any]:
        """One connection for the pool."""
        connection = psycopg.connect(_plain(self.urls()[0]), connect_timeout=10)
        if not self.is_bundled and not self._config.database_owner_url:
            # One address for everything: the web process gives up what it doesn't need.
            connection.execute(f"SET SESSION ROLE {WEB_ROLE}")
        # Our questions fetch a few rows by key. Where statistics lag behind, the planner expects a merge join to end
        # early and reads a whole register instead: 27 ms for one call among 10,000 commissions, 0.1 ms without.
        connection.execute("SET enable_mergejoin = off")
        connection.commit()
        return connection

    def _configured(self) -> tuple[str, str]:
        web = self._config.database_url
        return web, self._config.database_owner_url or web

    def _bundled(self) -> tuple[str, str]:
        office = clusters.hold(self._config.data)
        cluster = clusters.start(self._config.data)
        cluster.ensure_database(NAME)
        atexit.register(_leave, self._config.data, office)
        return cluster.web_url(NAME), cluster.owner_url(NAME)


def _leave(data: Path, office: int) -> None:
    os.close(office)
    clusters.stop_if_abandoned(data)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
