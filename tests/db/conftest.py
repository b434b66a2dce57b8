"""A migrated store on each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.engine import create_store
from db.migrate import migrate


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    store = create_store(database_url)
    migrate(store)
    yield store
    store.dispose()
