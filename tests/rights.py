"""What each function may do in AWS, and in every test of the use cases: whether it does no more.

`tests/template/test_iam.py` holds the template to `ALLOWED`; `watched` holds the calls of a DynamoDB client to it. So a
right that a use case needs and no role gives is found where the use case is tested, and not in AWS.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from local.build import logical_id

LEDGER = {
    "PaymentsTable": {"BatchGetItem", "PutItem"},
    "StripeObjectsTable": {"GetItem", "PutItem"},
    "EnrollmentsTable": {"BatchGetItem", "PutItem", "UpdateItem", "ConditionCheckItem"},
    "AuditTable": {"PutItem"},
    "StripeSecret": {"GetSecretValue"},
}
REBUILD = {"AuditTable": {"PutItem", "Query"}}
"""A payment that is made anew goes on where its audit trail ends."""
CREATE = REBUILD | {
    "PaymentsTable": LEDGER["PaymentsTable"] | {"ConditionCheckItem"},
    "CustomersTable": {"BatchGetItem", "PutItem"},
}
ALLOWED: dict[str, dict[str, set[str]]] = {
    "TracksFunction": {},
    "EnrollmentsFunction": {"EnrollmentsTable": {"Query"}},
    "MyPaymentsFunction": {"PaymentsTable/index/by_user": {"Query"}, "PaymentsTable": {"BatchGetItem"}},
    "CreatePaymentFunction": LEDGER | CREATE,
    "CreateCheckoutSessionFunction": LEDGER | CREATE,
    "PaymentStatusFunction": LEDGER,
    "PaymentMethodsFunction": {"CustomersTable": {"BatchGetItem"}, "StripeSecret": {"GetSecretValue"}},
    "RequestRefundFunction": LEDGER,
    "WebhookFunction": LEDGER
    | REBUILD
    | {"StripeWebhookSecret": {"GetSecretValue"}, "QuarantineTable": {"UpdateItem"}},
    "AdminFunction": LEDGER
    | {
        "PaymentsTable/index/*": {"Query"},
        "AuditTable": {"PutItem", "Query"},
        "EnrollmentsTable": LEDGER["EnrollmentsTable"] | {"Query"},
        "CustomersTable": {"BatchGetItem"},
        "AnalyticsTable": {"BatchGetItem", "PutItem"},
        "ExportFunction": {"InvokeFunction"},
        "ExportsBucket": {"ListBucket"},
        "ExportsBucket/exports/*": {"GetObject", "PutObject"},
        "QuarantineTable": {"GetItem", "UpdateItem", "DeleteItem"},
        "QuarantineTable/index/by_first_at": {"Query"},
    },
    "ExportFunction": {
        "PaymentsTable/index/*": {"Query"},
        "PaymentsTable": {"BatchGetItem"},
        "EnrollmentsTable": {"BatchGetItem"},
        "StripeObjectsTable": {"GetItem"},
        "ExportsBucket/exports/*": {"GetObject", "PutObject"},
    },
    "ReconcileFunction": LEDGER
    | {
        "PaymentsTable/index/by_check": {"Query"},
        "AuditTable": {"PutItem", "BatchGetItem", "Query"},
        "CursorsTable": {"GetItem", "UpdateItem"},
        "QuarantineTable": {"GetItem", "UpdateItem", "DeleteItem"},
        "QuarantineTable/index/by_last_at": {"Query"},
    },
}

TABLES = {
    "payments": "PaymentsTable",
    "intents": "StripeObjectsTable",
    "customers": "CustomersTable",
    "enrollments": "EnrollmentsTable",
    "audit": "AuditTable",
    "quarantine": "QuarantineTable",
    "cursors": "CursorsTable",
    "analytics": "AnalyticsTable",
}
_WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
_acting: ContextVar[str | None] = ContextVar("acting", default=None)


@contextmanager
def of(handler: Callable[..., Any]) -> Iterator[None]:
    """Within it the calls are those of this handler's function."""
    token = _acting.set(logical_id(handler.__module__))
    try:
        yield
    finally:
        _acting.reset(token)


def watched(client: Any) -> Any:
    """The client, which from now on raises where the acting function has no right to what it asks for."""
    client.meta.events.register("before-parameter-build.dynamodb", _look)
    return client


def _look(params: dict[str, Any], model: Any, **_: Any) -> None:
    function = _acting.get()
    if function is None:
        return  # the test itself
    for target, action in _needed(model.name, params):
        granted = ALLOWED[function]
        if action not in granted.get(target, set()) | granted.get(_all_indexes(target), set()):
            raise AssertionError(f"{function} asks for {action} of {target}, and its role does not allow it")


def _needed(operation: str, params: dict[str, Any]) -> list[tuple[str, str]]:
    if operation == "TransactWriteItems":
        writes = [(kind, write) for item in params["TransactItems"] for kind, write in item.items()]
        return [(TABLES[write["TableName"]], _WRITES[kind]) for kind, write in writes]
    if operation == "BatchGetItem":
        return [(TABLES[name], operation) for name in params["RequestItems"]]
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    return [(TABLES[params["TableName"]] + index, operation)]


def _all_indexes(target: str) -> str:
    return target.rpartition("/")[0] + "/*"
