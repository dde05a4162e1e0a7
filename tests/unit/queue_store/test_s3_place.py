"""What a queue_url of kind s3 says."""

import pytest

from columba.common.errors import ConfigError
from columba.queue.store.s3_place import parse_place


def test_everything_is_said() -> None:
    place = parse_place(
        "s3://mail/a/b/?endpoint=https://s3.example.org:9000&region=eu-1&path_style=no"
        "&ca_file=/etc/ca.pem&credentials_file=/etc/keys"
    )
    assert (place.bucket, place.prefix, place.host, place.port) == (
        "mail",
        "a/b/",
        "s3.example.org",
        9000,
    )
    assert (place.is_tls, place.region, place.path_style) == (True, "eu-1", False)
    assert (place.ca_file, place.credentials_file) == ("/etc/ca.pem", "/etc/keys")


def test_without_an_endpoint_it_is_amazons_with_the_bucket_in_the_name() -> None:
    place = parse_place("s3://mail?region=eu-central-1")
    assert (place.host, place.port, place.is_tls) == ("s3.eu-central-1.amazonaws.com", 443, True)
    assert not place.path_style and place.prefix == "" and not place.is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_what_is_on_this_machine(host: str) -> None:
    assert parse_place(f"s3://mail?endpoint=http://{host}:8333").is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://m",
        "s3://UPPER",
        "s3://key:secret@mail/p",
        "s3://mail/../p",
        "s3://mail/a//b",
        "s3://mail?endpoint=ftp://x",
        "s3://mail?endpoint=http://x/path",
        "s3://mail?endpoint=http://u:p@x",
        "s3://mail?endpoint=http://x:99999",
        "s3://mail?region=A%20B",
        "s3://mail?path_style=maybe",
        "s3://mail?ca_file=relative",
        "s3://mail?secret=geheim",
        "s3://mail?region=a&region=b",
        "s3://mail?nonsense",
    ],
)
def test_what_is_wrong_is_said_without_its_values(url: str) -> None:
    with pytest.raises(ConfigError, match="queue_url: ") as caught:
        parse_place(url)
    assert "geheim" not in str(caught.value) and "secret@" not in str(caught.value)
