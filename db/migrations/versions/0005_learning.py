"""The learning loop: sides of signed cases, training runs, versions and which one is in service; traits of scored images.

Cases that are signed already get their sides in the order in which they were signed first.
"""

import sqlalchemy as sa
from alembic import op

from nucleus_app.domain.split import assign_split

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
STATES = (
    "state IN ('queued', 'preparing', 'training', 'judging', 'promoted', 'rejected', 'undecided', 'nothing', "
    "'failed', 'cancelled')"
)
OPEN = "(is_open IS NULL) = (state NOT IN ('queued', 'preparing', 'training', 'judging'))"


def upgrade() -> None:
    op.add_column("scoring", sa.Column("traits", sa.JSON, nullable=True))
    sides = op.create_table(
        "learning_case",
        sa.Column("case_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_learning_case"),
        sa.ForeignKeyConstraint(["case_id"], ["case_record.id"], name="fk_learning_case_case_id_case_record"),
        sa.UniqueConstraint("place", name="uq_learning_case_place"),
        sa.CheckConstraint("split IN ('train', 'validation', 'locked')", name=op.f("ck_learning_case_split")),
        sa.CheckConstraint("place >= 0", name=op.f("ck_learning_case_place")),
    )
    _create_runs()
    _create_versions()
    op.create_table(
        "trainer",
        sa.Column("slot", sa.String(64), nullable=False),
        sa.Column("doing", sa.String(200), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("slot", name="pk_trainer"),
    )
    _give_signed_cases_their_sides(sides)


def _create_runs() -> None:
    op.create_table(
        "training_run",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=True),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("requested_by", sa.String(60), nullable=False),
        sa.Column("queued", INSTANT, nullable=False),
        sa.Column("started", INSTANT, nullable=True),
        sa.Column("finished", INSTANT, nullable=True),
        sa.Column("holder", sa.String(64), nullable=True),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.Column("last_sign_off", sa.Integer, nullable=False),
        sa.Column("snapshot", sa.String(64), nullable=True),
        sa.Column("start_sha256", sa.String(64), nullable=True),
        sa.Column("candidate_sha256", sa.String(64), nullable=True),
        sa.Column("verdict", sa.JSON, nullable=True),
        sa.Column("error", sa.String(1000), nullable=True),
        sa.Column("is_cancelled", sa.Boolean, nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("device", sa.String(100), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_training_run"),
        sa.UniqueConstraint("is_open", name="uq_training_run_is_open"),
        sa.CheckConstraint(STATES, name=op.f("ck_training_run_state")),
        sa.CheckConstraint("cause IN ('fields', 'button')", name=op.f("ck_training_run_cause")),
        sa.CheckConstraint(OPEN, name=op.f("ck_training_run_open")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "training_event",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("event", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_training_event"),
        sa.ForeignKeyConstraint(["run_id"], ["training_run.id"], name="fk_training_event_run_id_training_run"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_training_event_run_id", "training_event", ["run_id"])


def _create_versions() -> None:
    op.create_table(
        "version",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("parent", sa.String(64), nullable=True),
        sa.Column("run_id", sa.Integer, nullable=True),
        sa.Column("created", INSTANT, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("learned", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_version"),
        sa.ForeignKeyConstraint(["run_id"], ["training_run.id"], name="fk_version_run_id_training_run"),
    )
    op.create_table(
        "activation",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_activation"),
        sa.ForeignKeyConstraint(["sha256"], ["version.sha256"], name="fk_activation_sha256_version"),
        sa.ForeignKeyConstraint(["run_id"], ["training_run.id"], name="fk_activation_run_id_training_run"),
        sa.CheckConstraint("reason IN ('promoted', 'chosen', 'refused')", name=op.f("ck_activation_reason")),
        sqlite_autoincrement=True,
    )


def _give_signed_cases_their_sides(sides: sa.Table) -> None:
    connection = op.get_bind()
    signatures = sa.table(
        "sign_off",
        *(sa.column(name, sa.Integer) for name in ("id", "case_id")),
        sa.column("kind", sa.String),
        sa.column("at", INSTANT),
    )
    images = sa.table("image", sa.column("case_id", sa.Integer), sa.column("is_synthetic", sa.Boolean))
    drawn = sa.select(images.c.case_id).where(images.c.is_synthetic)
    drawn = drawn.where(images.c.case_id.not_in(sa.select(images.c.case_id).where(~images.c.is_synthetic)))
    first = sa.select(sa.func.min(signatures.c.id)).where(signatures.c.kind == "signed").group_by(signatures.c.case_id)
    rows = sa.select(signatures.c.case_id, signatures.c.at).where(signatures.c.id.in_(first)).order_by(signatures.c.id)
    rows = rows.where(signatures.c.case_id.not_in(drawn))  # what the app drew itself teaches nothing and takes no place
    for place, (case_id, at) in enumerate(connection.execute(rows).all()):
        side = assign_split(place).value
        connection.execute(sa.insert(sides).values(case_id=case_id, place=place, split=side, at=at))
