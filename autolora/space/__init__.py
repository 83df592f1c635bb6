"""Search spaces: which targets, which ranks, which training ranges."""
