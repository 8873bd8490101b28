"""Scenarios whose devices choose a plan for each prompt: tables, results, the phase diagram."""
