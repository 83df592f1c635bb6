"""Models and data as files: fetched, verified, prepared, split."""
