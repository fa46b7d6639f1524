"""The comparison of the recorded calls with the permissions of the roles."""

import json
from typing import Any

import pytest

from tests.recorded_calls import GRANTED, UNUSED, Call, CallLog

ACCOUNT = "us-east-1:000000000000"
RESOURCES = {
    "AdminFunctionRole": "tuition-AdminFunctionRole-1",
    "AdminFunction": "tuition-AdminFunction-2",
    "ExportFunctionAliaslive": f"arn:aws:lambda:{ACCOUNT}:function:tuition-ExportFunction-3:live",
    "ExportFunctionEventInvokeConfig": "tuition-ExportFunction-3:live",
    "ExportFunction": "tuition-ExportFunction-3",
    "PaymentsTable": "tuition-PaymentsTable-4",
    "ExportsBucket": "tuition-exportsbucket-5",
    "StripeSecret": "tuition-StripeSecret-6",
    "UserPool": "us-east-1_7",
    "AuditTable": "tuition-AuditTable-8",
    "AnalyticsQueue": "http://127.0.0.1:4566/000000000000/tuition-AnalyticsQueue-9.fifo",
}
ADMIN = "arn:aws:sts::000000000000:assumed-role/tuition-AdminFunctionRole-1/tuition-AdminFunction-2"
OTHER = ("AdminFunction", "PaymentsTable", "Scan")


def log_of(*calls: Call, refused: tuple[Call, ...] = (), complete: bool = False) -> CallLog:
    log = CallLog()
    log.allowed, log.refused, log.complete = {*calls}, {*refused}, complete
    return log


@pytest.mark.parametrize(
    ("action", "arn", "call"),
    [
        (
            "dynamodb:Query",
            f"dynamodb:{ACCOUNT}:table/tuition-PaymentsTable-4/index/by_day",
            "PaymentsTable/index/by_day",
        ),
        ("dynamodb:PutItem", f"dynamodb:{ACCOUNT}:table/tuition-AuditTable-8", "AuditTable"),
        ("s3:ListBucket", "s3:::tuition-exportsbucket-5", "ExportsBucket"),
        (
            "s3:GetObject",
            "s3:::tuition-exportsbucket-5/exports/exp_1/state.json",
            "ExportsBucket/exports/exp_1/state.json",
        ),
        (
            "secretsmanager:GetSecretValue",
            f"secretsmanager:{ACCOUNT}:secret:tuition-StripeSecret-6-a1b2c3",
            "StripeSecret",
        ),
        ("lambda:InvokeFunction", f"lambda:{ACCOUNT}:function:tuition-ExportFunction-3", "ExportFunction"),
        ("lambda:InvokeFunction", f"lambda:{ACCOUNT}:function:tuition-ExportFunction-3:live", "ExportFunction:live"),
        ("lambda:InvokeFunction", f"lambda:{ACCOUNT}:function:tuition-ExportFunction-3:1", "ExportFunction:1"),
        ("sqs:SendMessage", f"sqs:{ACCOUNT}:tuition-AnalyticsQueue-9.fifo", "AnalyticsQueue"),
        ("cognito-idp:AdminGetUser", f"cognito-idp:{ACCOUNT}:userpool/us-east-1_7", "UserPool"),
        ("dynamodb:PutItem", f"dynamodb:{ACCOUNT}:table/another", f"arn:aws:dynamodb:{ACCOUNT}:table/another"),
    ],
)
def test_a_recorded_call_is_named_as_the_permissions_are(action: str, arn: str, call: str) -> None:
    log = CallLog()
    log.add([json.dumps([ADMIN, action, f"arn:aws:{arn}", True])], RESOURCES)
    assert log.allowed == {("AdminFunction", call, action.partition(":")[2])}
    assert log.refused == set()


def test_a_call_by_another_role_is_named_by_its_principal_and_is_not_granted() -> None:
    log = CallLog()
    arn = f"arn:aws:dynamodb:{ACCOUNT}:table/tuition-AuditTable-8"
    log.add([json.dumps(["arn:aws:iam::000000000000:user/someone", "dynamodb:PutItem", arn, False])], RESOURCES)
    (problem,) = log.problems()
    assert problem.startswith("arn:aws:iam::000000000000:user/someone AuditTable PutItem: called")


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("refused", [False, True])
def test_a_call_that_no_role_grants_fails_every_run(*, complete: bool, refused: bool) -> None:
    calls: tuple[Call, ...] = tuple(GRANTED)
    log = log_of(*calls, refused=(OTHER,), complete=complete) if refused else log_of(*calls, OTHER, complete=complete)
    (problem,) = log.problems()
    assert problem == "AdminFunction PaymentsTable Scan: called, but the function's role does not grant it"


def test_a_permission_that_no_test_uses_fails_a_run_of_all_stack_tests_only() -> None:
    unused = ("AdminFunction", "CursorsTable", "PutItem")
    assert log_of(*(GRANTED - {unused})).problems() == []
    (problem,) = log_of(*(GRANTED - {unused}), complete=True).problems()
    assert problem == "AdminFunction CursorsTable PutItem: granted, but no stack test uses it"
    (problem,) = log_of(*(GRANTED - {unused}), refused=(unused,), complete=True).problems()
    assert "no stack test uses it" in problem


def test_one_call_on_any_index_or_object_uses_the_permission_for_all_of_them() -> None:
    wildcards = ("/*", ":*")
    calls = {call for call in GRANTED if not call[1].endswith(wildcards)}
    calls |= {(role, f"{target[:-1]}x", action) for role, target, action in GRANTED if target.endswith(wildcards)}
    assert log_of(*calls, complete=True).problems() == []


def test_an_exception_is_a_permission_that_a_role_grants_and_need_not_be_used() -> None:
    assert UNUSED.keys() <= GRANTED
    assert log_of(*(GRANTED - UNUSED.keys()), complete=True).problems() == []
    assert all(reason.strip() for reason in UNUSED.values())


def test_a_run_without_the_stack_has_nothing_to_compare() -> None:
    assert log_of(complete=True).problems() == []


def test_the_records_of_workers_add_up() -> None:
    first, second, merged = (
        log_of(*(GRANTED - {("AdminFunction", "CursorsTable", "PutItem")}), complete=True),
        CallLog(),
        CallLog(),
    )
    second.refused = {OTHER}
    for log in (first, second):
        report: Any = json.loads(json.dumps(log.report()))  # as xdist sends it
        merged.merge(report)
    assert (merged.allowed, merged.refused, merged.complete) == (first.allowed, {OTHER}, True)
    assert len(merged.problems()) == 2
