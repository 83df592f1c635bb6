"""Strategies by name: how a budget of compute is spent; one file each."""
