"""Torture: random schedules of faults that look for what no test thinks of.

A module a kind. Each has `torture(seed, seconds)`, which runs schedules of the seeds `seed`,
`seed + 1`, ... for about so many seconds, prints what fails so that it can be run again, and
returns what it found for one JSON line; its `failed` lists the seeds that failed.
"""
