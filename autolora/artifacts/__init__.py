"""Adapters as files: captured, checked, saved, loaded."""
