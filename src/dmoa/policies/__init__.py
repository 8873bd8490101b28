"""What is decided alike on a live device and in a simulation: small pure functions.

They take plain numbers, lists or arrays, so that the same lines run as Python on a device and
compiled in the simulator: what is simulated is what runs.
"""
