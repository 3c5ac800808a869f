"""Mutual TLS between the parts of one server: its inner listeners answer nobody else."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from runtime.stack.files import write_private
from runtime.stack.ports import LOOPBACK

_BACKDATED, _VALID = timedelta(days=1), timedelta(days=3650)


class InnerTls(NamedTuple):
    """The files of one server: the authority it trusts, and the one certificate that it made."""

    authority: Path
    certificate: Path
    key: Path


def write_inner_tls(folder: Path) -> InnerTls:
    """Make an authority that signs one certificate and is then forgotten; return the files.

    The certificate speaks for both ends of a connection to loopback.
    """
    files = InnerTls(folder / "ca.pem", folder / "inner.pem", folder / "inner.key")
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate("inner authority", authority_key, None, authority_key)
    certificate = _certificate("inner", key, authority.subject, authority_key)
    write_private(files.authority, authority.public_bytes(Encoding.PEM).decode())
    write_private(files.certificate, certificate.public_bytes(Encoding.PEM).decode())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(files.key, private.decode())
    return files


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | None,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """Return a certificate for loopback; without an issuer that of an authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    here = (x509.IPAddress(ip_address(LOOPBACK)), x509.DNSName("localhost"))
    return (
        x509.CertificateBuilder(
            issuer_name=issuer or subject,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - _BACKDATED,
            not_valid_after=now + _VALID,
        )
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(here), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
