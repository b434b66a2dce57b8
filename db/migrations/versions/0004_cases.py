"""Cases with their sheets, and sign-off. Every image that was there becomes a case with one field, as an upload does."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    cases = op.create_table(
        "case_record",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("rev", sa.Integer, nullable=False),
        sa.Column("sheet", sa.JSON, nullable=False),
        sa.Column("created", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_case_record"),
        sa.CheckConstraint("rev >= 0", name=op.f("ck_case_record_rev")),
        sqlite_autoincrement=True,
    )
    changes = op.create_table(
        "case_change",
        sa.Column("case_id", sa.Integer, nullable=False),
        sa.Column("rev", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("reader", sa.String(60), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("sheet", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "rev", name="pk_case_change"),
        sa.ForeignKeyConstraint(["case_id"], ["case_record.id"], name="fk_case_change_case_id_case_record"),
    )
    op.create_table(
        "sign_off",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("case_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reader", sa.String(60), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("report", sa.String(64), nullable=True),
        sa.Column("shown", sa.String(16), nullable=True),
        sa.Column("class_name", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sign_off"),
        sa.ForeignKeyConstraint(["case_id"], ["case_record.id"], name="fk_sign_off_case_id_case_record"),
        sa.UniqueConstraint("case_id", "revision", "kind", name="uq_sign_off_case_id_revision_kind"),
        sa.CheckConstraint("kind IN ('signed', 'reopened')", name=op.f("ck_sign_off_kind")),
        sa.CheckConstraint("(kind = 'signed') = (report IS NOT NULL)", name=op.f("ck_sign_off_report")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("image") as table:
        table.add_column(sa.Column("case_id", sa.Integer, nullable=True))
    _give_each_image_a_case(cases, changes)
    with op.batch_alter_table("image", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.alter_column("case_id", existing_type=sa.Integer, nullable=False)
        table.create_foreign_key("fk_image_case_id_case_record", "case_record", ["case_id"], ["id"])
        table.create_index("ix_image_case_id", ["case_id"])


def _give_each_image_a_case(cases: sa.Table, changes: sa.Table) -> None:
    connection = op.get_bind()
    images = sa.table("image", sa.column("id", sa.Integer), sa.column("case_id", sa.Integer))
    now = datetime.now(UTC)
    for image_id in connection.execute(sa.select(images.c.id).order_by(images.c.id)).scalars().all():
        case_id = connection.execute(
            sa.insert(cases).values(rev=1, sheet={}, created=now).returning(cases.c.id)
        ).scalar_one()
        field = {"id": 1, "image": image_id, "name": "", "role": "field", "box": None}
        # Not the image's label, which may be a file's name: reports travel.
        sheet = {"label": f"Case {case_id}", "fields": [field]}
        connection.execute(sa.update(cases).where(cases.c.id == case_id).values(sheet=sheet))
        connection.execute(sa.insert(changes).values(case_id=case_id, rev=1, reader="", at=now, sheet=sheet))
        connection.execute(sa.update(images).where(images.c.id == image_id).values(case_id=case_id))
