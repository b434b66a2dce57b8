"""Whole slides, and where images were cut out of them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "slide",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("file", sa.String(64), nullable=False),
        sa.Column("maker", sa.String(32), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("mpp", sa.Double, nullable=True),
        sa.Column("mpp_source", sa.String(64), nullable=True),
        sa.Column("taken_in", INSTANT, nullable=False),
        sa.Column("removed", INSTANT, nullable=True),
        sa.Column("case_id", sa.Integer, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_slide"),
        sa.ForeignKeyConstraint(["case_id"], ["case_record.id"], name="fk_slide_case_id_case_record"),
        sa.CheckConstraint("width_px > 0 AND height_px > 0", name=op.f("ck_slide_size")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "slide_field",
        sa.Column("image_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("slide_id", sa.Integer, nullable=False),
        sa.Column("left_px", sa.Integer, nullable=False),
        sa.Column("top_px", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_slide_field"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="fk_slide_field_image_id_image"),
        sa.ForeignKeyConstraint(["slide_id"], ["slide.id"], name="fk_slide_field_slide_id_slide"),
    )
    op.create_index("ix_slide_field_slide_id", "slide_field", ["slide_id"])
