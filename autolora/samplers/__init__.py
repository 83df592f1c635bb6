"""Samplers by name; one file each."""
