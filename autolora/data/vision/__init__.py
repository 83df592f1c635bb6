"""Images as tensors, and networks that look at them."""
