"""One PostgreSQL cluster for the session, one database per worker, emptied of all but reference data per test."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from apiflask import APIFlask
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from psycopg import sql
from sqlalchemy import Engine, create_engine, func, select, text

from app import create_app
from integration.demo import city as demo
from kernel import clock, policies, sandbox, schema, sealing
from kernel import cluster as clusters
from kernel.accounts import Organisation, actor_of, passwords
from kernel.accounts.people import Person
from kernel.accounts.sign_in import current_code
from kernel.config import Config
from kernel.db import Base, db, session, transaction
from kernel.files import Document
from kernel.projects import Project
from kernel.trail import Actor
from market import agencies, catalogue, listings
from market.agencies import Agency
from market.catalogue import ServiceItem
from market.listings import Listing

ROOT = Path(__file__).resolve().parent.parent
#: Tables that a test finds filled, as every installation does.
REFERENCE = {
    "policies", "specialities", "service_items", "matter_kinds", "matter_materials", "review_kinds", "review_criteria",
    "alembic_version",
}  # fmt: skip


@pytest.fixture(scope="session")
def cluster() -> Iterator[clusters.Cluster]:
    """The test cluster, shared by every worker and run; whoever leaves last stops it."""
    folder = ROOT / "var" / "test"
    folder.mkdir(parents=True, exist_ok=True)
    office = clusters.hold(folder)
    yield clusters.start(folder)
    os.close(office)
    clusters.stop_if_abandoned(folder)


@pytest.fixture(scope="session")
def database(cluster: clusters.Cluster, worker_id: str) -> Iterator[str]:
    """An empty migrated database of this worker; answers its name."""
    name = f"test_{worker_id}_{os.getpid()}"
    cluster.drop_database(name)
    cluster.ensure_database(name)
    schema.upgrade(cluster.owner_url(name))
    _hasten(cluster.owner_url(name), name)
    yield name
    cluster.drop_database(name)


#: Empties what holds anything, children before parents: to truncate a hundred empty tables takes most of a second.
_EMPTY = """
CREATE FUNCTION empty_tables(names text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  name text;
  holds_rows boolean;
BEGIN
  FOREACH name IN ARRAY names LOOP
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %I)', name) INTO holds_rows;
    IF holds_rows THEN
      EXECUTE format('DELETE FROM %I', name);
    END IF;
  END LOOP;
END $$
"""


def _hasten(url: str, name: str) -> None:
    """This database only need not outlive a power cut: no commit waits for the disk."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
        connection.execute(text(_EMPTY))
    engine.dispose()


@pytest.fixture(scope="session")
def app(cluster: clusters.Cluster, database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[APIFlask]:
    settings = Config(
        database_url=cluster.web_url(database),
        database_owner_url=cluster.owner_url(database),
        sandbox=True,
        data=tmp_path_factory.mktemp("data"),
        secret_key="only for tests",
    )
    application = create_app(settings)
    application.testing = False
    with application.app_context():
        with transaction():
            demo.load_reference()
        session.remove()
        yield application
        session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def owner_engine(cluster: clusters.Cluster, database: str) -> Iterator[Engine]:
    engine = create_engine(cluster.owner_url(database), isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def shipped_policies(app: APIFlask, owner_engine: Engine) -> int:
    """The last rule that ships with the product; what a test enters after it ends with the test."""
    with owner_engine.connect() as connection:
        return int(connection.scalar(text("SELECT max(id) FROM policies")) or 0)


@pytest.fixture
def portal(app: APIFlask, owner_engine: Engine, shipped_policies: int) -> Iterator[APIFlask]:
    """The portal with reference data only, legal time at the demo's start, and an application context."""
    session.remove()
    clock.set_source(sandbox.legal_now)  # tests of the clock itself put their own in its place
    sealing.configure(app.extensions["portal"].data)  # and tests of receipts theirs
    tables = [one.name for one in reversed(Base.metadata.sorted_tables) if one.name not in REFERENCE]
    with owner_engine.connect() as connection:
        connection.execute(text("SELECT empty_tables(:names)"), {"names": tables})
        connection.execute(text("DELETE FROM policies WHERE id > :shipped"), {"shipped": shipped_policies})
    policies._remembered.clear()
    with transaction():
        sandbox.start_at(demo.START)
    session.remove()
    yield app
    session.rollback()
    session.remove()


@dataclass
class World:
    """A small town with ready-made people; everything through the public verbs."""

    portal: APIFlask
    organisations: dict[str, Organisation]
    people: dict[str, Person]
    agency: Agency
    agency2: Agency
    project: Project
    other_project: Project
    item: ServiceItem
    listing: Listing
    listing2: Listing

    def actor(self, login: str) -> Actor:
        return actor_of(self.people[login])

    @property
    def applicant(self) -> Actor:
        return self.actor("applicant")

    @property
    def agency_actor(self) -> Actor:
        return self.actor("agency")

    @property
    def window(self) -> Actor:
        return self.actor("window")

    @property
    def approver(self) -> Actor:
        return self.actor("approver")

    @property
    def supervisor(self) -> Actor:
        return self.actor("supervisor")

    @property
    def operator(self) -> Actor:
        return self.actor("operator")

    @property
    def client_org(self) -> Organisation:
        return self.organisations["宏远"]

    def document(self, name: str = "report.pdf", body: str = "内容", *, by: Actor | None = None) -> Document:
        """A stored small PDF; call inside transaction()."""
        from kernel import files

        return files.put(io.BytesIO(small_pdf(body)), name, by=by or self.applicant)


def small_pdf(body: str = "content") -> bytes:
    """A valid one-page PDF whose bytes depend on ``body``."""
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.setTitle(body)
    canvas.drawString(72, 720, body.encode("ascii", "replace").decode())
    canvas.save()
    return out.getvalue()


_COPY = sql.SQL("CREATE TABLE {copy} AS TABLE {table}")
_BRING_BACK = sql.SQL(
    "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy} ON CONFLICT DO NOTHING"
)


@pytest.fixture(scope="session")
def townspeople(app: APIFlask, owner_engine: Engine, shipped_policies: int) -> str:
    """The demo's organisations and people, registered once and put by; answers the statements that bring them back."""
    town = demo.City()
    with transaction():
        sandbox.start_at(demo.START)
    clock.set_source(lambda: demo.START)  # nothing may have happened later than a test begins
    with pytest.MonkeyPatch.context() as cheaper, transaction():
        cheaper.setattr(passwords, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        demo._organisations(town)
        demo._people(town)
    session.remove()
    statements = []
    with owner_engine.connect() as connection:
        connection.execute(text("CREATE SCHEMA put_by"))
        for table in Base.metadata.sorted_tables:
            if table.name in REFERENCE or not connection.scalar(select(func.count()).select_from(table)):
                continue
            names = {
                "table": sql.Identifier(table.name),
                "copy": sql.Identifier("put_by", table.name),
                "columns": sql.SQL(", ").join(
                    sql.Identifier(one.name) for one in table.columns if one.computed is None
                ),
            }
            connection.exec_driver_sql(_COPY.format(**names).as_string())
            statements.append(_BRING_BACK.format(**names).as_string())
    return ";\n".join(statements)


@pytest.fixture
def world(portal: APIFlask, owner_engine: Engine, townspeople: str) -> World:
    """One agency that serves, one rival, a client with two projects, officers; committed."""
    town = demo.City()
    with owner_engine.connect() as connection:
        connection.exec_driver_sql(townspeople)
    with transaction():
        organisations = {one.name: one for one in session.scalars(select(Organisation)).unique()}
        people = {one.login: one for one in session.scalars(select(Person)).unique()}
        town.organisations = {short: organisations[full] for short, (_, full, _, _) in demo.ORGANISATIONS.items()}
        town.people = {login: people[login] for login, *_ in demo.PEOPLE}
        made = {}
        item = catalogue.by_code("ZJ-0506")
        shelf = {}
        for turn, short in enumerate(("清源", "绿洲")):
            organisation = town.organisations[short]
            actor = town.actor("agency" if short == "清源" else "agency2")
            made[short] = agencies.admit(organisation, by=actor, commitment_agreed=True, regions=["示例市"])
            shelf[short] = listings.draft(
                made[short], item, demo.demo_rule(item, turn), promised_working_days=10, by=actor
            )
            for number in range(3):
                agencies.file_practitioner(
                    made[short], f"工程师{number}", "注册工程师", f"ZC{short}{number}", valid_until=None, by=actor
                )
            listings.publish(shelf[short], by=actor)
        demo._projects(town)
    return World(
        portal=portal,
        organisations=town.organisations,
        people=town.people,
        agency=made["清源"],
        agency2=made["绿洲"],
        project=town.projects[0],
        other_project=town.projects[2],
        item=item,
        listing=shelf["清源"],
        listing2=shelf["绿洲"],
    )


@pytest.fixture
def client_as(world: World) -> Callable[[str], FlaskClient]:
    """A test client signed in through the sign-in page as one of the town's people."""

    def sign_in(login: str) -> FlaskClient:
        client = world.portal.test_client()
        world.portal.config["WTF_CSRF_ENABLED"] = False
        person = session.get(Person, world.people[login].id)
        assert person is not None
        answer = client.post(
            "/sign-in",
            data={"login": login, "password": demo.PASSWORD, "code": current_code(person)},
        )
        assert answer.status_code == 303, answer.get_data(as_text=True)
        return client

    return sign_in


@pytest.fixture(scope="session")
def worker_id() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")
