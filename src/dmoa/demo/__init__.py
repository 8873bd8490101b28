"""The demo: real devices on this machine, in two acts, `prompts` and `quiz`."""
