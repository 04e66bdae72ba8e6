"""Certificates for servers of tests, from an authority made for each of them."""

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Files of a server's certificate and of who vouches for it."""

    ca: Path
    certificate: Path
    key: Path


def issue(folder: Path, *names: str) -> Certificates:
    """Write a certificate for these names and addresses into ``folder``."""
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    folder.mkdir(parents=True, exist_ok=True)
    files = Certificates(ca=folder / "ca.pem", certificate=folder / "certificate.pem", key=folder / "key.pem")
    authority.cert_pem.write_to_path(files.ca)
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    files.key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(files.key)
    return files
