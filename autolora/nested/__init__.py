"""What one run at a high rank tells of every lower allocation: truncation, scores, allocation."""
