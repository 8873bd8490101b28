"""Event by event: what FCFS alone cannot do, such as a choice of plans, priorities and failures."""
