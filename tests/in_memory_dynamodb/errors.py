"""The errors that DynamoDB answers, as botocore's client raises them."""

from functools import cache
from typing import Any

import botocore.session
from botocore.errorfactory import ClientExceptionsFactory
from botocore.exceptions import ClientError
from botocore.model import ServiceModel

CONDITION_FAILED = "The conditional request failed"


@cache
def service_model() -> ServiceModel:
    """Return botocore's model of DynamoDB."""
    model: ServiceModel = botocore.session.get_session().get_service_model("dynamodb")
    return model


@cache
def exceptions() -> Any:
    """Return the exception classes of botocore's DynamoDB client."""
    return ClientExceptionsFactory().create_client_exceptions(service_model())


def error(code: str, message: str, operation: str = "", **more: Any) -> ClientError:
    """Return the error that botocore's client raises for this answer."""
    response = {"Error": {"Message": message, "Code": code}, **more}
    class_: type[ClientError] = exceptions().from_code(code)
    return class_(response, operation)  # type: ignore[arg-type]


def invalid(message: str) -> ClientError:
    """Return the error of a request that DynamoDB refuses for what it contains."""
    return error("ValidationException", message)
