"""The LLM of a device: one small interface, and what stands behind it."""
