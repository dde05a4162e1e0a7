"""Certificates by name, tickets, bindings and client certificates, in handshakes in memory."""

import ssl
from pathlib import Path

import pytest

from columba.common.errors import ConfigError
from columba.common.ipc.tlsfiles import TICKET_OCTETS, Pair, TlsFiles
from columba.common.net.openssl import export_key
from columba.smtpd.tls import EXPORTED_OCTETS, EXPORTER, ClientCerts, ServerTls, bindings
from tests.fakes.certificate import self_signed
from tests.fakes.handshake import client_context, meet

SECRET = b"k" * TICKET_OCTETS


def pair(folder: Path, *names: str, for_names: tuple[str, ...] = ()) -> Pair:
    made = folder / names[0].replace("*", "any")
    made.mkdir()
    cert, key = self_signed(made, *names)
    return Pair(for_names, cert.read_bytes(), key.read_bytes())


def test_the_name_asked_for_chooses(tmp_path: Path) -> None:
    pairs = (
        pair(tmp_path, "one.example", for_names=("one.example", "uno.example")),
        pair(tmp_path, "default.example"),
        pair(tmp_path, "*.two.example", for_names=("*.two.example",)),
    )
    tls = ServerTls(TlsFiles(pairs), ClientCerts())
    client = client_context(*(each.cert for each in pairs))
    shown = {
        name: meet(tls.context(asks=False), client, name).names
        for name in ("one.example", "UNO.example", "a.two.example", "a.b.two.example", "else.example", None)
    }  # fmt: skip
    assert shown == {
        "one.example": {"one.example"},
        "UNO.example": {"one.example"},
        "a.two.example": {"*.two.example"},
        "a.b.two.example": {"default.example"},
        "else.example": {"default.example"},
        None: {"default.example"},
    }


def test_tls_1_2_is_the_least(tmp_path: Path) -> None:
    tls = ServerTls(TlsFiles((pair(tmp_path, "a.example"),)), ClientCerts())
    context = tls.context(asks=False)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ends_are_bound_by_the_same(tmp_path: Path, version: ssl.TLSVersion) -> None:
    made = pair(tmp_path, "a.example")
    tls = ServerTls(TlsFiles((made,), tickets=SECRET), ClientCerts())
    client = client_context(made.cert)
    client.maximum_version = version
    met, other = (meet(tls.context(asks=False), client) for _ in range(2))
    found = bindings(met.server)
    assert set(found) == {"tls-exporter", "tls-server-end-point"}
    assert found["tls-exporter"] == export_key(met.client, EXPORTER, EXPORTED_OCTETS)
    assert found["tls-exporter"] != bindings(other.server)["tls-exporter"]
    assert len(found["tls-server-end-point"]) == 32
    assert bindings(None) == {}


def test_exported_keys_are_those_that_openssl_computes(tmp_path: Path) -> None:
    """RFC 8446 §7.5, from the exporter secret that the handshake logs."""
    import hashlib
    import hmac

    made = pair(tmp_path, "a.example")
    client = client_context(made.cert)
    client.keylog_filename = str(tmp_path / "keys")
    client.set_ciphers("DEFAULT")
    met = meet(ServerTls(TlsFiles((made,)), ClientCerts()).context(asks=False), client)
    lines = dict(
        line.split()[::2] for line in (tmp_path / "keys").read_text().splitlines() if line[0] != "#"
    )
    cipher = met.server.cipher()
    assert cipher is not None
    name = "sha384" if cipher[0].endswith("SHA384") else "sha256"
    empty = hashlib.new(name).digest()

    def expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
        whole = b"tls13 " + label
        info = (
            size.to_bytes(2, "big") + bytes([len(whole)]) + whole + bytes([len(context)]) + context
        )
        return hmac.digest(secret, info + b"\x01", name)[:size]

    derived = expand(bytes.fromhex(lines["EXPORTER_SECRET"]), EXPORTER, empty, len(empty))
    assert expand(derived, b"exporter", empty, 32) == bindings(met.server)["tls-exporter"]


@pytest.mark.parametrize(("theirs", "resumed"), [(SECRET, True), (b"o" * TICKET_OCTETS, False)])
def test_a_ticket_of_one_process_is_good_at_the_next(
    tmp_path: Path, theirs: bytes, resumed: bool
) -> None:
    made = pair(tmp_path, "a.example")
    one = ServerTls(TlsFiles((made,), tickets=SECRET), ClientCerts())
    two = ServerTls(TlsFiles((made,), tickets=theirs), ClientCerts())
    client = client_context(made.cert)
    first = meet(one.context(asks=False), client)
    again = meet(two.context(asks=False), client, session=first.client.session)
    assert again.client.session_reused is resumed


@pytest.mark.parametrize("asks", ["no", "yes", "require"])
def test_certificates_of_clients(tmp_path: Path, asks: str) -> None:
    server, ann, eve = (pair(tmp_path, name) for name in ("a.example", "ann", "eve"))
    tls = ServerTls(TlsFiles((server,), trust=ann.cert), ClientCerts(asks))
    context = tls.context(asks=True)
    bare = client_context(server.cert)
    known, unknown = client_context(server.cert), client_context(server.cert)
    known.load_cert_chain(tmp_path / "ann/cert.pem", tmp_path / "ann/key.pem")
    unknown.load_cert_chain(tmp_path / "eve/cert.pem", tmp_path / "eve/key.pem")
    assert eve.cert
    if asks == "require":
        with pytest.raises(ssl.SSLError):
            meet(context, bare)
    else:
        assert tls.user_of(meet(context, bare).server) == ""
    assert tls.user_of(meet(context, known).server) == ("" if asks == "no" else "ann")
    if asks == "no":
        assert tls.user_of(meet(context, unknown).server) == ""
    else:
        with pytest.raises(ssl.SSLError):
            meet(context, unknown)
    assert tls.user_of(meet(tls.context(asks=False), unknown).server) == ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_ticket_is_no_certificate(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Who was asked for none at port 25 has shown none on submission, nor one of roots that are trusted no more."""
    server, ann, eve = (pair(tmp_path, name) for name in ("a.example", "ann", "eve"))
    tls = ServerTls(TlsFiles((server,), ann.cert, SECRET), ClientCerts("require"))
    client = client_context(server.cert)
    client.maximum_version = version
    ticket = meet(tls.context(asks=False), client).client.session
    with pytest.raises(ssl.SSLError):
        meet(tls.context(asks=True), client, session=ticket)
    client.load_cert_chain(tmp_path / "ann/cert.pem", tmp_path / "ann/key.pem")
    ticket = meet(tls.context(asks=True), client).client.session
    again = meet(tls.context(asks=True), client, session=ticket)
    assert again.client.session_reused and tls.user_of(again.server) == "ann"
    tls.replace(TlsFiles((server,), eve.cert, SECRET))
    with pytest.raises(ssl.SSLError):
        meet(tls.context(asks=True), client, session=ticket)


def test_a_bad_change_keeps_what_was_there(tmp_path: Path) -> None:
    one, two = pair(tmp_path, "a.example"), pair(tmp_path, "b.example")
    tls = ServerTls(TlsFiles((one,)), ClientCerts())
    with pytest.raises(ConfigError):
        tls.replace(TlsFiles((Pair((), one.cert, two.key),)))
    client = client_context(one.cert, two.cert)
    assert meet(tls.context(asks=False), client).names == {"a.example"}
    tls.replace(TlsFiles((two,)))
    assert meet(tls.context(asks=False), client).names == {"b.example"}
    assert not ServerTls(TlsFiles(), ClientCerts())
