"""How devices reach each other: one small interface, Zenoh behind it, and an in-memory twin."""
