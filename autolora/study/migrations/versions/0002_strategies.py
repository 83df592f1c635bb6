"""What strategies do: stages, works, cheap evaluations; and losses of single test examples."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# SQLite cannot roll a table back: what a killed first attempt left is kept.
def upgrade() -> None:
    op.create_table(
        "autolora_stages",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("example_passes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("adapter", sa.LargeBinary(), nullable=True),
        sa.Column("kept", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("study", "key", name="pk_autolora_stages"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_works",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("arm", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ledger", sa.JSON(), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("study", "arm", "seed", name="pk_autolora_works"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_evaluations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("stage", sa.String(length=64), nullable=False),
        sa.Column("allocation", sa.String(length=64), nullable=False),
        sa.Column("sample", sa.String(length=64), nullable=False),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("examples", sa.Integer(), nullable=False),
        sa.Column("example_passes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autolora_evaluations"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_losses",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("arm", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("losses", sa.LargeBinary(), nullable=False),
        sa.Column("weights", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("study", "arm", "seed", name="pk_autolora_losses"),
        if_not_exists=True,
    )


def downgrade() -> None:
    for table in ("losses", "evaluations", "works", "stages"):
        op.drop_table(f"autolora_{table}")
