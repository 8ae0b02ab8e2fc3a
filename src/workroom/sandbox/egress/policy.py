"""What a network policy allows, decided on names first and on the resolved address again."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workroom.errors import ConfigError
from workroom.sandbox.egress.registries import Registries, registries

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

WEB_PORTS = frozenset((80, 443))
MAIL_PORTS = frozenset((25, 465, 587))
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
# Never dialled, whatever a name resolves to: private, shared, link-local (metadata services), reserved, multicast.
DENIED = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/3", "168.63.129.16/32", "::/128", "::1/128", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
            *("2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
        ),
    )
)


@dataclass(frozen=True, slots=True)
class EgressRecord:
    """One request that wanted out. `verdict` is `allowed` or `refused: REASON`; `sent` and `received` in bytes."""

    host: str
    port: int
    verdict: str
    sent: int = 0
    received: int = 0


class Refused(Exception):
    """The policy says no; the text is for the model."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`packages` (the registries of this host), `allow` (the `hosts` listed) or `open` (any public address)."""

    name: str
    hosts: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        return self.name == "open"

    async def admit(self, host: str, port: int) -> list[Address]:
        """The addresses that may be dialled for this name and port. Raises Refused."""
        known = await asyncio.to_thread(registries) if self.name == "packages" else Registries()
        listed = (host, port) in known.endpoints
        if not listed:
            self._check_name(host, port)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            raise Refused(f"the name {host} cannot be resolved") from None
        addresses = list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
        public = addresses if listed else [address for address in addresses if not is_denied(address)]
        if not public:
            raise Refused(f"{host} resolves to an address that is not public")
        return public

    def _check_name(self, host: str, port: int) -> None:
        if not _NAME.fullmatch(host) or len(host) > 253 or _is_address(host):
            raise Refused("only host names can be reached, no addresses")
        if self.is_open:
            if port in MAIL_PORTS:
                raise Refused(f"port {port} (mail) cannot be reached")
            return
        if self.name == "packages":
            raise Refused(f"{host}:{port} is no package registry of this machine; pip, apt-get and npm work")
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
    hosts = frozenset(normal_host(part) for part in rest.split(",") if part)
    if kind != "allow" or not hosts:
        raise ConfigError(f"the network policy must be none, packages, open or allow:HOST,HOST, not {network!r}")
    for host in hosts:
        if not _NAME.fullmatch(host.removeprefix("*.")) or _is_address(host):
            raise ConfigError(f"{host!r} in the network policy is no host name (no address, port or path: example.org)")
    return Policy("allow", hosts)


def normal_host(host: str) -> str:
    """Lower case, without the final dot and the brackets of an IPv6 address."""
    return host.strip().lower().removesuffix(".").removeprefix("[").removesuffix("]")


def _matches(host: str, pattern: str) -> bool:
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _is_address(host: str) -> bool:
    """Any spelling of an address that a resolver takes: dotted, decimal, octal, hexadecimal, IPv6."""
    if ":" in host or re.fullmatch(r"[0-9.]+|0x[0-9a-f.x]*", host):
        return True
    return bool(re.fullmatch(r"(0x[0-9a-f]+|[0-9]+)(\.(0x[0-9a-f]+|[0-9]+))*", host))


def is_denied(address: Address, own: Callable[[], frozenset[Address]] | None = None) -> bool:
    """Whether an address is private, special or one of this host's own, also where it is wrapped in IPv6."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in DENIED) or address in (own or own_addresses)()


def own_addresses() -> frozenset[Address]:
    """Every address of this host, read anew each time because they change."""
    found: set[Address] = set()
    previous = ""
    for line in _lines("/proc/net/fib_trie"):
        if "/32 host LOCAL" in line and (match := re.search(r"\|-- (\S+)", previous)):
            found.add(ipaddress.ip_address(match[1]))
        previous = line
    for line in _lines("/proc/net/if_inet6"):
        found.add(ipaddress.IPv6Address(bytes.fromhex(line.split()[0])))
    return frozenset(found)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
