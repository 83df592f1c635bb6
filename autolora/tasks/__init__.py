"""Tasks: a model, data in three splits, a loss and metrics; one file each."""
