"""The key pair with which an API server signs ServiceAccount tokens."""

from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def write_signing_keys(home: Path) -> None:
    """Write `sa.key` and `sa.pub` into `home`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (home / "sa.key").touch(mode=0o600)
    (home / "sa.key").write_bytes(private)
    (home / "sa.pub").write_bytes(public)
