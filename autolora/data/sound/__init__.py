"""Recordings: read, resampled, turned into what a model hears, and kept."""
