"""Queries: read as written, wrong ones named with their place, and never a crash."""

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from columba.queue.query import FIELDS, Facts, QueryError, parse

ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
FACTS: Facts = {
    "id": (ID,),
    "sender": ("Anna@Example.org",),
    "recipient": ("b@gmail.com", "c@example.net"),
    "destination": ("mx:gmail.com", "gmail.com"),
    "age": 7200.0,
    "size": 10240.0,
    "priority": -3.0,
    "hold": (),
}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", True),
        ("sender=*@example.org AND age>1h AND destination=gmail.com", True),
        ("sender=*@example.org age>1h", True),
        ("age>3h OR recipient=c@*", True),
        ("age>3h OR NOT recipient=c@*", False),
        ("NOT (age>1h AND size>20k)", True),
        ("!size>=10k", False),
        ("age<=120mins", True),
        ("size=10K", True),
        ("priority<-2", True),
        ("recipient!=b@gmail.com", False),
        ('sender="anna@example.org"', True),
        ("sender=<>", False),
        ('sender=""', False),
        (ID, True),
        (f"id={ID.lower()}", True),
        ("state=held", None),
        ("state=held AND sender=x", False),
        ("state=held OR sender=a*", True),
        ("NOT state=held", None),
        ("hold=*", False),
        ("sender=a???@*", True),
        ("sender=a????@*", False),
    ],
)
def test_what_a_query_says_of_a_mail(query: str, said: bool | None) -> None:
    assert parse(query).matches(FACTS) is said


@pytest.mark.parametrize(
    ("query", "column", "words"),
    [
        ("age>1x", 5, "no time"),
        ("sender=a AND foo=1", 14, "no field 'foo'"),
        ("sender<a", 7, "only = and !="),
        ("state=foo", 7, "state is never 'foo': it is one of waiting, active, held"),
        ("NOT step=data*", 10, "one of sieve, route, dkim, delivery"),
        ("sender=", 8, "missing"),
        ("(sender=a", 10, "not closed"),
        ("sender=a)", 9, "nothing opened"),
        ('sender="a', 8, "not closed"),
        ("size>ten", 6, "no size"),
        ("attempts>2.5", 10, "no number"),
        ("gmail.com", 1, "neither an id nor"),
        ("sender=a OR", 12, "comparison"),
        ("()", 2, "comparison"),
        ("(" * 60 + "sender=a" + ")" * 60, 51, "too deep"),
    ],
)
def test_a_mistake_is_named_with_its_place(query: str, column: int, words: str) -> None:
    with pytest.raises(QueryError, match=words.replace("(", r"\(")) as caught:
        parse(query)
    assert caught.value.column == column
    assert str(caught.value).splitlines()[-1].index("^") == column + 1


def test_which_ids_alone_can_match() -> None:
    other = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
    assert parse(f"{ID} OR id={other}").ids() == frozenset({ID, other})
    assert parse(f"{ID} AND age>1h").ids() == frozenset({ID})
    assert parse(f"{ID} OR age>1h").ids() is None
    assert parse(f"NOT {ID}").ids() is None
    assert parse("id=01*").ids() is None


words = st.sampled_from(
    ["AND", "OR", "NOT", "!", "(", ")", "=", "<", ">=", "!=", '"', "\\", "1h", "10k", "*", " ", ID]
)


@given(st.lists(st.one_of(words, st.sampled_from(list(FIELDS)), st.text(max_size=5)), max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_query_or_a_mistake(parts: list[str]) -> None:
    try:
        query = parse(" ".join(parts))
    except QueryError as error:
        assert 1 <= error.column <= len(" ".join(parts)) + 1
        return
    assert query.matches(FACTS) in {True, False, None}
    query.ids()


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_are_those_of_the_shell(wanted: str, value: str) -> None:
    said = parse(f'sender="{wanted}"').matches({"sender": (value,)})
    assert said is fnmatch.fnmatchcase(value, wanted)
