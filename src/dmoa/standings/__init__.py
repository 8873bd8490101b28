"""Who is good at what: a device examines its peers and itself, and decides whom to ask.

Questions whose answers are known (`questions`) are asked in idle time, as ordinary tasks, when
the `schedule` says so; answers are graded (`grading`) and kept as outcomes (`outcomes`), one
record a device and model, or a plan. `decision` turns them into plans with a quality, from which
`policies.plans` takes the best. Nothing here does I/O but for reading files of questions, and
nothing is ever taken from what a peer says of itself.
"""
