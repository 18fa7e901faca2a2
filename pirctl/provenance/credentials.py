"""Who signs: the user's own certificate and key, or a pair made once on this machine (`local`)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pirctl.errors import PirctlError, SettingsError
from pirctl.provenance.library import WITHOUT, context, said, undisturbed
from pirctl.provenance.local import local_pair, local_path, local_text

if TYPE_CHECKING:
    from cryptography import x509

_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Whether a video is signed, and with what.

    Attributes:
        enabled: False writes the comment alone.
        certificate: chain of certificates in PEM, the signer's first; None takes the local one.
        key: its private key in PEM, without a password.
    """

    enabled: bool = True
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A certificate with its key, ready to sign.

    Attributes:
        chain: certificates in PEM, the signer's first.
        key: the private key in PEM.
        algorithm: of the signature, as C2PA names it.
        signer: the name in the certificate.
        is_local: whether pirctl made it, so that nobody vouches for it.
    """

    chain: str
    key: str
    algorithm: str
    signer: str
    is_local: bool

    def __repr__(self) -> str:  # No key in a traceback or a log.
        return f"Credentials({self.signer!r}, {self.algorithm})"


def open_credentials(signing: Signing) -> Credentials | None:
    """Read the certificate and the key, and try them on a few bytes; None where signing is off.

    Raises:
        SettingsError: one of the two without the other, or with signing switched off.
        PirctlError: no such file, no certificate, not its key, out of date, or not for signing.
    """
    certificate, key = signing.certificate, signing.key
    if not signing.enabled:
        if certificate or key:
            raise SettingsError("--no-provenance signs nothing", hint="leave out --certificate")
        return None
    if (certificate is None) != (key is None):
        given, lacks = ("--certificate", "--key") if certificate else ("--key", "--certificate")
        raise SettingsError(f"{given} is given without {lacks}", hint=f"add {lacks} FILE")
    if certificate is None or key is None:
        return _local_credentials()
    credentials = _credentials(certificate, _read(certificate), key, _read(key), is_local=False)
    _try(credentials, certificate)
    return credentials


def local_chain() -> str:
    """The certificates of the local pair in PEM; empty where none was made yet, or no more."""
    try:
        return _certificates_only(local_text())
    except ValueError:
        return ""


def read_certificates(path: Path) -> str:
    """The certificates of a PEM file, and nothing else of it.

    Raises:
        PirctlError: no such file, or no certificate in it.
    """
    try:
        return _certificates_only(_read(path))
    except ValueError as error:
        raise _no_certificate(path) from error


def _local_credentials() -> Credentials:
    path, pair = local_path(), local_pair()
    try:
        credentials = _credentials(path, pair, path, pair, is_local=True)
        _try(credentials, path)
    except PirctlError as error:
        raise PirctlError(str(error), hint=f"delete {path}: a new one is made") from error
    return credentials


def _credentials(
    certificate: Path, chain: str, key: Path, secret: str, *, is_local: bool
) -> Credentials:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        first, *_ = x509.load_pem_x509_certificates(chain.encode())
    except ValueError as error:
        raise _no_certificate(certificate) from error
    try:
        private = serialization.load_pem_private_key(secret.encode(), None)
    except TypeError as error:
        raise PirctlError(
            f"{key}: the key has a password, and pirctl asks for none",
            hint=f"openssl pkey -in {key} -out PLAIN.pem, readable for you alone",
        ) from error
    except ValueError as error:
        raise PirctlError(
            f"{key}: not a private key in PEM", hint="-----BEGIN PRIVATE KEY----- starts one"
        ) from error
    if private.public_key() != first.public_key():
        raise PirctlError(f"{key} is not the key of {certificate}", hint="give the two that belong")
    _check_dates(first, certificate)
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Credentials(
        chain=_certificates_only(chain),
        key=plain.decode(),
        algorithm=_algorithm(private, key),
        signer=_name(first),
        is_local=is_local,
    )


def _no_certificate(path: Path) -> PirctlError:
    return PirctlError(
        f"{path}: not a certificate in PEM", hint="-----BEGIN CERTIFICATE----- starts one"
    )


def _check_dates(certificate: x509.Certificate, path: Path) -> None:
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise PirctlError(
            f"{path}: valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, which is not now",
            hint=f"renew it; {WITHOUT}",
        )


def _algorithm(private: Any, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return _CURVES[private.curve.name]
    raise PirctlError(
        f"{path}: C2PA signs with no such key",
        hint="use P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more",
    )


def _name(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            return str(attribute.value)
    return certificate.subject.rfc4514_string()


def _certificates_only(text: str) -> str:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    found: Sequence[x509.Certificate] = x509.load_pem_x509_certificates(text.encode())
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in found)


def _try(credentials: Credentials, path: Path) -> None:
    """Sign a few bytes and read them, so that what will not do is found before the work."""
    import c2pa

    try:
        refused = undisturbed(lambda: _trial(credentials))
    except c2pa.C2paError as error:
        refused = said(error)
    if refused:
        raise PirctlError(
            f"{path}: no certificate that C2PA signs with ({refused})",
            hint=f"it must be meant for signing documents, and be issued by another; {WITHOUT}",
        )


def _trial(credentials: Credentials) -> str:
    """What the library has against a certificate; nothing if it is empty."""
    import c2pa

    what, kind = b"trial", "application/octet-stream"
    definition = {"claim_generator_info": [{"name": "pirctl"}], "title": "a trial"}
    with context(signer=new_signer(credentials)) as made, c2pa.Builder(definition, made) as one:
        one.set_no_embed()
        data = one.sign(kind, io.BytesIO(what), io.BytesIO())
    with (
        context() as made,
        c2pa.Reader(kind, io.BytesIO(what), manifest_data=data, context=made) as reader,
    ):
        results = json.loads(reader.json())["validation_results"]["activeManifest"]["failure"]
    untold = "signingCredential.untrusted"  # Whether anyone vouches is not asked here.
    about = [one for one in results if one["code"].startswith("signingCredential.")]
    return ", ".join(str(one["explanation"]) for one in about if one["code"] != untold)


def new_signer(credentials: Credentials) -> Any:
    """The library's signer; it works without a time-stamping authority."""
    import c2pa

    info = c2pa.C2paSignerInfo(
        alg=credentials.algorithm,
        sign_cert=credentials.chain.encode(),
        private_key=credentials.key.encode(),
        ta_url=None,
    )
    return c2pa.Signer.from_info(info)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise PirctlError(f"{path}: no such file", hint="check the name") from error
    except UnicodeDecodeError as error:
        raise PirctlError(
            f"{path}: not PEM", hint="openssl x509 -inform der -in FILE -out FILE.pem"
        ) from error
    except OSError as error:
        raise PirctlError(f"{path}: cannot be read ({error.strerror})", hint="check it") from error
