"""The public authority of `--open`: everybody has its key, so everybody may join.

It protects nothing, and is not meant to. It is here so that an open network takes the same path
through the code as a private one: links of QUIC with certificates on both sides.
"""

from dmoa.trust.authority import Authority

# Made once for this purpose by `Authority.create`. The key is published: it is no secret.
CERTIFICATE = b"""\
-----BEGIN CERTIFICATE-----
MIIBQTCB9KADAgECAhRKq/nwZ2b+vGG4Ms56ixoPUAMEozAFBgMrZXAwNDEyMDAG
A1UEAwwpZG1vYSBvcGVuIGxhYm9yYXRvcnkgbmV0d29yaywgZXZlcnlib2R5J3Mw
IBcNMDAwMTAxMDAwMDAwWhgPMjEwMDAxMDEwMDAwMDBaMDQxMjAwBgNVBAMMKWRt
b2Egb3BlbiBsYWJvcmF0b3J5IG5ldHdvcmssIGV2ZXJ5Ym9keSdzMCowBQYDK2Vw
AyEAPzGPewJFw024r9XtZAL8u7563L1kCFadcqkhYiHDY5yjFjAUMBIGA1UdEwEB
/wQIMAYBAf8CAQAwBQYDK2VwA0EAvGjl/xJXRjdoPsz7KsoQcADlWDJbeogCutut
tOMEpYtKxU0RaF7aMKyjcyCJUIJSFWX7iGXbG3kTPM8Rr0F0CQ==
-----END CERTIFICATE-----
"""
KEY = b"""\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEICqNVfQpTZ0bDM/ftVN42jjN9s2WK2JV+t6iKzmjZBoN
-----END PRIVATE KEY-----
"""


def authority() -> Authority:
    """The authority of every open network."""
    return Authority(CERTIFICATE, KEY)
