"""A client like botocore's, with its events, errors, paginators and checks of parameters, and without HTTP."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from botocore.hooks import HierarchicalEmitter
from botocore.model import ListShape, MapShape, OperationModel, Shape, StructureShape
from botocore.paginate import Paginator
from botocore.validate import ParamValidator

from tests.in_memory_dynamodb.errors import exceptions, service_model

Item = dict[str, Any]
Perform = Callable[[str, Item], Item]
"""Make a call, by its method's name and its parameters."""
_PYTHON_TYPES: Mapping[str, Any] = {"string": str, "boolean": bool, "integer": int, "long": int, "blob": bytes}


@cache
def _operations() -> dict[str, OperationModel]:
    model = service_model()
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


@cache
def _pagination() -> Any:
    loader = botocore.session.get_session().get_component("data_loader")
    return loader.load_service_model("dynamodb", "paginators-1")["pagination"]


class Client:
    """The botocore client of the tests. `perform` answers its calls."""

    def __init__(self, perform: Perform) -> None:
        self._perform = perform
        self.meta = SimpleNamespace(events=HierarchicalEmitter(), service_model=service_model())
        self.exceptions = exceptions()

    def __getattr__(self, name: str) -> Callable[..., Item]:
        if name.startswith("_") or name not in _operations():
            raise AttributeError(name)
        method = partial(self._call, name)
        setattr(self, name, method)
        return method

    def get_paginator(self, name: str) -> Paginator:
        operation = _operations()[name]
        return Paginator(getattr(self, name), _pagination()[operation.name], operation)

    def _call(self, method: str, **params: Any) -> Item:
        """Make a call as `botocore.client.BaseClient._make_api_call` does, with the same events."""
        operation = _operations()[method]
        events, name, context = self.meta.events, operation.name, {}
        shared = {"model": operation, "context": context}
        for _, changed in events.emit(f"provide-client-params.dynamodb.{name}", params=params, **shared):
            params = changed if changed is not None else params
        events.emit(f"before-parameter-build.dynamodb.{name}", params=params, **shared)
        _check(operation, params)
        _, answer = events.emit_until_response(
            f"before-call.dynamodb.{name}", params=None, request_signer=None, **shared
        )
        http, parsed = answer if answer is not None else self._answer(method, params)
        events.emit(f"after-call.dynamodb.{name}", http_response=http, parsed=parsed, **shared)
        if http.status_code >= 300:
            raise exceptions().from_code(parsed["Error"]["Code"])(parsed, name)
        parsed.setdefault("ResponseMetadata", {"HTTPStatusCode": http.status_code, "RetryAttempts": 0})
        return parsed

    def _answer(self, method: str, params: Item) -> tuple[Any, Item]:
        try:
            return SimpleNamespace(status_code=200, headers={}), self._perform(method, params)
        except ClientError as failure:
            return SimpleNamespace(status_code=400, headers={}), dict(failure.response)


def _check(operation: OperationModel, params: Item) -> None:
    """Check parameters as botocore does, which is asked only about those that a quick look does not clear."""
    shape = operation.input_shape
    assert shape is not None
    if not _is_clearly_valid(shape)(params):
        report = ParamValidator().validate(params, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())


def _is_text_or_number(value: Any) -> bool:
    if type(value) is not dict or len(value) != 1:
        return False
    ((kind, text),) = value.items()
    return kind in ("S", "N") and type(text) is str


def _structure(shape: Shape) -> Callable[[Any], bool]:
    assert isinstance(shape, StructureShape)
    members = {name: inner.name for name, inner in shape.members.items()}
    required = set(shape.required_members)

    def is_structure(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and required <= value.keys()
            and all(name in members and _checks(members[name])(inner) for name, inner in value.items())
        )

    return is_structure


@cache
def _checks(name: str) -> Callable[[Any], bool]:
    return _compiled(service_model().shape_for(name))


def _is_clearly_valid(shape: Shape) -> Callable[[Any], bool]:
    """Return the check of a shape. It finds the checks of inner shapes at its first use, as a value contains values."""
    return _checks(shape.name)


def _compiled(shape: Shape) -> Callable[[Any], bool]:
    if shape.name == "AttributeValue":
        is_any_value = _structure(shape)
        return lambda value: _is_text_or_number(value) or is_any_value(value)
    if isinstance(shape, StructureShape):
        return _structure(shape)
    if isinstance(shape, ListShape):
        inner, fewest = shape.member.name, shape.metadata.get("min", 0)
        return lambda value: (
            isinstance(value, (list, tuple)) and len(value) >= fewest and all(map(_checks(inner), value))
        )
    if isinstance(shape, MapShape):
        inner = shape.value.name
        return lambda value: (
            isinstance(value, dict)
            and all(isinstance(name, str) for name in value)
            and all(map(_checks(inner), value.values()))
        )
    return _scalar(shape)


def _scalar(shape: Shape) -> Callable[[Any], bool]:
    type_, fewest = _PYTHON_TYPES.get(shape.type_name), shape.metadata.get("min")
    if type_ is None:
        return lambda _: False
    if fewest is None:
        return lambda value: type(value) is type_
    if type_ is int:
        return lambda value: type(value) is int and value >= fewest
    return lambda value: type(value) is type_ and len(value) >= fewest
