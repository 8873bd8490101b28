"""Choosing one of the drafts of a committee instead of writing another answer.

`consensus` and `vote` need nothing but the drafts; `ranker` adds what was learnt from
judged drafts and what is known of each peer (`peers`). All are pure functions on texts in
plain Python: they know nothing of devices, networks or LLMs, and run in milliseconds.
"""
