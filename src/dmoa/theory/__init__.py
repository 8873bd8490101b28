"""What a network can afford, by formula: stability, latency, and the planner on top of them."""
