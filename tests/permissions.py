"""The permissions that each function's role grants in AWS, and a check that the use cases need no others.

`tests/template/test_iam.py` compares the template with `ALLOWED`. A client from `enforced` checks each DynamoDB call
against it. A permission that a use case needs but no role grants therefore fails the use case's test, not production.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from local.build import logical_id

LEDGER = {
    "PaymentsTable": {"BatchGetItem", "PutItem"},
    "PlansTable": {"BatchGetItem", "PutItem", "ConditionCheckItem"},
    "PaymentsTable/index/by_plan": {"Query"},
    "StripeObjectsTable": {"GetItem", "PutItem"},
    "EnrollmentsTable": {"BatchGetItem", "PutItem", "UpdateItem", "ConditionCheckItem"},
    "CustomersTable": {"UpdateItem"},
    "AuditTable": {"PutItem", "Query"},
    "LimitsTable": {"BatchGetItem", "UpdateItem"},
    "StripeSecret": {"GetSecretValue"},
}
RESOLVE = {"StripeObjectsTable": LEDGER["StripeObjectsTable"] | {"BatchGetItem"}}
"""One batch read takes an event's pointers together with the payment that its metadata name."""
REBUILD = {"AuditTable": {"PutItem", "Query"}}
"""A rebuilt payment continues its existing audit trail."""
CREATE = REBUILD | {
    "PaymentsTable": LEDGER["PaymentsTable"] | {"ConditionCheckItem"},
    "CustomersTable": {"BatchGetItem", "UpdateItem"},
    "CursorsTable": {"BatchGetItem"},
}
FAILED_RUNS = {"FailedRuns": {"SendMessage"}}
"""Lambda sends an invocation that failed with the rights of its function."""
LOCKS = {"GetObjectRetention", "PutObjectRetention", "PutObjectVersionTagging"}
ALLOWED: dict[str, dict[str, set[str]]] = {
    "TracksFunction": {},
    "EnrollmentsFunction": {
        "EnrollmentsTable": {"Query"},
        "PaymentsTable": {"BatchGetItem"},
        "PlansTable": {"BatchGetItem"},
        "CustomersTable": {"BatchGetItem"},
        "CursorsTable": {"BatchGetItem"},
    },
    "MyDataFunction": {
        "PaymentsTable/index/by_user": {"Query"},
        "PaymentsTable": {"BatchGetItem"},
        "PlansTable/index/by_user": {"Query"},
        "PlansTable": {"BatchGetItem"},
        "EnrollmentsTable": {"Query"},
        "CustomersTable": {"BatchGetItem"},
        "LimitsTable": {"BatchGetItem", "UpdateItem"},
        "AuditTable": {"Query"},
        "EffectsTable": {"GetItem", "Query"},
        "NotesTable": {"Query"},
        "SearchTable": {"BatchGetItem"},
        "ExportsBucket/personal/*": {"GetObject", "PutObject"},
    },
    "MyEmailFunction": LEDGER
    | {
        "PaymentsTable/index/by_user": {"Query"},
        "CustomersTable": {"BatchGetItem", "UpdateItem"},
        "EffectsTable": {"DeleteItem"},
    },
    "MyPaymentsFunction": {"PaymentsTable/index/by_user": {"Query"}, "PaymentsTable": {"BatchGetItem"}},
    "CreatePaymentFunction": LEDGER | CREATE,
    "CreateCheckoutSessionFunction": LEDGER | CREATE,
    "PaymentStatusFunction": LEDGER,
    "PaymentMethodsFunction": {
        "PlansTable/index/by_user": {"Query"},
        "PlansTable": {"BatchGetItem"},
        "CustomersTable": {"BatchGetItem"},
        "LimitsTable": {"BatchGetItem", "UpdateItem"},
        "StripeSecret": {"GetSecretValue"},
    },
    "PlansFunction": LEDGER | CREATE | {"PlansTable/index/by_user": {"Query"}},
    "RequestRefundFunction": LEDGER | {"CustomersTable": {"BatchGetItem", "UpdateItem"}},
    "MeFunction": LEDGER
    | {
        "PlansTable/index/by_user": {"Query"},
        "PaymentsTable/index/by_user": {"Query"},
        "EnrollmentsTable": LEDGER["EnrollmentsTable"] | {"Query"},
        "CustomersTable": {"BatchGetItem", "UpdateItem"},
        "ErasuresBucket/due/*": {"PutObject"},
        "UserPool": {"AdminUserGlobalSignOut"},
    },
    "EraseFunction": LEDGER
    | FAILED_RUNS
    | {
        "PaymentsTable/index/by_user": {"Query"},
        "PlansTable/index/by_user": {"Query"},
        "EnrollmentsTable": LEDGER["EnrollmentsTable"] | {"Query"},
        "CustomersTable": {"BatchGetItem", "UpdateItem"},
        "StripeObjectsTable": LEDGER["StripeObjectsTable"] | {"DeleteItem"},
        "EffectsTable": {"DeleteItem"},
        "NotesTable": {"Query", "DeleteItem"},
        "SearchTable": {"GetItem", "PutItem", "DeleteItem"},
        "ErasuresBucket": {"ListBucket"},
        "ErasuresBucket/due/*": {"DeleteObject", "GetObject", "PutObject"},
        "ErasuresBucket/done/*": {"GetObject", "PutObject"},
        "ErasuresBucket/position": {"GetObject", "PutObject"},
        "UserPool": {"AdminDeleteUser", "AdminDisableUser", "AdminUserGlobalSignOut"},
    },
    "WebhookFunction": LEDGER
    | RESOLVE
    | REBUILD
    | {"PlansTable/index/by_user": {"Query"}}
    | {"StripeWebhookSecret": {"GetSecretValue"}, "QuarantineTable": {"UpdateItem"}},
    "AdminFunction": LEDGER
    | RESOLVE
    | {
        "PaymentsTable/index/*": {"Query"},
        "PlansTable/index/*": {"Query"},
        "PaymentsTable": LEDGER["PaymentsTable"] | {"ConditionCheckItem"},
        "NotesTable": {"Query", "PutItem", "DeleteItem"},
        "SearchTable": {"BatchGetItem", "Query"},
        "ActivityTable": {"Query"},
        "AuditTable": {"PutItem", "Query"},
        "EnrollmentsTable": LEDGER["EnrollmentsTable"] | {"Query"},
        "CustomersTable": {"BatchGetItem", "UpdateItem"},
        "AnalyticsTable": {"BatchGetItem", "PutItem", "Query"},
        "ExportFunction:live": {"InvokeFunction"},
        "ExportsBucket": {"ListBucket"},
        "ExportsBucket/exports/*": {"GetObject", "PutObject"},
        "ExportsBucket/personal/*": {"GetObject", "PutObject"},
        "QuarantineTable": {"GetItem", "UpdateItem", "DeleteItem"},
        "QuarantineTable/index/by_first_at": {"Query"},
        "CursorsTable": {"GetItem", "PutItem"},
        "EffectsTable": {"GetItem", "Query", "DeleteItem"},
        "ErasuresBucket/due/*": {"PutObject"},
    },
    "ExportFunction": FAILED_RUNS
    | {
        "PlansTable": {"Scan"},
        "PaymentsTable/index/*": {"Query"},
        "PaymentsTable": {"BatchGetItem"},
        "EnrollmentsTable": {"BatchGetItem"},
        "SearchTable": {"Query"},
        "StripeObjectsTable": {"BatchGetItem", "GetItem"},
        "StripeSecret": {"GetSecretValue"},
        "ExportsBucket/exports/*": {"GetObject", "PutObject"},
    },
    "CollectFunction": LEDGER
    | FAILED_RUNS
    | {
        "PlansTable/index/by_collect": {"Query"},
        "PlansTable/index/by_status": {"Query"},
        "PaymentsTable/index/by_plan": {"Query"},
        "CustomersTable": {"BatchGetItem", "UpdateItem"},
        "AuditTable": {"PutItem", "Query"},
        "CursorsTable": {"GetItem", "BatchGetItem", "UpdateItem"},
        "ReconcileQueue": {"SendMessage"},
    },
    "ReconcileFunction": LEDGER
    | FAILED_RUNS
    | RESOLVE
    | {
        "PaymentsTable/index/by_check": {"Query"},
        "PaymentsTable/index/by_status": {"Query"},
        "PaymentsTable/index/by_refund_request": {"Query"},
        "PlansTable/index/by_user": {"Query"},
        "AuditTable": {"PutItem", "BatchGetItem", "Query"},
        "CursorsTable": {"GetItem", "BatchGetItem", "UpdateItem", "DeleteItem"},
        "QuarantineTable": {"GetItem", "UpdateItem", "DeleteItem"},
        "QuarantineTable/index/by_last_at": {"Query"},
        "ReconcileQueue": {"SendMessage"},
    },
    "AnalyticsFunction": {
        "PaymentsTable": {"BatchGetItem"},
        "AuditTable": {"Query"},
        "EffectsTable": {"BatchGetItem", "PutItem"},
        "AnalyticsTable": {"BatchGetItem", "PutItem"},
        "AnalyticsQueue": {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"},
    },
    "RecountFunction": FAILED_RUNS
    | {
        "PaymentsTable": {"BatchGetItem"},
        "PaymentsTable/index/by_day": {"Query"},
        "AuditTable": {"Query"},
        "AuditTable/index/by_recorded_day": {"Query"},
        "AnalyticsTable": {"BatchGetItem", "PutItem", "Query", "Scan"},
        "CursorsTable": {"GetItem", "UpdateItem"},
    },
    "RetentionFunction": FAILED_RUNS
    | {
        "PaymentsTable": {"BatchGetItem", "DeleteItem"},
        "PaymentsTable/index/by_day": {"Query"},
        "PaymentsTable/index/by_plan": {"Query"},
        "PlansTable": {"BatchGetItem", "PutItem"},
        "StripeObjectsTable": {"BatchGetItem", "PutItem"},
        "CustomersTable": {"ConditionCheckItem", "UpdateItem"},
        "AuditTable": {"PutItem", "Query"},
        "NotesTable": {"Query", "DeleteItem"},
        "SearchTable": {"GetItem", "PutItem", "DeleteItem"},
        "CursorsTable": {"GetItem", "UpdateItem", "DeleteItem"},
    },
    "ArchiveLocksFunction": FAILED_RUNS
    | {
        "PaymentsTable": {"BatchGetItem"},
        "PlansTable": {"BatchGetItem"},
        "AuditTable": {"Query"},
        "CursorsTable": {"GetItem", "UpdateItem"},
        "ArchiveBucket": {"ListBucketVersions"},
        "ArchiveBucket/records/*": LOCKS | {"GetObjectVersion"},
        "ArchiveBucket/final/*": LOCKS,
    },
    "DigestFunction": FAILED_RUNS
    | {
        "ArchiveBucket": {"ListBucketVersions"},
        "ArchiveBucket/records/*": {"GetObjectVersion"},
        "ArchiveBucket/final/*": {"GetObjectVersion"},
        "DigestBucket": {"ListBucket"},
        "DigestBucket/*": {"GetObject", "PutObject"},
        "DigestKey": {"GetPublicKey", "Sign"},
    },
    "ReconcileWorkerFunction": LEDGER
    | RESOLVE
    | {
        "PaymentsTable": LEDGER["PaymentsTable"] | {"Scan"},
        "EnrollmentsTable": LEDGER["EnrollmentsTable"] | {"Query", "Scan"},
        "CustomersTable": LEDGER["CustomersTable"] | {"BatchGetItem"},
        "PaymentsTable/index/by_plan": {"Query"},
        "PlansTable/index/by_user": {"Query"},
        "AuditTable": {"PutItem", "BatchGetItem", "Query"},
        "AuditTable/index/by_recorded_day": {"Query"},
        "CursorsTable": {"GetItem", "BatchGetItem", "UpdateItem"},
        "QuarantineTable": {"UpdateItem"},
        "ReconcileQueue": {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"},
    },
    "AuditFunction": LEDGER
    | FAILED_RUNS
    | {
        "StripeObjectsTable": {"BatchGetItem", "GetItem"},
        "LimitsTable": {"BatchGetItem"},
        "AuditTable": {"PutItem", "Query"},
        "AuditTable/index/by_recorded_day": {"Query"},
        "PaymentsTable": LEDGER["PaymentsTable"] | {"Scan"},
        "EnrollmentsTable": LEDGER["EnrollmentsTable"] | {"Query", "Scan"},
        "CursorsTable": {"GetItem", "BatchGetItem", "UpdateItem", "DeleteItem"},
        "ReconcileQueue": {"SendMessage"},
    },
    "ConsoleTablesFunction": {
        "PaymentsTable": {"BatchGetItem"},
        "PaymentsTable/index/by_day": {"Query"},
        "SearchTable": {"GetItem", "PutItem", "DeleteItem", "Scan"},
        "ActivityTable": {"PutItem", "UpdateItem"},
        "ConsoleQueue": {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"},
    },
    "EmailsFunction": {
        "PaymentsTable": {"BatchGetItem"},
        "PaymentsTable/index/by_attention": {"Query"},
        "PaymentsTable/index/by_dispute_due": {"Query"},
        "PaymentsTable/index/by_refund_request": {"Query"},
        "PlansTable": {"BatchGetItem", "PutItem"},
        "PlansTable/index/by_attention": {"Query"},
        "EnrollmentsTable": {"BatchGetItem", "ConditionCheckItem"},
        "LimitsTable": {"BatchGetItem"},
        "AuditTable": {"PutItem"},
        "CustomersTable": {"BatchGetItem"},
        "EffectsTable": {"GetItem", "UpdateItem", "DeleteItem"},
        "EmailQueue": {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"},
        "EmailConfigurationSet": {"SendEmail"},
    },
    "ReleaseCheckFunction": {
        "StripeWebhookSecret": {"GetSecretValue"},
        "WebhookFunction:*": {"InvokeFunction"},
        "CodeDeploy/*": {"PutLifecycleEventHookExecutionStatus"},
    },
    "StaffGroupsFunction": {"UserPool": {"AdminGetUser"}},
    "PublishFunction": {
        "AuditTable/stream": {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"},
        "FailedRecordsBucket": {"ListBucket"},
        "FailedRecordsBucket/aws/lambda/*": {"PutObject"},
        "AuditTable": {"BatchGetItem", "Query"},
        "AuditTable/index/by_recorded_day": {"Query"},
        "EventBus": {"PutEvents"},
        "AnalyticsQueue": {"SendMessage"},
    },
    "ArchiveCheckFunction": FAILED_RUNS
    | {
        "AuditTable": {"BatchGetItem"},
        "AuditTable/index/by_recorded_day": {"Query"},
        "CursorsTable": {"GetItem", "UpdateItem"},
        "ArchiveBucket": {"ListBucket"},
        "ArchiveBucket/records/*": {"GetObject", "PutObject", "PutObjectRetention"},
        "ArchiveBucket/final/*": {"PutObject", "PutObjectRetention"},
    },
    "ArchiveFunction": {
        "AuditTable/stream": {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"},
        "FailedRecordsBucket": {"ListBucket"},
        "FailedRecordsBucket/aws/lambda/*": {"PutObject"},
        "ArchiveBucket/records/*": {"PutObject", "PutObjectRetention"},
        "ArchiveBucket/final/*": {"PutObject", "PutObjectRetention"},
    },
}

TABLES = {
    "payments": "PaymentsTable",
    "stripe_objects": "StripeObjectsTable",
    "customers": "CustomersTable",
    "enrollments": "EnrollmentsTable",
    "audit": "AuditTable",
    "quarantine": "QuarantineTable",
    "cursors": "CursorsTable",
    "analytics": "AnalyticsTable",
    "limits": "LimitsTable",
    "effects": "EffectsTable",
    "notes": "NotesTable",
    "plans": "PlansTable",
    "search": "SearchTable",
    "activity": "ActivityTable",
}
STRIPE_KEY_GROUPS = {
    "RequestRefundFunction": "refunds",
    "AdminFunction": "refunds",
    "WebhookFunction": "webhook",
    "CollectFunction": "reconcile",
    "ReconcileFunction": "reconcile",
    "ReconcileWorkerFunction": "reconcile",
    "AuditFunction": "reconcile",
    "ExportFunction": "reconcile",
}
"""The group of Stripe keys that a function uses. All others use `default`."""
_SYNC = {
    "payment_intents": "read",
    "checkout/sessions": "read",
    "charges": "read",
    "refunds": "read",
    "disputes": "read",
    "promotion_codes": "read",
    "coupons": "read",
}
_CLOSE = _SYNC | {"payment_intents": "write", "checkout/sessions": "write"}
DELETIONS = {("RetentionFunction", "PaymentsTable"), ("EraseFunction", "StripeObjectsTable")}
"""Payments seven years after their money moved last; the pointer from an erased user's Stripe customer to the user."""

STRIPE_PERMISSIONS: dict[str, dict[str, str]] = {
    "default": _CLOSE
    | {
        "customers": "write",
        "payment_methods": "write",
        "setup_intents": "write",
        "products": "write",
        "invoices": "read",
        "credit_notes": "read",
    },
    "refunds": _CLOSE
    | {"refunds": "write", "customers": "write", "disputes": "write", "invoices": "read", "credit_notes": "read"}
    | {"events": "read"},
    "webhook": _CLOSE | {"credit_notes": "write", "setup_intents": "write", "payment_methods": "read"},
    "reconcile": _CLOSE
    | {"refunds": "write", "events": "read", "radar/early_fraud_warnings": "read", "balance_transactions": "read"}
    | {"payouts": "read", "credit_notes": "write", "customers": "write", "payment_methods": "read"}
    | {"setup_intents": "write"},
}
"""The permissions at Stripe that a restricted key of each group needs. `docs/setup.md` lists the same."""
_EXPANDED = {"latest_charge": "charges", "promotion_code": "promotion_codes", "coupon": "coupons"}
_WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
_acting: ContextVar[str | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(handler: Callable[..., Any]) -> Iterator[None]:
    """Attribute the calls made inside this context to the handler's function."""
    token = _acting.set(logical_id(handler.__module__))
    try:
        yield
    finally:
        _acting.reset(token)


def enforced(client: Any) -> Any:
    """Make the client raise when the acting function's role does not allow a call; return the client."""
    client.meta.events.register("before-parameter-build.dynamodb", _check)
    return client


def _check(params: dict[str, Any], model: Any, **_: Any) -> None:
    function = _acting.get()
    if function is None:
        return  # called by the test itself
    for target, action in _required(model.name, params):
        granted = ALLOWED[function]
        if action not in granted.get(target, set()) | granted.get(_all_indexes(target), set()):
            raise AssertionError(f"{function} calls {action} on {target}, but its role does not allow it")


def check_stripe_call(method: str, path: str, body: str) -> None:
    """Raise if the key of the acting function's group does not allow a call to Stripe."""
    function = _acting.get()
    if function is None:
        return
    group = STRIPE_KEY_GROUPS.get(function, "default")
    for resource, access in _required_at_stripe(method, path, body):
        granted = STRIPE_PERMISSIONS[group].get(resource)
        if granted not in (access, "write"):
            raise AssertionError(f"{function} calls {method} {path}, but its key has no {access} on {resource}")


def _required_at_stripe(method: str, path: str, body: str) -> Iterator[tuple[str, str]]:
    route, _, query = path.removeprefix("/v1/").partition("?")
    parts = route.split("/")
    resource = "/".join(parts[: 2 if parts[0] in ("checkout", "radar") else 1])
    if "payment_methods" in parts:
        resource = "payment_methods"
    yield resource, "read" if method.upper() == "GET" else "write"
    for expanded in re.findall(r"expand[^=]*=([^&]+)", f"{query}&{body}"):
        yield from ((_EXPANDED[name], "read") for name in expanded.split(".") if name in _EXPANDED)
    if "product_data" in body:
        yield "products", "write"


def _required(operation: str, params: dict[str, Any]) -> list[tuple[str, str]]:
    if operation == "TransactWriteItems":
        writes = [(kind, write) for item in params["TransactItems"] for kind, write in item.items()]
        return [(TABLES[write["TableName"]], _WRITES[kind]) for kind, write in writes]
    if operation == "BatchGetItem":
        return [(TABLES[name], operation) for name in params["RequestItems"]]
    index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
    return [(TABLES[params["TableName"]] + index, operation)]


def _all_indexes(target: str) -> str:
    return target.rpartition("/")[0] + "/*"
