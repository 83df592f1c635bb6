"""Leases of trials, why attempts ended, what a study is wished to do, checkpoints of trials."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


# SQLite cannot roll a table back: what a killed first attempt left is kept.
def upgrade() -> None:
    _add("autolora_attempts", sa.Column("lease_until", sa.Float(), nullable=True))
    _add("autolora_attempts", sa.Column("kind", sa.String(length=16), nullable=True))
    wish = sa.Column("wish", sa.String(length=16), server_default="run", nullable=False)
    _add("autolora_studies", wish)
    op.create_table(
        "autolora_checkpoints",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("trial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("saved", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("study", "trial", name="pk_autolora_checkpoints"),
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_table("autolora_checkpoints")
    op.drop_column("autolora_studies", "wish")
    op.drop_column("autolora_attempts", "kind")
    op.drop_column("autolora_attempts", "lease_until")


def _add(table: str, column: sa.Column[Any]) -> None:
    known = {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}
    if column.name not in known:
        op.add_column(table, column)
