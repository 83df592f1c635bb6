"""How Alembic meets a database that Optuna's own migrations share."""

from alembic import context

from autolora.study.schema import OPTIONS

context.configure(
    connection=context.config.attributes["connection"], render_as_batch=True, **OPTIONS
)
with context.begin_transaction():
    context.run_migrations()
