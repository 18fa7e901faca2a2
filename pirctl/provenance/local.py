"""The certificate and key that are made once for each user who has none of their own.

A local pair proves only that a file is still what its maker signed: anyone can make one. It is a
key of its own under a certificate authority whose key is thrown away at once, because the C2PA
profile of certificates allows no certificate that signed itself.
"""

from __future__ import annotations

import logging
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pirctl.errors import PirctlError

if TYPE_CHECKING:
    from cryptography import x509

LOCAL_NAME = "pirctl local signer"
LOCAL_MAKER = "self-signed, made by pirctl for one user"
_LOCAL_DAYS = 3653
# Meant for documents, and for e-mail, which is all that some readers of C2PA take.
_USES = ("1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.4")
_log = logging.getLogger(__name__)


def local_path() -> Path:
    """Where the local pair lies: under PIRCTL_HOME, else with the user's data."""
    home = os.environ.get("PIRCTL_HOME")
    if home:
        return Path(home).expanduser() / "signing" / "local.pem"
    import platformdirs

    # Not the cache: that may be emptied, and a key cannot be fetched again.
    return Path(platformdirs.user_data_dir("pirctl", appauthor=False)) / "signing" / "local.pem"


def local_pair() -> str:
    """The local key and its certificates in PEM; made where there are none.

    Where nothing can be kept, or not for its owner alone, the pair is made for this run only.

    Raises:
        PirctlError: others can read the key.
    """
    path = local_path()
    try:
        if not path.exists():
            _make(path)
        text = path.read_text(encoding="ascii", errors="replace")
        is_open = _is_open(path)
    except OSError as error:
        _log.debug("no local certificate is kept at %s: %s", path, error)
        return new_pair()
    if is_open:
        raise PirctlError(
            f"{path}: others on this machine can read the signing key", hint=f"chmod 600 {path}"
        )
    return text


def local_text() -> str:
    """What lies where the local pair is kept; empty where none was made yet."""
    try:
        return local_path().read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _make(path: Path) -> None:
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(path.with_suffix(".lock")):  # Two first videos at the same time.
        if not path.exists():
            _write_secret(path, new_pair())


def _write_secret(path: Path, text: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        if _is_open(temporary):
            raise PermissionError("this disk keeps nothing secret")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_open(path: Path) -> bool:
    return os.name == "posix" and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def new_pair() -> str:
    """A key, its certificate and that of its authority, in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ObjectIdentifier

    authority_key, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    issuer = _subject("pirctl local authority")
    uses = x509.ExtendedKeyUsage([ObjectIdentifier(use) for use in _USES])
    authority = (
        _builder(issuer, issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage("key_cert_sign"), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    signer = (
        _builder(_subject(LOCAL_NAME), issuer, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage("digital_signature"), critical=True)
        .add_extension(uses, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (secret + signer.public_bytes(pem) + authority.public_bytes(pem)).decode()


def _subject(name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, LOCAL_MAKER),
        ]
    )


def _builder(subject: x509.Name, issuer: x509.Name, public: Any) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        # A day before, for clocks that are behind.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_LOCAL_DAYS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(use: str) -> x509.KeyUsage:
    from cryptography import x509

    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name == use for name in names})
