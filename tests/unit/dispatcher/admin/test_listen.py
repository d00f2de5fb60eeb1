"""Opening a port: what is taken is said so, TLS is spoken, and a renewed certificate is used without a restart."""

import asyncio
import pathlib
import ssl

import pytest
import trustme
from aiohttp import web

from fanout_dispatcher.admin.listen import listen
from fanout_dispatcher.settings import TlsFiles, Unstartable
from fanout_dispatcher.values.address import Address
from tests.unit.dispatcher.admin.fakes import LOOPBACK, serving


def issue(authority: trustme.CA, folder: pathlib.Path, name: str) -> TlsFiles:
    """Write a certificate for 127.0.0.1 that also carries *name*."""
    made = authority.issue_cert("127.0.0.1", common_name=name)
    files = TlsFiles(folder / "tls.crt", folder / "tls.key")
    made.private_key_pem.write_to_path(files.key)
    made.cert_chain_pems[0].write_to_path(files.certificate)
    return files


async def name_of(base: str, authority: trustme.CA) -> str:
    """The common name of the certificate that the port shows now, verified."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    host, port = base.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    subject = writer.get_extra_info("peercert")["subject"]
    writer.close()
    return str(dict(pair for row in subject for pair in row)["commonName"])


async def test_a_taken_port_is_a_sentence() -> None:
    listening = await listen(web.Application(), LOOPBACK)
    with pytest.raises(
        Unstartable,
        match=rf"cannot listen on 127.0.0.1:{listening.address.port}: address already in use: stop the other process",
    ):
        await listen(web.Application(), listening.address)
    await listening.close()


async def test_port_zero_tells_which_port_it_got() -> None:
    listening = await listen(web.Application(), LOOPBACK)
    await listening.close()

    assert listening.address.port > 0
    assert repr(listening) == f"Listening(127.0.0.1:{listening.address.port})"


async def test_a_renewed_certificate_is_shown_to_the_next_client(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    files = issue(authority, tmp_path, "first")
    async with serving(web.Application(), files) as base:
        before = await name_of(base, authority)
        issue(authority, tmp_path, "second")
        after = await name_of(base, authority)

    assert (before, after) == ("first", "second")


async def test_a_half_written_certificate_leaves_the_old_one_in_use(tmp_path: pathlib.Path) -> None:
    authority = trustme.CA()
    files = issue(authority, tmp_path, "first")
    async with serving(web.Application(), files) as base:
        files.certificate.write_text("-----BEGIN CERT")

        assert await name_of(base, authority) == "first"


@pytest.mark.parametrize("content", ["", "not a certificate"])
async def test_a_certificate_that_cannot_be_used_is_a_sentence_at_start(tmp_path: pathlib.Path, content: str) -> None:
    files = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    files.certificate.write_text(content)
    with pytest.raises(Unstartable, match="cannot use the certificate"):
        await listen(web.Application(), Address("127.0.0.1", 0), files)
