"""The metrics behind the alarms, written to the log in CloudWatch's embedded metric format.

The library is imported at the first metric because metrics are rare: most invocations write none.
"""

from typing import Literal

from tuition.settings import settings

Name = Literal[
    "ForeignEvent",
    "ExpiredEvent",
    "EventQuarantined",
    "AttentionRaised",
    "ReconcileDrift",
    "ReconcileFailed",
    "ReconcileBacklog",
    "CollectBacklog",
    "BooksDifference",
    "AnalyticsDifference",
    "AuditRecordChanged",
    "AuditStreamFailed",
    "RecordNotArchived",
    "ArchiveIncomplete",
    "ArchiveLockFailed",
    "PaymentsListed",
    "RecordUnpublishable",
    "EventNotPublished",
    "SignatureRefused",
    "MisroutedEvent",
    "ChargeDeclined",
    "StripeRateLimited",
    "WithdrawalOverdue",
    "EmailEventPublished",
    "ConsoleEventPublished",
    "EmailUnsent",
    "EmailDropped",
    "EmailBounced",
]


def count(name: Name, number: int = 1) -> None:
    """Add a number to a metric. `docs/operations.md` says what to do about each alarm."""
    _write(name, "Count", number)


def age(
    name: Literal[
        "ReconcileAge",
        "StripeClockDifference",
        "BooksAge",
        "RecountAge",
        "DigestAge",
        "ErasureAge",
        "RetentionAge",
        "ArchiveCheckAge",
        "ArchiveScanAge",
        "ArchiveLockAge",
        "StaffDigestAge",
        "EventAge",
        "RefundRequestAge",
    ],
    seconds: float,
) -> None:
    """Write an age in seconds, to the millisecond."""
    _write(name, "Seconds", round(seconds, 3))


def _write(name: str, unit: Literal["Count", "Seconds"], value: float) -> None:
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(name=name, unit=MetricUnit[unit], value=value, namespace="Tuition") as metric:
        metric.add_dimension("environment", settings().tuition_environment)
