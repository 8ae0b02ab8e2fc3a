"""What a network policy allows, decided on names first and on the resolved address again."""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from workroom.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _networks(*texts: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, texts))


WEB_PORTS = frozenset((80, 443))
MAIL_PORTS = frozenset((25, 465, 587))
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Names that mean this host or its own network, whatever they resolve to.
_LOCAL_NAMES = frozenset(("localhost", "local", "localdomain", "internal", "intranet", "lan", "arpa", "home", "corp"))
# Never dialled, whatever a name resolves to: private, shared, link-local, special and multicast addresses. Of IPv6 only
# global unicast (2000::/3) is dialled at all, less what wraps IPv4 or is set aside in it.
_DENIED = _networks(
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
    *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "168.63.129.16/32"),
    *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
# The metadata services of clouds, and what is no host: not even a registry or a host given with its address is there.
_NEVER = _networks(
    *("0.0.0.0/8", "100.100.100.200/32", "168.63.129.16/32", "169.254.0.0/16", "192.0.0.192/32", "224.0.0.0/3"),
    *("::/128", "fd00:ec2::254/128", "fd20:ce::254/128", "fe80::/10", "ff00::/8"),
)


@dataclass(frozen=True, slots=True)
class EgressRecord:
    """One request that wanted out; `sent` and `received` in bytes.

    `verdict` is `allowed`, `refused: REASON` (the policy says no) or `failed: REASON` (allowed, but it did not work).
    """

    host: str
    port: int
    verdict: str
    sent: int = 0
    received: int = 0


class Refused(Exception):
    """The policy says no; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`packages` (the registries of this host), `allow` (the `hosts` listed) or `open` (any public address, and them).

    `pinned` maps a listed host to the address that is dialled for it, and the port where one was given. That address
    was chosen by a person, so it may be private: this is how a server of one's own is let in, and how tests reach one.
    """

    name: str
    hosts: frozenset[str] = frozenset()
    pinned: dict[str, tuple[Address, int | None]] = field(default_factory=dict, hash=False)

    @property
    def is_open(self) -> bool:
        return self.name == "open"

    @property
    def knows_registries(self) -> bool:
        """Whether the package registries of this host may be reached."""
        return self.name in ("packages", "open")

    def check_name(self, host: str, port: int) -> None:
        """Raises Refused for a name or port that the policy does not allow. Registries are not asked about here."""
        if not is_name(host):
            raise Refused("only host names can be reached, no addresses")
        if self.name == "packages":
            raise Refused(f"{host}:{port} is no package registry of this machine; pip, apt-get and npm work")
        if self.is_open:
            if "." not in host or host.rpartition(".")[2] in _LOCAL_NAMES:
                raise Refused(f"{host} is a name of a local network")
            if port in MAIL_PORTS:
                raise Refused(f"port {port} (mail) cannot be reached")
            return
        if not any(_matches(host, pattern) for pattern in self.hosts):
            raise Refused(f"{host} is not among the allowed hosts: {', '.join(sorted(self.hosts))}")
        if port not in WEB_PORTS:
            raise Refused(f"only the ports 80 and 443 can be reached, not {port}")


def parse_policy(network: str) -> Policy | None:
    """The policy of a `--network` value; None for `none`. Raises ConfigError for anything else."""
    if network == "none":
        return None
    if network in ("packages", "open"):
        return Policy(network)
    kind, _, rest = network.partition(":")
    if kind != "allow" or not rest:
        raise ConfigError(f"the network policy must be none, packages, open or allow:HOST,HOST, not {network!r}")
    hosts, pinned = set(), {}
    for part in rest.split(","):
        text, equals, target = part.partition("=")
        host = normal_host(text.strip())
        if not is_name(host.removeprefix("*.")) or (equals and host.startswith("*.")):
            raise ConfigError(
                f"{text!r} in the network policy is no host name (write example.org, *.example.org or "
                "example.org=10.0.0.5; no port or path, and names of other scripts as xn--...)"
            )
        if equals:
            pinned[host] = _pin(target.strip())
        hosts.add(host)
    return Policy("allow", frozenset(hosts), pinned)


def _pin(text: str) -> tuple[Address, int | None]:
    match = re.fullmatch(r"([0-9.]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?", text, re.ASCII)
    port = int(match[2]) if match and match[2] else None
    try:
        address = ipaddress.ip_address(match[1].strip("[]") if match else "")
    except ValueError:
        address = None
    if address is None or is_never(address) or (port is not None and not 0 < port < 65536):
        raise ConfigError(
            f"{text!r} in the network policy is no address that can be allowed (write HOST=10.0.0.5, "
            "HOST=10.0.0.5:8080 or HOST=[fd00::5]:8080; metadata, link-local and multicast addresses cannot be)"
        )
    return address, port


def normal_host(host: str) -> str:
    """Lower case, without the final dot and the brackets of an IPv6 address."""
    return host.lower().removesuffix(".").removeprefix("[").removesuffix("]")


def is_name(host: str) -> bool:
    """A host name of lower-case letters, digits and hyphens, and no address in any spelling that a resolver takes.

    A last label that is a number makes it an address or nothing (0x7f.1, 2130706433, 127.1).
    """
    return len(host) <= 253 and bool(_NAME.fullmatch(host)) and not _NUMBER.fullmatch(host.rpartition(".")[2])


def _matches(host: str, pattern: str) -> bool:
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def is_denied(address: Address, own: frozenset[Address] | None = None) -> bool:
    """Whether an address is private, special or one of this host's own (`own`: these, in place of the real ones)."""
    address = unmapped(address)
    if address in (own_addresses() if own is None else own) or any(address in network for network in _DENIED):
        return True
    return address.version == 6 and address not in _GLOBAL_V6


def is_never(address: Address) -> bool:
    """Whether it is a metadata service or no host at all, which no setting can allow."""
    return any(unmapped(address) in network for network in _NEVER)


def unmapped(address: Address) -> Address:
    """The IPv4 address where one is written as ::ffff:a.b.c.d."""
    return getattr(address, "ipv4_mapped", None) or address


def own_addresses() -> frozenset[Address]:
    """Every address of this host, read anew each time because they change."""
    return _own(_text("/proc/net/fib_trie"), _text("/proc/net/if_inet6"))


@lru_cache(maxsize=1)
def _own(trie: str, v6: str) -> frozenset[Address]:
    found: set[Address] = {ipaddress.ip_address(text) for text in re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", trie)}
    found |= {ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in v6.splitlines()}
    return frozenset(found)


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
