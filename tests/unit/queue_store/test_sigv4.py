"""Our signature is minio's, whatever is signed."""

from datetime import UTC, datetime
from urllib.parse import SplitResult, quote, urlencode

from hypothesis import given
from hypothesis import strategies as st
from minio.credentials.credentials import Credentials
from minio.signer import sign_v4_s3

from columba.queue.store.sigv4 import Signer

WORDS = st.text("abcXYZ019-_. ", min_size=1, max_size=12)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
    path=st.text("abc/=:._-~é ", max_size=20),
    query=st.dictionaries(st.sampled_from(["prefix", "list-type", "start-after"]), WORDS),
    headers=st.dictionaries(st.sampled_from(["If-Match", "x-amz-meta-a", "Content-Type"]), WORDS),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
)
def test_it_is_minios(
    method: str, path: str, query: dict[str, str], headers: dict[str, str], at: datetime
) -> None:
    target = "/mail/" + quote(path, safe="/-_.~")
    text = urlencode(sorted(query.items()), quote_via=quote)
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    given = {**headers, "Host": "s3.example.org:9000", "x-amz-date": stamp}
    theirs = sign_v4_s3(
        method=method,
        url=SplitResult("https", "s3.example.org:9000", target, text, ""),
        region="eu-1",
        headers=dict(given),
        credentials=Credentials("AKID", "secret"),
        content_sha256="0" * 64,
        date=at.replace(tzinfo=UTC),
    )
    ours = Signer("AKID", "secret", "eu-1").authorization(
        method, target, text, given, "0" * 64, stamp
    )
    assert ours == theirs["Authorization"]


def test_a_new_day_has_a_new_key() -> None:
    signer = Signer("AKID", "secret", "eu-1")
    one, two, again = (
        signer.authorization("GET", "/", "", {}, "0" * 64, f"202601{day}T000000Z")
        for day in ("01", "02", "01")
    )
    assert one == again != two
