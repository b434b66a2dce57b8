"""Images, scorings and the tiles of running scorings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "image",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("blob", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("width_px", sa.Integer, nullable=False),
        sa.Column("height_px", sa.Integer, nullable=False),
        sa.Column("mpp", sa.Double, nullable=True),
        sa.Column("mpp_source", sa.String(64), nullable=True),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("is_synthetic", sa.Boolean, nullable=False),
        sa.Column("taken_in", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_image"),
        sa.CheckConstraint("width_px > 0 AND height_px > 0", name=op.f("ck_image_size")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_image_sha256", "image", ["sha256"])
    op.create_table(
        "scoring",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("image_id", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("mpp", sa.Double, nullable=False),
        sa.Column("mpp_source", sa.String(64), nullable=False),
        sa.Column("tiles_total", sa.Integer, nullable=True),
        sa.Column("queued", INSTANT, nullable=False),
        sa.Column("started", INSTANT, nullable=True),
        sa.Column("finished", INSTANT, nullable=True),
        sa.Column("error", sa.String(1000), nullable=True),
        sa.Column("version_name", sa.String(100), nullable=True),
        sa.Column("version_sha256", sa.String(64), nullable=True),
        sa.Column("thresholds", sa.JSON, nullable=True),
        sa.Column("app_version", sa.String(32), nullable=True),
        sa.Column("positive", sa.Integer, nullable=True),
        sa.Column("negative", sa.Integer, nullable=True),
        sa.Column("other", sa.Integer, nullable=True),
        sa.Column("nuclei", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_scoring"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="fk_scoring_image_id_image"),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name=op.f("ck_scoring_state")),
        sa.CheckConstraint("mpp > 0", name=op.f("ck_scoring_mpp")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_scoring_image_id", "scoring", ["image_id"])
    op.create_table(
        "scoring_tile",
        sa.Column("scoring_id", sa.Integer, nullable=False),
        sa.Column("tile", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("nuclei", sa.LargeBinary, nullable=False),
        sa.Column("finished", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("scoring_id", "tile", name="pk_scoring_tile"),
        sa.ForeignKeyConstraint(
            ["scoring_id"], ["scoring.id"], name="fk_scoring_tile_scoring_id_scoring", ondelete="CASCADE"
        ),
    )
