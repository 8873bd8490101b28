"""Who belongs to a network: authorities, and the certificates that they sign.

Links that leave the machine are QUIC with certificates on both sides. A network is what one
authority has signed: a device whose certificate comes from another one does not get a link.
"""
