"""Backends by name: where trials run; one file each."""
