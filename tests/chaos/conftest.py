"""One site for all disasters of a worker."""

from collections.abc import Iterator

import pytest

from tests.chaos.disaster import Site, site


@pytest.fixture(scope="session")
def chaos() -> Iterator[Site]:
    with site() as made:
        yield made
