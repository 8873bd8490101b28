"""What real LLM servers and clients do, end to end: from a server's bytes to a client's."""
