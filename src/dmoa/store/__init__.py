"""What a device must not forget: one SQLite file, written by a thread of its own."""
