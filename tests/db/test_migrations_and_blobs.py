from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

import db.migrate
from db.blobs import BlobStore
from db.cases import get_case_record
from db.edits import LoggedEdit, append_edits, find_review, list_reviews, put_review
from db.engine import create_store, session_scope
from db.images import NewImage, add_image, list_images, rename_image
from db.learning_cases import learn_from, list_splits
from db.migrate import migrate
from db.runs import list_runs
from db.scorings import get_nuclei, get_scoring, put_tile, queue_scoring
from db.tables import Table
from db.versions import find_active
from nucleus_app.domain.edits import Delete, SignedEdit
from nucleus_app.domain.nuclei import Nuclei
from nucleus_app.domain.packing import pack_nuclei, unpack_nuclei
from nucleus_app.domain.review import Review
from nucleus_app.domain.scale import PixelSize
from nucleus_app.domain.sheet import CaseSheet, FieldPlan
from nucleus_app.domain.split import Split, assign_split
from nucleus_app.errors import NotFound, StorageFull

NOW = datetime(2026, 1, 2, tzinfo=UTC)
OURS = {"case_record", "case_change", "sign_off", "image", "scoring", "scoring_tile", "edit", "review", "roi_map"}
OURS |= {"learning_case", "training_run", "training_event", "version", "activation", "trainer", "slide", "slide_field"}


def test_migrations_build_exactly_the_tables_of_the_code(database_url: str) -> None:
    engine = create_store(database_url)
    migrate(engine)
    with engine.connect() as connection:

        def ours(name: str | None, kind: str, parents: dict[str, str | None]) -> bool:
            return kind != "table" or name in OURS

        context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
        unnamed = [
            constraint
            for table in OURS
            for constraint in inspect(connection).get_foreign_keys(table)
            + inspect(connection).get_check_constraints(table)
            if not constraint["name"]
        ]
    assert unnamed == []
    migrate(engine)  # again is fine
    engine.dispose()


LATER_REVISION = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "9999", "HEAD", None, None
def upgrade() -> None:
    with op.batch_alter_table("image", recreate="always") as table:
        table.add_column(sa.Column("stain", sa.String(10), nullable=True))
"""


def test_an_upgrade_backs_up_first_and_keeps_the_rows_of_rebuilt_tables_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    migrate(engine)
    with session_scope(engine, write=True) as session:
        image = add_image(session, NewImage("a", "b", "first", "PNG", 40, 40, None, ()), NOW)
        put_tile(session, queue_scoring(session, image.id, PixelSize(0.5, "x"), NOW), 0, Nuclei.empty(), NOW)
    shutil.copytree(db.migrate.MIGRATIONS, tmp_path / "migrations")
    head = max(path.name[:4] for path in (tmp_path / "migrations/versions").glob("0*.py"))
    (tmp_path / "migrations/versions/9999_later.py").write_text(LATER_REVISION.replace("HEAD", head))
    monkeypatch.setattr(db.migrate, "MIGRATIONS", tmp_path / "migrations")
    with closing(
        sqlite3.connect(tmp_path / "store.sqlite")
    ) as reader:  # so that what was written last stays in the journal
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM image").fetchone() == (1,)
        with session_scope(engine, write=True) as session:
            rename_image(session, image.id, "kept")
        db.migrate._back_up(engine, "early")
    with closing(sqlite3.connect(tmp_path / "store.sqlite.before-early")) as copy:
        assert copy.execute("SELECT label FROM image").fetchall() == [("kept",)]
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT stain IS NULL FROM image WHERE label = 'kept'")) == 1
        assert connection.scalar(text("SELECT count(*) FROM scoring_tile")) == 1
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    engine.dispose()
    backup = create_store(f"sqlite:///{tmp_path}/store.sqlite.before-{head}")
    with session_scope(backup) as session:
        assert [image.label for image in list_images(session, 99)] == ["kept"]
    backup.dispose()


OLD_ROWS = (
    "INSERT INTO image (id, sha256, blob, label, format, width_px, height_px, notes, is_synthetic, taken_in)"
    " VALUES (7, 's', 'b', 'kept', 'PNG', 4, 4, '[]', false, '2026-01-01 00:00:00')",
    "INSERT INTO scoring (id, image_id, state, mpp, mpp_source, queued, positive, negative, other, thresholds)"
    " VALUES (1, 7, 'done', 0.5, 'x', '2026-01-01 00:00:00', 1, 2, 3, '[0.3, 0.3, 0.4]')",
    "INSERT INTO scoring (id, image_id, state, mpp, mpp_source, queued) VALUES (2, 7, 'running', 0.5, 'x', '2026-01-01 00:00:00')",
)


def test_scorings_of_the_first_release_are_read_after_the_upgrade(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_store(database_url)
    shutil.copytree(db.migrate.MIGRATIONS, tmp_path / "first", ignore=shutil.ignore_patterns("000[2-9]*"))
    with monkeypatch.context() as first_release:
        first_release.setattr(db.migrate, "MIGRATIONS", tmp_path / "first")
        migrate(engine)
    with session_scope(engine, write=True) as session:
        for row in OLD_ROWS:
            session.execute(text(row))
    migrate(engine)
    with session_scope(engine) as session:
        done, running = (get_scoring(session, scoring_id) for scoring_id in (1, 2))
    assert (done.counts, done.oddities, done.confirmed, done.version.confidence) == ((1, 2, 3), (), False, None)
    assert (running.is_open, running.oddities, running.confirmed) == (True, (), False)
    with session_scope(engine) as session:  # each image has become a case with one field, the whole image
        [image] = list_images(session, 9)
        case = get_case_record(session, image.case_id)
    assert (case.rev, case.sheet) == (1, CaseSheet(label=f"Case {case.id}", fields=(FieldPlan(1, 7),)))
    engine.dispose()


def test_a_scoring_of_the_second_release_can_be_corrected_after_the_upgrade(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_store(database_url)
    shutil.copytree(db.migrate.MIGRATIONS, tmp_path / "second", ignore=shutil.ignore_patterns("000[3-9]*"))
    with monkeypatch.context() as second_release:
        second_release.setattr(db.migrate, "MIGRATIONS", tmp_path / "second")
        migrate(engine)
    nuclei = Nuclei.from_arrays([[1, 1], [2, 2]], [0, 1], [0.9, 0.35])
    with session_scope(engine, write=True) as session:
        for row in OLD_ROWS:
            session.execute(text(row))
        session.execute(text("UPDATE scoring SET nuclei = :packed WHERE id = 1"), {"packed": pack_nuclei(nuclei)})
    migrate(engine)
    with session_scope(engine, write=True) as session:
        assert list_reviews(session, [1, 2]) == {}
        review = Review(unpack_nuclei(get_nuclei(session, 1)), get_scoring(session, 1).version.thresholds, (4, 4))
        was = review.apply(SignedEdit("c", 1, "a", Delete((0,))))
        append_edits(session, 1, [LoggedEdit(1, "c", 1, "a", "", NOW, {"op": "delete", "ids": [0]}, was)])
        put_review(session, 1, 1, review.tally, NOW)
    with session_scope(engine) as session:
        assert find_review(session, 1).tally.counts == (0, 1, 0)
        assert get_scoring(session, 1).counts == (1, 2, 3)  # the network's own counts are as they were
    engine.dispose()


SIGNED_CASES = (
    *(
        f"INSERT INTO case_record (id, rev, sheet, created) VALUES ({id_}, 1, '{{}}', '2026-01-01 00:00:00')"
        for id_ in range(1, 12)
    ),
    "INSERT INTO image (id, sha256, blob, label, format, width_px, height_px, notes, is_synthetic, taken_in, case_id)"
    " VALUES (1, 'a', 'a', 'drawn by the app', 'PNG', 9, 9, '[]', true, '2026-01-01 00:00:00', 10)",
    *(
        "INSERT INTO sign_off (id, case_id, revision, kind, reader, reason, at, report) VALUES"
        f" ({id_}, {case_id}, {revision}, '{kind}', 'Dr. A', '', '2026-02-{id_:02} 00:00:00', {report})"
        for id_, (case_id, revision, kind, report) in enumerate(
            [
                *((case_id, 1, "signed", "'f'") for case_id in (10, 7, 3, 9)),
                (7, 2, "reopened", "NULL"),
                (1, 1, "signed", "'f'"),
                (7, 2, "signed", "'f'"),
                *((case_id, 1, "signed", "'f'") for case_id in (2, 11, 4, 8)),
            ],
            1,
        )
    ),
)


def test_cases_that_were_signed_before_the_upgrade_take_sides_in_the_order_of_their_first_signature(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_store(database_url)
    shutil.copytree(db.migrate.MIGRATIONS, tmp_path / "fourth", ignore=shutil.ignore_patterns("000[5-9]*"))
    with monkeypatch.context() as fourth_release:
        fourth_release.setattr(db.migrate, "MIGRATIONS", tmp_path / "fourth")
        migrate(engine)
    with session_scope(engine, write=True) as session:
        for row in SIGNED_CASES:
            session.execute(text(row))
    migrate(engine)
    order = [7, 3, 9, 1, 2, 11, 4, 8]
    with session_scope(engine, write=True) as session:
        assert list_splits(session, list(range(1, 12))) == {id_: assign_split(n) for n, id_ in enumerate(order)}
        assert Counter(list_splits(session).values()) == {Split.TRAIN: 4, Split.VALIDATION: 2, Split.LOCKED: 2}
        assert learn_from(session, 3, NOW) == assign_split(1)  # reopened and signed again it stays where it is
        assert learn_from(session, 5, NOW) == assign_split(8)  # and the next one goes on from there
        assert find_active(session) is None
        assert list_runs(session, 9) == []
    engine.dispose()


def test_foreign_keys_are_enforced_after_a_migration(tmp_path: Path) -> None:
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
    engine.dispose()


def test_the_same_bytes_are_one_blob(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path / "blobs"))
    name = store.put(b"pixels")
    assert store.put(b"pixels") == name
    assert store.get(name) == b"pixels"
    assert len([p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]) == 1


def test_blobs_live_in_any_fsspec_store() -> None:
    store = BlobStore("memory://somewhere")
    assert store.get(store.put(b"pixels")) == b"pixels"


@pytest.mark.parametrize("url", ["{folder}", "memory://left-behind"])
def test_what_killed_writers_left_behind_goes_after_a_day(url: str, tmp_path: Path) -> None:
    store = BlobStore(url.format(folder=tmp_path))
    store.sweep()  # nothing is there yet
    name = store.put(b"whole")
    for part in ("old", "new"):
        store._files.pipe_file(f"{store._root}/partial/{part}", b"half")
    if url != "memory://left-behind":
        os.utime(tmp_path / "partial/old", (0, 0))
    else:
        store._files.store[f"{store._root}/partial/old"].modified -= timedelta(days=2)
    store.sweep()
    assert [Path(path).name for path in store._files.ls(f"{store._root}/partial", detail=False)] == ["new"]
    assert store.get(name) == b"whole"


def test_missing_and_damaged_blobs_are_named(tmp_path: Path) -> None:
    store = BlobStore(str(tmp_path))
    name = store.put(b"pixels")
    (tmp_path / name[:2] / name).write_bytes(b"pixel5")
    with pytest.raises(NotFound, match="damaged"):
        store.get(name)
    with pytest.raises(NotFound, match="missing"):
        store.get("0" * 64)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = BlobStore(str(tmp_path))

    def full(path: str, content: bytes) -> None:
        Path(path).write_bytes(content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._files, "pipe_file", full)
    with pytest.raises(StorageFull, match="disk is full"):
        store.put(b"pixels")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
