"""The only way out of a sandbox: a proxy on the host that serves one port of the sandbox's own loopback.

    policy.py      which hosts, ports and addresses a policy allows
    registries.py  which package registries this host itself is set up to use
    proxy.py       the proxy

A sandbox has a network namespace with nothing but loopback, so a program that ignores the proxy settings reaches
nothing at all.
"""

from workroom.sandbox.egress.policy import EgressRecord, parse_policy
from workroom.sandbox.egress.proxy import EgressProxy

__all__ = ["EgressProxy", "EgressRecord", "parse_policy"]
