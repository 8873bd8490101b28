"""Ollama's own API: `/api/chat` and the like."""
