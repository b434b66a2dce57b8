"""What was odd about an image, whether a person had it scored all the same, and how proximity becomes confidence."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("scoring", sa.Column("oddities", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("scoring", sa.Column("confidence", sa.JSON, nullable=True))
    op.add_column("scoring", sa.Column("confirmed", sa.Boolean, nullable=False, server_default=sa.false()))
