"""Engines and sessions, for SQLite on one machine and PostgreSQL on several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from nucleus_app.errors import StorageFull, is_disk_full

_WRITES = "nucleus_writes"


def create_store(url: str) -> Engine:
    """An engine for a SQLAlchemy URL. SQLite is set to WAL, enforced foreign keys and a patient busy timeout."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True)  # labels may be names, and errors go to logs
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver's guess
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=30000", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: upgrading later from a read would fail under another writer, whatever the timeout.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def take_turns(session: Session, table: str) -> None:
    """Until the end of this transaction no other one writes to the table or takes its turn, so that what is read of it stays
    true. On SQLite a writing transaction is alone anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))


@contextmanager
def session_scope(engine: Engine, *, write: bool = False) -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any error. Keep it small. Raises StorageFull."""
    try:
        with (
            engine.connect().execution_options(**{_WRITES: write}) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session
    except OperationalError as error:
        if is_disk_full(error):
            raise StorageFull from error
        raise
