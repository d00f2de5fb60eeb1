"""The outbound guard, row by row: which addresses and which spellings are refused, for whom."""

import ipaddress

import pytest

from fanout_dispatcher.transport.guard import Guard

STRICT = Guard()
LAPTOP = Guard(allow_loopback=True)

PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "192.31.196.1", "2606:4700:4700::1111", "2a00:1450:4001:830::200e"]
PRIVATE = [
    "10.0.0.1",
    "10.96.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.255",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "192.88.99.1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
    "2001:db8::1",
    "3fff::1",
    "2001:2::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:a00:1::1",
]
LOOPBACK = ["127.0.0.1", "127.0.0.53", "127.255.255.255", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.0.1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "febf::1",
    "ff02::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100::1",
    "5f00::1",
    "4000::1",  # not assigned to anybody
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::169.254.169.254",  # compatible
    "::8.8.8.8",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "64:ff9b:1:a9fe:a9:fe00::",  # the same, behind a prefix of 48 bits
    "64:ff9b:1:a9:fe:a9fe::",  # 56 bits
    "64:ff9b:1:0:a9:fea9:fe00:0",  # 64 bits
    "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",  # Teredo: the server
    "2001:0:808:808:0:0:5601:5601",  # Teredo: the client, inverted
    "2606:4700::5efe:a9fe:a9fe",  # ISATAP
    "not an address",
    "",
]


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("private", [False, True])
def test_public_addresses_are_for_everybody(address: str, private: bool) -> None:
    assert STRICT.check(address, private=private) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_for_services_only(address: str) -> None:
    assert STRICT.check(address, private=True) is None
    assert STRICT.check(address, private=False) is not None
    assert LAPTOP.check(address, private=False) is not None


@pytest.mark.parametrize("address", LOOPBACK)
@pytest.mark.parametrize("private", [False, True])
def test_loopback_takes_the_explicit_flag(address: str, private: bool) -> None:
    assert STRICT.check(address, private=private) == "a loopback address"
    assert LAPTOP.check(address, private=private) is None


EMBEDDED_LOOPBACK = [
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:0:808:808::80ff:fffe",
]


@pytest.mark.parametrize("address", EMBEDDED_LOOPBACK)
def test_loopback_inside_another_address_is_refused(address: str) -> None:
    assert STRICT.check(address, private=True) == "a loopback address"


EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_reached_whatever_is_allowed(address: str) -> None:
    widest = Guard(allow_loopback=True, allow=EVERYTHING)

    assert widest.check(address, private=True) is not None
    assert widest.check(address, private=False) is not None


def test_the_installer_opens_ranges_to_urls() -> None:
    guard = Guard(allow=(ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")))

    assert guard.check("10.1.2.3", private=False) is None
    assert guard.check("::ffff:10.1.2.3", private=False) is None
    assert guard.check("fd00::1", private=False) is None
    assert guard.check("10.2.0.1", private=False) == "a private address"


def test_loopback_is_not_opened_by_a_range() -> None:
    assert Guard(allow=EVERYTHING).check("127.0.0.1", private=False) == "a loopback address"


def test_our_own_ports_are_refused_and_their_neighbours_are_not() -> None:
    guard = Guard(allow_loopback=True, own=frozenset({("127.0.0.1", 8080)}))

    assert guard.check("127.0.0.1", private=False, port=8080) == "an address of our own"
    assert guard.check("::ffff:127.0.0.1", private=True, port=8080) == "an address of our own"
    assert guard.check("127.0.0.1", private=False, port=8081) is None
    assert guard.check_url("http://127.0.0.1:8080/") == "an address of our own"


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
@pytest.mark.parametrize("address", LOOPBACK)
def test_a_port_of_ours_at_every_address_is_at_every_loopback_address(wildcard: str, address: str) -> None:
    guard = Guard(allow_loopback=True, own=frozenset({(wildcard, 8080)}))

    assert guard.check(address, private=True, port=8080) == "an address of our own"
    assert guard.check(address, private=True, port=8081) is None


@pytest.mark.parametrize("host", ["api.example", "API.Example", "api.example."])
def test_a_name_of_our_own_is_refused_by_its_spelling(host: str) -> None:
    """Its addresses may be others by now than when we started."""
    guard = Guard(own=frozenset({("api.example", 6443)}))

    assert guard.check_url(f"https://{host}:6443/") == "an address of our own"
    assert guard.check_url(f"https://{host}/") is None
    assert guard.check_url("https://shop.example:6443/") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://127.0.0.1:80/",
        "http://①②⑦.⓪.⓪.①/",
        "http://127。0。0。1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1%25eth0]/",
        "http://user@127.0.0.1/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1\\@example.com/",
        "http://127.0.0.1%2eexample.com/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://0/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
    ],
)
def test_no_spelling_of_a_refused_address_gets_through(url: str) -> None:
    assert STRICT.check_url(url) is not None


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c", "http://8.8.8.8:8080/", "http://[2606:4700::1111]/", "http://1password.com"]
)
def test_ordinary_urls_pass(url: str) -> None:
    assert STRICT.check_url(url) is None


def test_names_pass_here_because_their_addresses_are_judged_at_each_connection() -> None:
    assert STRICT.check_url("http://localhost/") is None
