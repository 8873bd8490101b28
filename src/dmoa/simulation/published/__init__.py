"""What the paper and its script published, reproduced."""
