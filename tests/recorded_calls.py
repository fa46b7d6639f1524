"""Compare the calls that functions make in the stack tests with what their roles grant, in both directions.

MiniStack decides each call by the policies of the caller's role. `tests/stack/ministack_recorder.py` writes it down.
A call that no role grants fails the run, even if the code has swallowed the refusal. So does a permission that no call
has used, once all stack tests have passed: a run of a part of them cannot tell. `tests/template/test_iam.py` asserts
that the roles grant exactly `tests/permissions.ALLOWED`.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.permissions import ALLOWED

Call = tuple[str, str, str]
"""A function, a resource as `ALLOWED` names it, and an action without its service."""

GRANTED: set[Call] = {
    (function, target, action)
    for function, targets in ALLOWED.items()
    for target, actions in targets.items()
    for action in actions
}
POLLER = "Lambda's poller makes this call with the function's role; locally `local/stream.py` reads the stream as root"
TAKER = "Lambda's poller makes this call with the function's role; locally MiniStack hands over the queue's messages"
SENDER = "Lambda makes this call with the function's role, once an invocation has failed for good"
CODEDEPLOY = "the local stack has no CodeDeploy, which waits for the result: `tests/tables/test_release_check.py`"
WORKER = "a worker syncs payments as the hourly run does, which uses its own permission: `tests/tables/test_fan_out.py`"
AUDITOR = "a worker performs tasks of the audit as the audit's own run does: `tests/tables/test_audit_run.py`"
UNUSABLE = "only if Stripe lists an event that cannot be applied: `tests/tables/test_reconcile.py`"
RESTORE = "only after a restore has lost a payment: `tests/tables/test_missing_objects.py`, `test_rare_failures.py`"
GIVEN_UP = "only if another create has taken the object that this one gives up: `tests/tables/test_rare_failures.py`"
REPAIR = "only for records that the archive does not have: `tests/tables/test_archive_check.py`"
LOCK = "S3 asks for it in a put that locks its object; the local S3 asks for the put alone"
LARGE = "only for a part of more than 4 MB: `tests/tables/test_personal_data.py`"
SAME_ACCESS = "of the ledger's policy; a corrected address changes no access and names no object of Stripe's"
CLOSED = "of the ledger's policy; only if a payment of the user changes at Stripe during the erasure"
MISSING = "S3 looks for it when a read object is missing; the local S3 answers 404 without it"
UNCOUNTED = "only for a payment that was not counted: `tests/tables/test_analytics.py`"
HOURLY = "only in the run of another schedule: `tests/tables/test_archive_check.py`"
NOTES = "only for a note that is deleted, or about one payment: `tests/tables/test_notes.py`"
EXPIRY = "only for a payment whose retention period has ended: `tests/tables/test_retention.py`"
NOTICE = "only for a plan, or if the notice of a charge comes back: `tests/tables/test_plan_emails.py`"
PLANS = "of the ledger's policy; only for a payment of a plan: `tests/tables/test_plan_ledger.py`"
COLLECTED = "only for a charge whose day has come, a week after its notice: `tests/tables/test_collection.py`"
OFFERS = "in part by `tests/stack/test_plans.py`, and whole by `tests/tables/test_plans.py`"
METHODS = "only for events about payment methods: `tests/tables/test_plans.py`"
AUTHORIZED_BY = {"SendMessageBatch": "SendMessage"}
"""The permissions that AWS asks for, by the call for which MiniStack asks for one of its own."""
UNUSED: dict[Call, str] = {
    **{call: OFFERS for call in GRANTED if call[0] == "PlansFunction" and call[1] != "PlansTable/index/by_user"},
    ("WebhookFunction", "PlansTable/index/by_user", "Query"): METHODS,
    ("ReconcileFunction", "PlansTable/index/by_user", "Query"): METHODS,
    ("ReconcileWorkerFunction", "PlansTable/index/by_user", "Query"): METHODS,
    ("PaymentMethodsFunction", "PlansTable", "BatchGetItem"): OFFERS,
    ("AdminFunction", "ExportsBucket", "ListBucket"): MISSING,
    ("ArchiveFunction", "AuditTable/stream", "DescribeStream"): POLLER,
    ("ArchiveFunction", "AuditTable/stream", "GetRecords"): POLLER,
    ("ArchiveFunction", "AuditTable/stream", "GetShardIterator"): POLLER,
    ("ArchiveFunction", "AuditTable/stream", "ListStreams"): POLLER,
    ("ArchiveFunction", "FailedRecordsBucket", "ListBucket"): POLLER,
    ("ArchiveFunction", "FailedRecordsBucket/aws/lambda/*", "PutObject"): POLLER,
    ("ArchiveFunction", "ArchiveBucket/records/*", "PutObjectRetention"): LOCK,
    ("ArchiveFunction", "ArchiveBucket/final/*", "PutObjectRetention"): LOCK,
    ("ArchiveCheckFunction", "ArchiveBucket/final/*", "PutObject"): REPAIR,
    ("ArchiveCheckFunction", "ArchiveBucket/final/*", "PutObjectRetention"): LOCK,
    ("ArchiveCheckFunction", "ArchiveBucket/records/*", "PutObject"): REPAIR,
    ("ArchiveCheckFunction", "ArchiveBucket/records/*", "PutObjectRetention"): LOCK,
    ("ArchiveCheckFunction", "FailedRuns", "SendMessage"): SENDER,
    ("ArchiveLocksFunction", "FailedRuns", "SendMessage"): SENDER,
    ("ArchiveCheckFunction", "CursorsTable", "GetItem"): HOURLY,
    ("ArchiveCheckFunction", "CursorsTable", "UpdateItem"): HOURLY,
    ("AuditFunction", "EnrollmentsTable", "PutItem"): RESTORE,
    ("AuditFunction", "EnrollmentsTable", "UpdateItem"): RESTORE,
    ("AuditFunction", "FailedRuns", "SendMessage"): SENDER,
    ("AuditFunction", "ReconcileQueue", "SendMessage"): "only for more than four tasks at once: `test_audit_run.py`",
    ("CreateCheckoutSessionFunction", "AuditTable", "Query"): RESTORE,
    ("CreateCheckoutSessionFunction", "PaymentsTable", "ConditionCheckItem"): RESTORE,
    ("CreateCheckoutSessionFunction", "StripeObjectsTable", "GetItem"): GIVEN_UP,
    ("CreatePaymentFunction", "AuditTable", "Query"): RESTORE,
    ("CreatePaymentFunction", "PaymentsTable", "ConditionCheckItem"): RESTORE,
    ("CreatePaymentFunction", "StripeObjectsTable", "GetItem"): GIVEN_UP,
    ("EmailsFunction", "EffectsTable", "DeleteItem"): "only if SES refuses an email: `tests/tables/test_emails.py`",
    **{
        (
            "EmailsFunction",
            table,
            action,
        ): NOTICE
        for table, action in (
            *(("PlansTable", "BatchGetItem"), ("PlansTable", "PutItem"), ("AuditTable", "PutItem")),
            *(("EnrollmentsTable", "BatchGetItem"), ("EnrollmentsTable", "ConditionCheckItem")),
            ("LimitsTable", "BatchGetItem"),
        )
    },
    ("EmailsFunction", "EmailQueue", "DeleteMessage"): TAKER,
    ("EmailsFunction", "EmailQueue", "GetQueueAttributes"): TAKER,
    ("EmailsFunction", "EmailQueue", "ReceiveMessage"): TAKER,
    ("EraseFunction", "FailedRuns", "SendMessage"): SENDER,
    ("EraseFunction", "EnrollmentsTable", "ConditionCheckItem"): CLOSED,
    ("EraseFunction", "EnrollmentsTable", "UpdateItem"): CLOSED,
    ("EraseFunction", "LimitsTable", "UpdateItem"): CLOSED,
    ("EraseFunction", "StripeObjectsTable", "PutItem"): CLOSED,
    ("MeFunction", "EnrollmentsTable", "ConditionCheckItem"): CLOSED,
    ("MeFunction", "EnrollmentsTable", "UpdateItem"): CLOSED,
    ("MeFunction", "StripeObjectsTable", "GetItem"): CLOSED,
    ("MeFunction", "StripeObjectsTable", "PutItem"): CLOSED,
    ("EraseFunction", "ErasuresBucket/position", "PutObject"): "only without time: `tests/unit/test_erasure_queue.py`",
    ("ExportFunction", "FailedRuns", "SendMessage"): SENDER,
    ("AdminFunction", "NotesTable", "DeleteItem"): NOTES,
    ("AdminFunction", "PaymentsTable", "ConditionCheckItem"): NOTES,
    ("EraseFunction", "NotesTable", "DeleteItem"): NOTES,
    ("AdminFunction", "EffectsTable", "DeleteItem"): "only for a correction: `tests/tables/test_email_address.py`",
    ("AdminFunction", "ExportsBucket/personal/*", "GetObject"): LARGE,
    ("AdminFunction", "ExportsBucket/personal/*", "PutObject"): LARGE,
    ("MyEmailFunction", "EnrollmentsTable", "UpdateItem"): SAME_ACCESS,
    ("MyEmailFunction", "StripeObjectsTable", "GetItem"): SAME_ACCESS,
    ("MyEmailFunction", "StripeObjectsTable", "PutItem"): SAME_ACCESS,
    ("MyDataFunction", "ExportsBucket/personal/*", "GetObject"): LARGE,
    ("MyDataFunction", "ExportsBucket/personal/*", "PutObject"): LARGE,
    ("AnalyticsFunction", "AnalyticsQueue", "DeleteMessage"): TAKER,
    ("AnalyticsFunction", "AnalyticsQueue", "GetQueueAttributes"): TAKER,
    ("AnalyticsFunction", "AnalyticsQueue", "ReceiveMessage"): TAKER,
    ("RecountFunction", "FailedRuns", "SendMessage"): SENDER,
    ("DigestFunction", "FailedRuns", "SendMessage"): SENDER,
    ("RetentionFunction", "FailedRuns", "SendMessage"): SENDER,
    ("RetentionFunction", "PaymentsTable", "BatchGetItem"): EXPIRY,
    ("RetentionFunction", "PaymentsTable/index/by_day", "Query"): EXPIRY,
    ("RetentionFunction", "PaymentsTable", "DeleteItem"): EXPIRY,
    ("RetentionFunction", "PaymentsTable/index/by_plan", "Query"): EXPIRY,
    ("RetentionFunction", "PlansTable", "BatchGetItem"): EXPIRY,
    ("RetentionFunction", "PlansTable", "PutItem"): EXPIRY,
    ("RetentionFunction", "StripeObjectsTable", "BatchGetItem"): EXPIRY,
    ("RetentionFunction", "StripeObjectsTable", "PutItem"): EXPIRY,
    ("RetentionFunction", "CustomersTable", "ConditionCheckItem"): EXPIRY,
    ("RetentionFunction", "CustomersTable", "UpdateItem"): EXPIRY,
    ("RetentionFunction", "AuditTable", "PutItem"): EXPIRY,
    ("RetentionFunction", "AuditTable", "Query"): EXPIRY,
    ("RetentionFunction", "CursorsTable", "DeleteItem"): EXPIRY,
    ("RetentionFunction", "SearchTable", "GetItem"): EXPIRY,
    ("RetentionFunction", "SearchTable", "PutItem"): EXPIRY,
    ("RetentionFunction", "SearchTable", "DeleteItem"): EXPIRY,
    ("ConsoleTablesFunction", "ConsoleQueue", "DeleteMessage"): TAKER,
    ("ConsoleTablesFunction", "ConsoleQueue", "GetQueueAttributes"): TAKER,
    ("ConsoleTablesFunction", "ConsoleQueue", "ReceiveMessage"): TAKER,
    ("RetentionFunction", "NotesTable", "Query"): EXPIRY,
    ("RetentionFunction", "NotesTable", "DeleteItem"): EXPIRY,
    (
        "DigestFunction",
        "ArchiveBucket/records/*",
        "GetObjectVersion",
    ): "only for a full hour: `tests/unit/test_digests.py`",
    (
        "DigestFunction",
        "ArchiveBucket/final/*",
        "GetObjectVersion",
    ): "only for a full hour: `tests/unit/test_digests.py`",
    ("RecountFunction", "AnalyticsTable", "PutItem"): UNCOUNTED,
    ("RecountFunction", "AuditTable", "Query"): UNCOUNTED,
    ("PublishFunction", "AuditTable/stream", "DescribeStream"): POLLER,
    ("PublishFunction", "AuditTable/stream", "GetRecords"): POLLER,
    ("PublishFunction", "AuditTable/stream", "GetShardIterator"): POLLER,
    ("PublishFunction", "AuditTable/stream", "ListStreams"): POLLER,
    ("PublishFunction", "FailedRecordsBucket", "ListBucket"): POLLER,
    ("PublishFunction", "FailedRecordsBucket/aws/lambda/*", "PutObject"): POLLER,
    ("ReconcileFunction", "FailedRuns", "SendMessage"): SENDER,
    (
        "ReconcileFunction",
        "LimitsTable",
        "UpdateItem",
    ): "a worker may count the decline: `tests/tables/test_fan_out.py`",
    (
        "ReconcileFunction",
        "ReconcileQueue",
        "SendMessage",
    ): "only for more than four tasks: `tests/tables/test_fan_out.py`",
    ("ReconcileWorkerFunction", "AuditTable", "Query"): WORKER,
    ("ReconcileWorkerFunction", "AuditTable/index/by_recorded_day", "Query"): AUDITOR,
    ("ReconcileWorkerFunction", "EnrollmentsTable", "Query"): AUDITOR,
    ("ReconcileWorkerFunction", "EnrollmentsTable", "Scan"): AUDITOR,
    ("ReconcileWorkerFunction", "PaymentsTable", "Scan"): AUDITOR,
    ("ReconcileWorkerFunction", "CustomersTable", "UpdateItem"): WORKER,
    ("ReconcileWorkerFunction", "EnrollmentsTable", "ConditionCheckItem"): WORKER,
    ("ReconcileWorkerFunction", "LimitsTable", "UpdateItem"): WORKER,
    ("ReconcileWorkerFunction", "QuarantineTable", "UpdateItem"): UNUSABLE,
    ("ReconcileWorkerFunction", "ReconcileQueue", "DeleteMessage"): TAKER,
    ("ReconcileWorkerFunction", "ReconcileQueue", "GetQueueAttributes"): TAKER,
    ("ReconcileWorkerFunction", "ReconcileQueue", "ReceiveMessage"): TAKER,
    ("ReleaseCheckFunction", "CodeDeploy/*", "PutLifecycleEventHookExecutionStatus"): CODEDEPLOY,
}
"""The permissions that a run of all stack tests need not use, and why. A rare random history may use one."""


UNUSED |= {
    (function, target, action): PLANS
    for function, target, action in GRANTED
    if target in ("PlansTable", "PaymentsTable/index/by_plan")
}
UNUSED |= {
    (f"{function}Function", "AuditTable", "Query"): PLANS
    for function in ("MyEmail", "PaymentStatus", "RequestRefund", "Me", "Erase", "Collect")
}
UNUSED |= {
    ("CollectFunction", table, action): COLLECTED
    for table, action in (
        *(("CustomersTable", "UpdateItem"), ("LimitsTable", "UpdateItem"), ("PaymentsTable", "PutItem")),
        *(("EnrollmentsTable", "PutItem"), ("EnrollmentsTable", "UpdateItem")),
        *(("StripeObjectsTable", "GetItem"), ("StripeObjectsTable", "PutItem")),
    )
}
UNUSED |= {
    ("CollectFunction", "FailedRuns", "SendMessage"): SENDER,
    ("CollectFunction", "ReconcileQueue", "SendMessage"): "only for more plans than one task has",
    (
        "CollectFunction",
        "PlansTable/index/by_status",
        "Query",
    ): "only after a restore: `tests/tables/test_plan_checks.py`",
    ("ReconcileWorkerFunction", "CustomersTable", "BatchGetItem"): COLLECTED,
    ("RequestRefundFunction", "CustomersTable", "BatchGetItem"): RESTORE,
}


class CallLog:
    """The calls of one test run. `allowed` were allowed, `refused` were not. `complete`: all stack tests ran."""

    def __init__(self) -> None:
        self.allowed: set[Call] = set()
        self.refused: set[Call] = set()
        self.complete = False

    def add(self, lines: Iterable[str], resources: Mapping[str, str]) -> None:
        """Add what the recorder has written. `resources` are the physical ids of the stack's resources."""
        for line in lines:
            principal, action, arn, is_allowed = json.loads(line)
            name = action.partition(":")[2]
            call = (_function(principal, resources), _target(arn, resources), AUTHORIZED_BY.get(name, name))
            (self.allowed if is_allowed else self.refused).add(call)

    def report(self) -> dict[str, Any]:
        """Return this log as plain values, for the process that merges all logs."""
        return {"allowed": sorted(self.allowed), "refused": sorted(self.refused), "complete": self.complete}

    def merge(self, report: Mapping[str, Any]) -> None:
        """Add the report of another process."""
        self.allowed.update(map(tuple, report["allowed"]))
        self.refused.update(map(tuple, report["refused"]))
        self.complete = self.complete or report["complete"]

    def problems(self) -> list[str]:
        """Return the reasons why the run must fail."""
        called = {(role, _granted_target(role, target), action) for role, target, action in self.allowed | self.refused}
        problems = [f"{' '.join(call)}: called, but the function's role does not grant it" for call in called - GRANTED]
        if self.complete and self.allowed:
            unused = GRANTED - {(role, _granted_target(role, target), action) for role, target, action in self.allowed}
            problems += [f"{' '.join(call)}: granted, but no stack test uses it" for call in unused - UNUSED.keys()]
        return sorted(problems)

    def summary(self) -> str:
        """Return what was compared, for the end of the run."""
        both = "calls are the permissions that roles grant" if self.complete else "calls are granted by their role"
        left = "" if self.complete else "; only a run of all stack tests finds a permission that is not used"
        return f"{len(self.allowed)} different {both}{left}"


def _function(principal: str, resources: Mapping[str, str]) -> str:
    """Return the function that has the role of an assumed-role ARN; the ARN itself if it is none of the stack's."""
    parts = principal.split("/")
    for logical, physical in resources.items():
        if logical.endswith("FunctionRole") and physical in parts:
            return logical.removesuffix("Role")
    return principal


def _target(arn: str, resources: Mapping[str, str]) -> str:
    """Return the logical id of a resource, with what follows it in the ARN: an index, or the key of an object."""
    if arn == "*":  # MiniStack names no resource of SES
        return "EmailConfigurationSet"
    path = arn.split(":", 5)[5]
    if path.startswith("secret:"):
        path = path.rpartition("-")[0]  # Secrets Manager adds six characters to a secret's name
    separator = ":" if path.startswith("function:") else "/"  # an alias or a version of a function follows a colon
    for prefix in ("table/", "function:", "userpool/", "secret:", "event-bus/", "key/"):
        path = path.removeprefix(prefix)
    name, _, rest = path.partition(separator)
    for logical, physical in resources.items():
        if name == (
            physical.rpartition("/")[2] if physical.startswith("http") else physical
        ):  # a queue's id is its URL
            return f"{logical}{separator}{rest}" if rest else logical
    return arn


def _granted_target(function: str, target: str) -> str:
    """Return the resource of the role's statement that covers a target: `PaymentsTable/index/*` for any index."""
    for granted in ALLOWED.get(function, {}):
        if granted.endswith(("/*", ":*")) and target.startswith(granted.removesuffix("*")):
            return granted
    return target


call_log = CallLog()
