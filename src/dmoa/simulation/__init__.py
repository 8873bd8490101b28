"""What a network does, by simulation: from four devices to a million."""
