"""One prompt on its way: Algorithm 1 of arXiv 2412.21200 on devices that fail.

It knows a committee, a clock and a random generator; nothing of HTTP, Zenoh or llama.cpp.
`PROTOCOL.md` beside this file has the words, the messages and the invariants.
"""
