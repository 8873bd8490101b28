"""The `dmoa` command: one thin file a command; `main.py` lists them as a tour.

No file here imports a heavy library at its top, so that `dmoa --help` stays quick.
"""
