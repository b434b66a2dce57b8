"""Bringing a database to the schema of this code, with a backup first."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from dbos import DBOS
from sqlalchemy import Engine, text

MIGRATIONS = Path(__file__).parent / "migrations"
logger = logging.getLogger(__name__)


def migrate(engine: Engine) -> None:
    """Create or upgrade our tables and those of the job queue, which share one database."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current != head:
        if current is not None:
            _back_up(engine, current)
        _upgrade(engine, config)
    DBOS.migrate(engine.url.render_as_string(hide_password=False))


def _upgrade(engine: Engine, config: Config) -> None:
    with engine.connect() as connection:
        sqlite = engine.dialect.name == "sqlite"
        if sqlite:
            # Batch mode rebuilds tables; with enforcement on that would delete the rows of their children.
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if sqlite:
            broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
            if broken:
                raise RuntimeError(
                    f"migration would leave {len(broken)} rows without their parent; nothing was changed"
                )
        connection.commit()
    if sqlite:
        engine.dispose()  # the next connections enforce foreign keys again


def _back_up(engine: Engine, revision: str) -> None:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return
    source = Path(engine.url.database)
    copy = source.with_name(f"{source.name}.before-{revision}")
    copy_database(source, copy)
    logger.info("database backed up before migration as %s", copy.name)


def copy_database(source: Path, copy: Path) -> None:
    """A SQLite file as it is at one moment, whole, also while other processes write to it."""
    partial = copy.with_name(f"{copy.name}.partial")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(source)) as database, closing(sqlite3.connect(partial)) as kept:
        database.backup(kept)
    for log in ("-wal", "-shm"):  # of the copy that this one replaces: it would be read into it
        copy.with_name(f"{copy.name}{log}").unlink(missing_ok=True)
    partial.replace(copy)
