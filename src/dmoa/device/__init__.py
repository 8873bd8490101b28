"""One member of the network: its queue, its LLM, its place among the others.

Nothing here knows of HTTP or of Zenoh.
"""
