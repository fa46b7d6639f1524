"""Counts that alarms are made of, written to the log in CloudWatch's embedded metric format.

The library is loaded at the first count: what is counted is rare (a person is needed, an event is not ours).
"""

from typing import Literal

from tuition.settings import settings

Name = Literal["ForeignEvent", "EventQuarantined", "AttentionRaised", "ReconcileDrift", "ReconcileFailed"]


def count(name: Name) -> None:
    """Count one. `docs/operations.md` says what each alarm asks of a person."""
    _write(name, "Count", 1)


def age(name: Literal["ReconcileAge"], seconds: float) -> None:
    """How old something is."""
    _write(name, "Seconds", seconds)


def _write(name: str, unit: Literal["Count", "Seconds"], value: float) -> None:
    from aws_lambda_powertools.metrics import MetricUnit, single_metric

    with single_metric(name=name, unit=MetricUnit[unit], value=value, namespace="Tuition") as metric:
        metric.add_dimension("environment", settings().tuition_environment)
