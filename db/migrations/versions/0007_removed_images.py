"""Images that were removed, and those of which the pixels are gone since."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("removed", "deleted"):
        op.add_column("image", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
