"""First come, first served: one entry in the calendar for each prompt and layer."""
