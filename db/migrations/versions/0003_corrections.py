"""Corrections of a scoring as a log, what they come to, and the network's own map of tumour."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "edit",
        sa.Column("scoring_id", sa.Integer, nullable=False),
        sa.Column("rev", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("reader", sa.String(60), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("op", sa.JSON, nullable=False),
        sa.Column("was", sa.JSON, nullable=True),
        sa.PrimaryKeyConstraint("scoring_id", "rev", name="pk_edit"),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.id"], name="fk_edit_scoring_id_scoring"),
        sa.UniqueConstraint("scoring_id", "client", "seq", name="uq_edit_scoring_id_client_seq"),
        sa.CheckConstraint("rev > 0 AND seq > 0", name=op.f("ck_edit_order")),
    )
    op.create_table(
        "review",
        sa.Column("scoring_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("rev", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("positive", "negative", "other")),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("left_out", "edited", "placed", "deleted")),
        sa.Column("updated", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("scoring_id", name="pk_review"),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.id"], name="fk_review_scoring_id_scoring"),
    )
    op.create_table(
        "roi_map",
        sa.Column("scoring_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("cells", sa.JSON, nullable=True),
        sa.Column("error", sa.String(1000), nullable=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("created", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("scoring_id", name="pk_roi_map"),
        sa.ForeignKeyConstraint(["scoring_id"], ["scoring.id"], name="fk_roi_map_scoring_id_scoring"),
    )
