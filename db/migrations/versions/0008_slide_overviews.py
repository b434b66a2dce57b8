"""A small picture of the slide that a field was cut out of, kept with the field: the slide's file goes after a while."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("slide_field", sa.Column("overview", sa.String(64), nullable=True))
