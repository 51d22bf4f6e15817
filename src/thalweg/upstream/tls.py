"""TLS towards upstreams: always verified, never below 1.2."""

from __future__ import annotations

import ssl


def client_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Verifies chain and host name against the system's authorities, and those in `ca_file` (PEM) besides.

    Raises `OSError` when `ca_file` cannot be read; `ssl.SSLError`, which is one, when it holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
