"""What a dispatcher may be told: addresses as people write them, and what would not be safe is refused in words."""

import pathlib
import typing

import pytest

from fanout_dispatcher.settings import Settings, TlsFiles, Unstartable
from fanout_dispatcher.values.address import Address

HERE = pathlib.Path("/data")
ANYWHERE = Address("0.0.0.0", 1)


def settings(**told: typing.Any) -> Settings:
    usual: dict[str, typing.Any] = {"data": HERE, "paths": (pathlib.Path("routes"),)}
    return Settings(**(usual | told))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("[::1]:0", Address("::1", 0)),
        (":8080", Address("0.0.0.0", 8080)),
        ("localhost:65535", Address("localhost", 65535)),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "8080", "127.0.0.1", "::1:8080", "a:-1", "a:65536", "a:http", "a:٣", "a:"])
def test_what_is_no_address_is_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address such as"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_loopback_is_what_only_this_machine_can_reach(host: str, loopback: bool) -> None:
    assert Address(host, 1).loopback is loopback


def test_an_address_reads_back_as_it_is_written() -> None:
    assert [str(Address("::1", 80)), str(Address("127.0.0.1", 80))] == ["[::1]:80", "127.0.0.1:80"]


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"paths": ()}, "no manifests"),
        ({"plans": "kubernetes"}, "leave the paths away"),
        ({"admin": ANYWHERE}, "set FANOUT_ADMIN_TOKEN or --admin-token-file"),
        ({"report": ANYWHERE}, "that needs a cluster"),
        ({"class_name": ""}, "the class name: expected the name of an installation"),
        ({"class_name": "Fan out"}, "the class name: "),
        ({"journal_bytes": 1}, "--journal-size has to be 4Mi at least, not 1 bytes"),
        (
            {"journal_bytes": 15 << 20, "workers": 4},
            "--journal-size has to be 16Mi at least for 4 workers, not 15728640 bytes",
        ),
        ({"workers": 0}, "a dispatcher has 1 to 64 workers, not 0"),
        ({"workers": 65}, "a dispatcher has 1 to 64 workers, not 65"),
    ],
)
def test_what_cannot_work_or_is_not_safe_is_refused(told: dict[str, typing.Any], sentence: str) -> None:
    with pytest.raises(Unstartable, match=sentence):
        settings(**told)


@pytest.mark.parametrize(
    ("report", "tls", "plans", "checked"),
    [
        (None, False, "kubernetes", False),
        (Address("127.0.0.1", 1), False, "kubernetes", False),
        (Address("127.0.0.1", 1), True, "kubernetes", True),
        (Address("127.0.0.1", 1), True, "folder", False),
        (ANYWHERE, False, "kubernetes", True),
    ],
)
def test_readers_of_the_report_are_checked_unless_it_is_plain_and_on_loopback(
    report: Address | None, tls: bool, plans: str, checked: bool
) -> None:
    files = TlsFiles(HERE / "tls.crt", HERE / "tls.key") if tls else None
    paths = () if plans == "kubernetes" else (HERE,)

    assert settings(report=report, report_tls=files, plans=plans, paths=paths).report_checked is checked


def test_the_admin_token_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(settings(admin_token="s3cret"))
