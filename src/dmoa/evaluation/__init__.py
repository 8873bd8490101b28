"""How good the answers are, and at what cost."""
