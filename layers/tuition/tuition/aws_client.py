"""Clients of AWS's services other than DynamoDB, each with its timeouts and its number of tries.

botocore is imported with the first client, so that a module that may call a service costs nothing at INIT.

Source: https://botocore.amazonaws.com/v1/documentation/api/latest/reference/config.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tuition.core.errors import Unavailable
from tuition.log import logger

CONNECT_TIMEOUT_S = 2
ATTEMPTS = 3


def create(
    service: str,
    *,
    read_timeout_s: float,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    attempts: int = ATTEMPTS,
    **config: Any,
) -> Any:
    """Return a new client. Creating one takes tens of milliseconds, so its caller keeps it.

    A call takes at most `attempts` times the two timeouts, and botocore's short waits. `attempts` is 1 for a call whose
    repetition would do harm. `config` is more of botocore's `Config`.
    """
    import botocore.session
    from botocore.config import Config

    settings = Config(
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        **config,
    )
    return botocore.session.get_session().create_client(service, config=settings)


@contextmanager
def failures_as_unavailable(event: str, **fields: Any) -> Iterator[None]:
    """Log a failure of a service that was not handled as `event`, and raise `Unavailable` instead."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        logger.exception(event, **fields)
        raise Unavailable(f"A part of our system is not responding. Try again. ({type(error).__name__})") from error
