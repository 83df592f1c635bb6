"""The study: a stored search."""
