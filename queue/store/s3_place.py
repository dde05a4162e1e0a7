"""Where an S3 store is: what `s3://BUCKET/PREFIX?NAME=VALUE&…` says.

Pure: a URL goes in, a Place or a ConfigError comes out. Names: `endpoint` (http:// or https://, host and port;
default: Amazon's of the region), `region`, `path_style` (yes: the bucket stands in the path, not in the host name; the
default unless the endpoint is Amazon's), `ca_file` (PEM, who signs the server's certificate), `credentials_file`
(an AWS credentials file; default: the environment). Keys never stand in the URL, and no error repeats its values.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from columba.common.errors import ConfigError

SCHEME: Final = "s3"
REGION: Final = "us-east-1"
_NAMES: Final = ("endpoint", "region", "path_style", "ca_file", "credentials_file")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*")
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Place:
    """One bucket, and the part of it that is ours. prefix is "" or ends with a slash."""

    bucket: str
    prefix: str
    host: str
    port: int
    is_tls: bool
    region: str = REGION
    path_style: bool = True
    ca_file: str = ""
    credentials_file: str = ""

    @property
    def is_loopback(self) -> bool:
        """Tell whether the server is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def name(self) -> str:
        """Return what an administrator knows it by."""
        return f"s3://{self.bucket}/{self.prefix} at {self.host}:{self.port}"


def parse_place(url: str) -> Place:
    """Return the place that a URL names; ConfigError says what is wrong with it."""
    try:
        parts = urlsplit(url)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise _wrong("can't be read") from error
    if "@" in parts.netloc or parts.fragment:
        raise _wrong("wants s3://BUCKET/PREFIX?…; keys belong into credentials_file")
    options = _options(given)
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise _wrong("has no valid bucket name (3 to 63 of a-z 0-9 . -)")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise _wrong("has a prefix with other characters than A-Z a-z 0-9 . _ = - /")
    region = options.get("region", REGION)
    if not _REGION.fullmatch(region):
        raise _wrong("region is no region")
    host, port, is_tls = _endpoint(options.get("endpoint", f"https://s3.{region}.amazonaws.com"))
    is_amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return Place(
        bucket=bucket,
        prefix=f"{prefix}/" if prefix else "",
        host=host,
        port=port,
        is_tls=is_tls,
        region=region,
        path_style=_yes_or_no(options.get("path_style", "no" if is_amazon else "yes")),
        ca_file=_path("ca_file", options.get("ca_file", "")),
        credentials_file=_path("credentials_file", options.get("credentials_file", "")),
    )


def _options(given: list[tuple[str, str]]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in given:
        if name not in _NAMES:
            raise _wrong(f"has a parameter that is not one of {', '.join(_NAMES)}")
        if name in options:
            raise _wrong(f"has {name} twice")
        options[name] = value
    return options


def _endpoint(text: str) -> tuple[str, int, bool]:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _wrong("endpoint is no URL") from error
    host = parts.hostname or ""
    is_bare = parts.path in {"", "/"} and not parts.query and "@" not in parts.netloc
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or not is_bare:
        raise _wrong("endpoint wants http:// or https://, a host and a port")
    is_tls = parts.scheme == "https"
    return host, port or (443 if is_tls else 80), is_tls


def _yes_or_no(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise _wrong("path_style wants yes or no")
    return text == "yes"


def _path(name: str, text: str) -> str:
    if text and not text.startswith("/"):
        raise _wrong(f"{name} wants an absolute path")
    return text


def _wrong(text: str) -> ConfigError:
    return ConfigError(f"queue_url: {text}")
