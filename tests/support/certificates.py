"""What a TLS peer of a test shows and wants to be shown; the authorities themselves are trustme's."""

import pathlib
import ssl

import trustme

from tests.support.strict_target import StrictTarget


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Show *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def self_signed(folder: pathlib.Path) -> ssl.SSLContext:
    """Show a certificate that signed itself, written into *folder* first, since Python reads a key from a path only."""
    alone = trustme.CA()
    alone.cert_pem.write_to_path(folder / "tls.crt")
    alone.private_key_pem.write_to_path(folder / "tls.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    return context


def strict(
    authority: trustme.CA, name: str = "payment.example", *, most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> StrictTarget:
    """Make a target called *name* that wants a certificate of *authority*, and speaks *most* at the most."""
    context = serving(authority.issue_cert(name))
    authority.configure_trust(context)
    context.maximum_version = most
    return StrictTarget(context)
