"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# SQLite cannot roll a table back: what a killed first attempt left is kept.
def upgrade() -> None:
    op.create_table(
        "autolora_adapters",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("arm", sa.String(length=128), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("allocation", sa.JSON(), nullable=False),
        sa.Column("tensors", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("study", "arm", name="pk_autolora_adapters"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_attempts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=256), nullable=False),
        sa.Column("started", sa.Float(), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.Column("ended", sa.Float(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_autolora_attempts"),
        sa.UniqueConstraint("study", "trial", name="uq_autolora_attempts_study"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_curves",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("trial", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("train_loss", sa.Float(), nullable=True),
        sa.Column("valid_loss", sa.Float(), nullable=True),
        sa.Column("learning_rate", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("study", "trial", "step", name="pk_autolora_curves"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_finals",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("arm", sa.String(length=128), nullable=False),
        sa.Column("seed", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(length=128), nullable=False),
        sa.Column("trial", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("study", "arm", "seed", "metric", name="pk_autolora_finals"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_studies",
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("description", sa.JSON(), nullable=False),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("objective", sa.JSON(), nullable=False),
        sa.Column("directions", sa.JSON(), nullable=False),
        sa.Column("budget_parameters", sa.BigInteger(), nullable=True),
        sa.Column("head_parameters", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_autolora_studies"),
        if_not_exists=True,
    )
    op.create_table(
        "autolora_trials",
        sa.Column("study", sa.String(length=512), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("arm", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("claimed", sa.String(length=64), nullable=True),
        sa.Column("allocation", sa.JSON(), nullable=False),
        sa.Column("configuration", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("objectives", sa.JSON(), nullable=True),
        sa.Column("loss", sa.Float(), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("reused_from", sa.Integer(), nullable=True),
        sa.Column("example_passes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("peak_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study", "number", name="pk_autolora_trials"),
        sa.UniqueConstraint("study", "claimed", name="uq_autolora_trials_study"),
        if_not_exists=True,
    )


def downgrade() -> None:
    for name in ("trials", "studies", "finals", "curves", "attempts", "adapters"):
        op.drop_table(f"autolora_{name}")
