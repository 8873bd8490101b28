"""Deceptive members, and what they cost: with the paper's committee, and as `dmoa` decides.

Attacks are texts (`kinds`). On PocketQA the member is an LLM of a device of the real protocol
(`deceiver`, `pocket`); on recorded drafts of real LLMs it is one more device (`recorded`). An
owner's side is the product's own examiner (`owner`). Sums and intervals stand in `findings`.
"""
