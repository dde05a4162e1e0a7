"""Sign a request to S3: AWS Signature Version 4.

Pure. All headers that are given are signed. The signing key of a day is derived once, not for each request; the tests
hold the result against minio's signer, which takes ten times as long.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Signer:
    """Signs with one pair of keys in one region."""

    def __init__(self, access: str, secret: str, region: str) -> None:
        self._access, self._secret, self._region = access, secret, region
        self._day, self._key = "", b""

    def authorization(
        self, method: str, path: str, query: str, headers: Mapping[str, str], digest: str, at: str
    ) -> str:
        """Return the Authorization header.

        path and query are percent-encoded, the query sorted by name; digest is the body's SHA-256 in hexadecimal
        digits; at is the time as in x-amz-date (20260131T120000Z).
        """
        lines = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
        names = ";".join(name for name, _ in lines)
        text = "".join(f"{name}:{value}\n" for name, value in lines)
        canonical = f"{method}\n{path}\n{query}\n{text}\n{names}\n{digest}"
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        told = f"{_ALGORITHM}\n{at}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key_of(at[:8]), told.encode(), "sha256").hex()
        credential = f"Credential={self._access}/{scope}"
        return f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"

    def _key_of(self, day: str) -> bytes:
        if day == self._day:
            return self._key
        key = f"AWS4{self._secret}".encode()
        for part in (day, self._region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._key, self._day = key, day  # in this order: another thread may look meanwhile
        return key
