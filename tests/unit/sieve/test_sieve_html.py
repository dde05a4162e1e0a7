"""What people see of HTML."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from columba.sieve.run.html import visible_text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("plain &amp; simple", "plain & simple"),
        ("a<b>c</b>d", "acd"),
        ("<p>one</p>two", "\r\none\r\ntwo"),
        ("x<script>if (a<b) y()</SCRIPT >z", "xz"),
        ("x<style>never closed", "x"),
        ("a<!-- <b> -->c", "ac"),
        ("<head><title>t</title><style>s</style></head>x", "tx"),
        ("1 < 2 <3", "1 < 2 <3"),
        ("<!DOCTYPE html>x<?y z?>", "x"),
        ("open <a href=", "open "),
    ],
)
def test_markup_is_taken_out(markup: str, text: str) -> None:
    assert visible_text(markup) == text


@given(st.lists(st.sampled_from(["<", ">", "<!--", "-->", "<script", "</", "p", "&#1;"])))
def test_anything_is_read(pieces: list[str]) -> None:
    assert len(visible_text("".join(pieces))) <= 2 * len("".join(pieces))


@pytest.mark.parametrize("piece", ["<!--", "<p ", "<a<", "</script <style>", "<script", "&#"])
def test_the_time_is_linear(piece: str) -> None:
    began = time.process_time()
    visible_text(piece * 100_000)
    assert time.process_time() - began < 2
