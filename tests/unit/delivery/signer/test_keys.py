"""Keys: files, names, records."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from columba.common.errors import ConfigError
from columba.delivery.signer.keys import (
    KeyRing,
    KeyType,
    PrivateKey,
    generate,
    load_key,
    load_ring,
    save,
)


def pem(
    private: PrivateKey | ec.EllipticCurvePrivateKey, form: serialization.PrivateFormat
) -> bytes:
    encoding = serialization.Encoding.PEM
    return private.private_bytes(encoding, form, serialization.NoEncryption())


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    rsa_key = generate("Example.org", "S1", KeyType.RSA_2048)
    ed_key = generate("example.org", "e1", KeyType.ED25519)
    paths = [save(tmp_path, key) for key in (ed_key, rsa_key)]
    save(tmp_path, generate("example.org", "next", KeyType.ED25519), ".pending")
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    ring = load_ring(tmp_path)
    assert ring.domains == ("example.org",)
    assert [key.selector for key in ring.active("EXAMPLE.org.")] == ["s1", "e1"]
    found = ring.find("example.org", "S1")
    assert found is not None
    assert found.txt_record() == rsa_key.txt_record()
    assert ring.find("example.org", "next") is None
    assert ring.active("example.net") == ()
    with pytest.raises(ConfigError, match="already"):
        save(tmp_path, ed_key)


def test_pkcs1_is_read_as_well(tmp_path: Path) -> None:
    key = generate("example.org", "s1", KeyType.RSA_2048)
    path = tmp_path / "key"
    path.write_bytes(pem(key.private, serialization.PrivateFormat.TraditionalOpenSSL))
    path.chmod(0o640)
    assert load_key("example.org", "s1", path).txt_record() == key.txt_record()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = save(tmp_path, generate("example.org", "s1", KeyType.ED25519))
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"chmod 0640 {path}"):
        load_ring(tmp_path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    small = rsa.generate_private_key(65537, 1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    for text, words in ((b"", "not an unencrypted"), (b"\x00" * 99999, "not an unencrypted"),
                        (pem(curve, form), "RSA and Ed25519 keys only")):  # fmt: skip
        path = tmp_path / "key"
        path.write_bytes(text)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=words):
            load_key("example.org", "s1", path)
    path.write_bytes(pem(small, form))
    assert load_key("example.org", "s1", path).algorithm == "rsa-sha256"
    with pytest.raises(ConfigError, match="can't be read"):
        load_key("example.org", "s1", tmp_path / "none")
    with pytest.raises(ConfigError, match="is no file"):
        load_key("example.org", "s1", tmp_path)
    for domain, selector in (
        ("grün.example", "s"),
        ("a..b", "s"),
        ("-a", "s"),
        ("a", "s/../x"),
        ("a", ""),
    ):
        with pytest.raises(ConfigError):
            generate(domain, selector, KeyType.ED25519)


def test_no_folder_is_no_key(tmp_path: Path) -> None:
    assert load_ring(tmp_path / "none").domains == ()
    assert KeyRing([]).active("example.org") == ()


def test_records() -> None:
    ed_key = generate("example.org", "e1", KeyType.ED25519)
    assert ed_key.record_name == "e1._domainkey.example.org"
    assert ed_key.txt_record().startswith("v=DKIM1; k=ed25519; p=")
    assert len(base64.b64decode(ed_key.txt_record().partition("p=")[2])) == 32
    rsa_key = generate("example.org", "s1", KeyType.RSA_2048)
    line = rsa_key.zone_line()
    assert line.startswith('s1._domainkey.example.org. IN TXT ( "v=DKIM1; k=rsa; p=')
    assert "".join(line.split('"')[1::2]) == rsa_key.txt_record()
    assert all(len(part) <= 255 for part in line.split('"')[1::2])
    assert "PRIVATE" not in repr(rsa_key)
