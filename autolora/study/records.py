"""Our tables, beside Optuna's in the same database.

They refer to Optuna by study name and trial number, without foreign keys: Optuna and its
dashboard delete studies in ways that a key from us would forbid. Times are seconds since 1970.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

PREFIX = "autolora_"
VERSION_TABLE = "autolora_alembic_version"

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)

studies = Table(
    f"{PREFIX}studies",
    metadata,
    Column("name", String(512), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("description", JSON, nullable=False),
    Column("targets", JSON, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("objective", JSON, nullable=False),
    Column("directions", JSON, nullable=False),
    Column("budget_parameters", BigInteger),
    Column("head_parameters", BigInteger, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("created", Float, nullable=False),
    # run | pause | stop: what its workers are to do next
    Column("wish", String(16), nullable=False, server_default="run"),
)

# `claimed` is the digest again in the one trial that trains it; no two trials can hold it.
trials = Table(
    f"{PREFIX}trials",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("arm", String(128), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("claimed", String(64)),
    Column("allocation", JSON, nullable=False),
    Column("configuration", JSON, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("objectives", JSON),
    Column("loss", Float),
    Column("metrics", JSON),
    Column("reason", Text),
    Column("reused_from", Integer),
    Column("example_passes", BigInteger, nullable=False, default=0),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("peak_bytes", BigInteger, nullable=False, default=0),
    UniqueConstraint("study", "claimed"),
)

# Who works on a trial, until when without a further sign of life, and why that ended: see lease.py
# and reasons.py. Whose row has `ended` may write nothing for the trial any more.
attempts = Table(
    f"{PREFIX}attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", String(512), nullable=False),
    Column("trial", Integer),
    Column("attempt", Integer, nullable=False),
    Column("worker", String(256), nullable=False),
    Column("started", Float, nullable=False),
    Column("seen", Float, nullable=False),
    Column("ended", Float),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("lease_until", Float),
    Column("kind", String(16)),
    UniqueConstraint("study", "trial"),
)

# Losses are null where they were not a number.
curves = Table(
    f"{PREFIX}curves",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("train_loss", Float),
    Column("valid_loss", Float),
    Column("learning_rate", Float, nullable=False),
)

# One for each arm: that of its best trial. `score` is the first objective, less is better.
adapters = Table(
    f"{PREFIX}adapters",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("arm", String(128), primary_key=True),
    Column("trial", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("allocation", JSON, nullable=False),
    Column("tensors", LargeBinary, nullable=False),
)

finals = Table(
    f"{PREFIX}finals",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("arm", String(128), primary_key=True),
    Column("seed", BigInteger, primary_key=True, autoincrement=False),
    Column("metric", String(128), primary_key=True),
    Column("trial", Integer, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("value", Float, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
)

# What strategies that do their own work have done: see autolora/spending/journal.py.
stages = Table(
    f"{PREFIX}stages",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("key", String(64), primary_key=True),
    Column("name", String(128), nullable=False),
    Column("example_passes", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("data", JSON, nullable=False),
    Column("adapter", LargeBinary),
    Column("kept", Float, nullable=False),
)

# What such a strategy found at a seed: its ledger, and what led to it.
works = Table(
    f"{PREFIX}works",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("arm", String(128), primary_key=True),
    Column("seed", BigInteger, primary_key=True, autoincrement=False),
    Column("ledger", JSON, nullable=False),
    Column("about", JSON, nullable=False),
)

# Allocations that were evaluated without being trained: thousands, so they are no trials.
evaluations = Table(
    f"{PREFIX}evaluations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study", String(512), nullable=False),
    Column("stage", String(64), nullable=False),
    Column("allocation", String(64), nullable=False),
    Column("sample", String(64), nullable=False),
    Column("loss", Float),
    Column("examples", Integer, nullable=False),
    Column("example_passes", Integer, nullable=False),
)

# The loss of every test example, as float64 one after the other, and its weight.
losses = Table(
    f"{PREFIX}losses",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("arm", String(128), primary_key=True),
    Column("seed", BigInteger, primary_key=True, autoincrement=False),
    Column("losses", LargeBinary, nullable=False),
    Column("weights", LargeBinary, nullable=False),
)

# Where the run of a trial stood at its latest evaluation: see standing.py. `digest` is that of the
# content.
checkpoints = Table(
    f"{PREFIX}checkpoints",
    metadata,
    Column("study", String(512), primary_key=True),
    Column("trial", Integer, primary_key=True, autoincrement=False),
    Column("step", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("saved", Float, nullable=False),
)

OF_A_STUDY = (
    trials,
    attempts,
    curves,
    adapters,
    finals,
    stages,
    works,
    evaluations,
    losses,
    checkpoints,
)
