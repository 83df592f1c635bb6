"""Pruners by name; one file each."""
