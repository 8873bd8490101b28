"""Speed, measured: one module a question, each ending with one JSON line."""
