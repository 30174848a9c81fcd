"""Development only: write the first migration from the records, until the first release freezes it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

import app
from kernel import cluster as clusters
from kernel import numbers, sandbox, schema

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ROOT / "kernel" / "migrations" / "versions"


def main() -> None:
    print(f"{len(app.db.metadata.tables)} tables")
    for old in VERSIONS.glob("*.py"):
        old.unlink()
    running = clusters.start(ROOT / "var" / "test")
    running.drop_database("first_migration")
    running.ensure_database("first_migration")
    engine = create_engine(running.owner_url("first_migration"))
    with engine.begin() as connection:
        command.revision(schema.alembic_config(connection), "the ground", autogenerate=True, rev_id="0001_ground")
    engine.dispose()
    (path,) = VERSIONS.glob("*.py")
    source = path.read_text(encoding="utf-8")
    sequences = "".join(
        f'    op.execute(sa.schema.CreateSequence(sa.Sequence("number_{prefix.lower()}")))\n'
        for prefix in sorted(numbers.prefixes())
    )
    function = '    op.execute("""' + sandbox.PORTAL_NOW_SQL + '""")\n'
    marker = "    # ### end Alembic commands ###"
    source = source.replace(marker, sequences + function + marker, 1).replace("kernel.db.Instant(", "sa.DateTime(")
    while "kernel.db.WordColumn(" in source:
        start = source.index("kernel.db.WordColumn(")
        source = source[:start] + "sa.Text()" + source[source.index(")", start) + 1 :]
    final = VERSIONS / "0001_ground.py"
    path.unlink()
    final.write_text(source, encoding="utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "check", "--fix-only", "-q", str(final)], check=False)
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(final)], check=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
