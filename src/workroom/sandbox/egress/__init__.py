"""The only way out of a sandbox: a proxy on the host that serves one port of the sandbox's own loopback.

    policy.py       which hosts, ports and addresses a policy allows
    registries.py   which package registries this host itself is set up to use
    credentials.py  with which credentials, which stay outside
    proxy.py        the proxy: accepts, decides, relays, records
    request.py      reads the head of a request; hello.py, the first message of TLS
    dial.py         resolves and dials, through the host's own proxy where it has one
    facade.py       adds the credential of a registry, and lets nothing of it come back
    traffic.py      counts

A sandbox has a network namespace with nothing but loopback, so a program that ignores the proxy settings reaches
nothing at all.
"""

from workroom.sandbox.egress.policy import EgressRecord, parse_policy
from workroom.sandbox.egress.proxy import EgressProxy

__all__ = ["EgressProxy", "EgressRecord", "parse_policy"]
