"""Mutation testing of the live core: what can be broken without a test that notices?

The kept libraries do not fit: mutmut 3 leaves decorated functions out and takes no sample,
cosmic-ray changes the working tree in place, mutatest is no longer maintained.
"""
