"""One device as a process: its settings, its identity, what it keeps, its upkeep."""
