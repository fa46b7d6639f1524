"""The DynamoDB client and the calls that every other module of this folder makes through it."""

import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore.config import Config
from pynamodb.models import Model

from tuition import clock
from tuition.core.errors import Contended
from tuition.settings import settings

Item = dict[str, Any]
"""An item as DynamoDB writes it: `{"name": {"S": "…"}}`."""


@cache
def client() -> Any:
    """The one DynamoDB client of this process, with time-outs: an answer that is lost is asked for again."""
    config = Config(connect_timeout=1, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
    session = botocore.session.get_session()
    return session.create_client("dynamodb", endpoint_url=settings().dynamodb_endpoint_url, config=config)


if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
    client()  # at the start of a Lambda, which has the processor to itself, and not in somebody's first request


def table_name(model: type[Model]) -> str:
    """The name of a model's table."""
    name: str = model.Meta.table_name
    return name


def to_raw(item: Model) -> Item:
    """The item as DynamoDB writes it, without what is None."""
    return {name: value for name, value in item.serialize().items() if "NULL" not in value}


# --- reading ---


def batch_get(keys: Mapping[type[Model], Iterable[Item]]) -> dict[type[Model], list[Item]]:
    """Items of several tables in one strongly consistent batch read. What is not there is left out.

    Raises `Contended` when DynamoDB leaves keys unread five times.
    """
    wanted = {table_name(model): {"Keys": list(k), "ConsistentRead": True} for model, k in keys.items()}
    wanted = {name: request for name, request in wanted.items() if request["Keys"]}
    models = {table_name(model): model for model in keys}
    found: dict[type[Model], list[Item]] = {model: [] for model in keys}
    for attempt in range(1, 6):
        if not wanted:
            return found
        answer = client().batch_get_item(RequestItems=wanted)
        for name, items in answer["Responses"].items():
            found[models[name]].extend(items)
        wanted = answer.get("UnprocessedKeys", {})
        if wanted:
            clock.pause(attempt)
    raise Contended("the tables are busy: try again")
