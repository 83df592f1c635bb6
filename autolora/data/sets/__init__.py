"""Data sets of ours, one a file: their columns are named by the roles that tasks know."""
