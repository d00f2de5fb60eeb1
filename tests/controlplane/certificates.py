"""What a client sees of a report port's certificate, by a handshake in memory with the files of its Secret."""

import ssl
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path


def presented(data: Mapping[str, str], host: str, folder: Path) -> tuple[tuple[str, str], ...]:
    """Shake hands as *host* with a Secret's certificate, trusting its ca.crt alone; the names in the certificate."""
    files = {name: folder / name for name in ("tls.crt", "tls.key", "ca.crt")}
    for name, file in files.items():
        file.write_bytes(b64decode(data[name]))
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(files["tls.crt"], files["tls.key"])
    trusting = ssl.create_default_context(cafile=str(files["ca.crt"]))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(incoming, outgoing, server_hostname=host)
    server = serving.wrap_bio(outgoing, incoming, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    certificate = client.getpeercert()
    assert certificate is not None
    return certificate["subjectAltName"]  # type: ignore[return-value]
