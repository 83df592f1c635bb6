"""Faults that are put to real processes, and what is counted of a study afterwards."""
