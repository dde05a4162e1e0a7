"""Streams are tested on the loop that the services use and on the standard one."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test twice."""
    assert config is item.config
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
