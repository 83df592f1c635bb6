"""The history of our tables, applied by Alembic when a search opens a database."""
