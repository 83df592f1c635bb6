"""What a search finds, and what it costs: tasks on which allocations matter, from tiny to real."""
