"""Each role is enforced: a function's flow works, and fails for want of a permission once its role grants nothing.

So a green stack test shows that the role of the function has what the test uses.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.build import ROOT
from tests import openapi_answers
from tests.permissions import ALLOWED
from tests.recorded_calls import UNUSED
from tests.stack.conftest import Running
from tests.stack.test_fan_out import put_task
from tests.stack.test_stories import deliver

Flow = Callable[[Running, str], bool]
"""Makes a function do its work for a new student, and returns whether it has."""


def get(path: str) -> Flow:
    return lambda running, sub: running.api("GET", path, running.token(sub)).status_code == 200


def create(kind: str) -> Flow:
    def flow(running: Running, sub: str) -> bool:
        body = {"track": "DP"}
        return running.api("POST", f"/api/payments/{kind}/", running.token(sub), json=body).status_code == 201

    return flow


def invoke(running: Running, function: str, event: Any) -> Any:
    """Invoke a function and return its result, None if it failed."""
    assert running.stack.aws is not None
    assert running.stack.deployed is not None
    response = running.stack.aws.client("lambda").invoke(
        FunctionName=running.stack.deployed.resources[function], Payload=json.dumps(event).encode()
    )
    return None if "FunctionError" in response else json.loads(response["Payload"].read())


def take_groups(running: Running, sub: str) -> bool:
    """Cognito's call for an admin without a second factor. The local pool does not make it."""
    assert running.stack.deployed is not None
    running.token(sub, groups=["admin"])
    event = json.loads((ROOT / "events" / "staff_groups" / "student_signs_in.json").read_text())
    event |= {"userPoolId": running.stack.deployed.resources["UserPool"], "userName": sub}
    event["request"]["groupConfiguration"]["groupsToOverride"] = ["admin"]
    answer = invoke(running, "StaffGroupsFunction", event)
    overrides = {"groupOverrideDetails": {"groupsToOverride": []}}
    return bool(answer) and answer["response"] == {"claimsOverrideDetails": overrides}


def status(running: Running, sub: str) -> bool:
    return running.api("GET", "/api/payments/status/pay_none/", running.token(sub)).status_code == 404


def refund(running: Running, sub: str) -> bool:
    body = {"payment_id": "pay_none", "reason": "none"}
    return running.api("POST", "/api/payments/request-refund/", running.token(sub), json=body).status_code == 404


def correct_email(running: Running, sub: str) -> bool:
    return running.api("POST", "/api/me/email/", running.token(sub)).status_code == 200


def receive(running: Running, sub: str) -> bool:
    event = json.loads((ROOT / "events" / "webhook" / "payment_intent_succeeded.json").read_text())
    return deliver(running, event["body"]).status_code == 200


def export(running: Running, sub: str) -> bool:
    """Order an export, and wait as long as staff do until it has run."""
    admin = running.ready["admin_token"]
    ordered = running.api("POST", "/api/admin/exports/", admin, json={"filters": {"q": sub}}).json()
    return invoke(running, "ExportFunction", {"export_id": ordered["export_id"]}) is not None


def staff(running: Running, sub: str) -> bool:
    return running.api("GET", "/api/admin/payments/", running.ready["admin_token"]).status_code == 200


def work(running: Running, sub: str) -> bool:
    """Give the worker a task that checks no payment. It is finished if no message goes back."""
    put_task(running, f"payments:{sub}", json.dumps({"kind": "payments", "after": 0, "payment_ids": []}))
    message = {"Records": [{"messageId": sub, "body": f"payments:{sub}"}]}
    return bool(invoke(running, "ReconcileWorkerFunction", message) == {"batchItemFailures": []})


def count(running: Running, sub: str) -> bool:
    """Count a record of a payment that does not exist. It is claimed, or the message fails."""
    body = json.dumps({"subject": f"pay_{sub}", "sort_key": "2026-11-23#evt", "recorded_day": "2026-11-23"})
    message = {"Records": [{"messageId": sub, "body": body}]}
    return bool(invoke(running, "AnalyticsFunction", message) == {"batchItemFailures": []})


def check_release(running: Running, sub: str) -> bool:
    return invoke(running, "ReleaseCheckFunction", {}) == {"passed": True, "problem": None}


def archive(running: Running, sub: str) -> bool:
    """Archive a record that closed a payment. Its subject does not exist, which the archive cannot know."""
    event = json.loads((ROOT / "events" / "archive" / "new_record.json").read_text())
    return bool(invoke(running, "ArchiveFunction", event) == {"batchItemFailures": []})


def note_bounce(running: Running, sub: str) -> bool:
    event = json.loads((ROOT / "events" / "emails" / "bounce.json").read_text())
    return bool(invoke(running, "EmailsFunction", event) == {"batchItemFailures": []})


def store_for_console(running: Running, sub: str) -> bool:
    event = json.loads((ROOT / "events" / "console_tables" / "payment_changed.json").read_text())
    return bool(invoke(running, "ConsoleTablesFunction", event) == {"batchItemFailures": []})


def end_account(running: Running, sub: str) -> bool:
    """Sign out everywhere, which leaves the token valid until it expires, then erase the data."""
    token = running.token(sub)
    has_signed_out = running.api("POST", "/api/me/sign-out-everywhere/", token).status_code == 200
    return has_signed_out and running.api("DELETE", "/api/me/", token).status_code == 202


FLOWS: dict[str, Flow] = {
    "MeFunction": end_account,
    "EraseFunction": lambda running, sub: bool(invoke(running, "EraseFunction", {})),
    "ArchiveFunction": archive,
    "EnrollmentsFunction": get("/api/enrollments/"),
    "MyDataFunction": get("/api/me/export/"),
    "MyEmailFunction": correct_email,
    "MyPaymentsFunction": get("/api/payments/my-payments/"),
    "PaymentMethodsFunction": get("/api/payments/payment-methods/"),
    "CreatePaymentFunction": create("create-payment"),
    "CreateCheckoutSessionFunction": create("create-checkout-session"),
    "PaymentStatusFunction": status,
    "PlansFunction": get("/api/plans/"),
    "RequestRefundFunction": refund,
    "WebhookFunction": receive,
    "AdminFunction": staff,
    "EmailsFunction": note_bounce,
    "ConsoleTablesFunction": store_for_console,
    "ExportFunction": export,
    "ReconcileFunction": lambda running, sub: bool(invoke(running, "ReconcileFunction", {})),
    "ReconcileWorkerFunction": work,
    "CollectFunction": lambda running, sub: bool(invoke(running, "CollectFunction", {})),
    "AuditFunction": lambda running, sub: bool(invoke(running, "AuditFunction", {})),
    "AnalyticsFunction": count,
    "DigestFunction": lambda running, sub: bool(invoke(running, "DigestFunction", {})),
    "ArchiveLocksFunction": lambda running, sub: bool(invoke(running, "ArchiveLocksFunction", {"again": True})),
    "RetentionFunction": lambda running, sub: bool(invoke(running, "RetentionFunction", {})),
    "RecountFunction": lambda running, sub: bool(invoke(running, "RecountFunction", {})),
    "ArchiveCheckFunction": lambda running, sub: bool(invoke(running, "ArchiveCheckFunction", {})),
    "ReleaseCheckFunction": check_release,
    "PublishFunction": lambda running, sub: bool(invoke(running, "PublishFunction", {"replay": {"subject": sub}})),
    "StaffGroupsFunction": take_groups,
}
WITHOUT_CALLS = {
    "TracksFunction": "it answers from the catalog and calls no other service",
}
"""The functions that nothing can be taken from, and why."""


@contextmanager
def role_without_permissions(running: Running, function: str) -> Iterator[None]:
    """Take every policy from a function's role, and attach them again afterwards."""
    assert running.stack.aws is not None
    assert running.stack.deployed is not None
    iam: Any = running.stack.aws.client("iam")
    role = {"RoleName": running.stack.deployed.resources[f"{function}Role"]}
    names = iam.list_role_policies(**role)["PolicyNames"]
    inline = {name: iam.get_role_policy(**role, PolicyName=name)["PolicyDocument"] for name in names}
    attached = [policy["PolicyArn"] for policy in iam.list_attached_role_policies(**role)["AttachedPolicies"]]
    assert inline or attached
    try:
        for name in inline:
            iam.delete_role_policy(**role, PolicyName=name)
        for arn in attached:
            iam.detach_role_policy(**role, PolicyArn=arn)
        yield
    finally:
        for name, document in inline.items():
            iam.put_role_policy(**role, PolicyName=name, PolicyDocument=json.dumps(document))
        for arn in attached:
            iam.attach_role_policy(**role, PolicyArn=arn)


def works(flow: Flow, running: Running, sub: str) -> bool:
    """Return whether a flow succeeds. A 500, which fails other tests, is one way to fail."""
    try:
        return flow(running, sub)
    except openapi_answers.ServerError:
        return False


@pytest.mark.parametrize("function", FLOWS)
def test_a_function_works_with_its_role_and_fails_without_the_permissions_of_it(
    running: Running, function: str, sub: str
) -> None:
    flow = FLOWS[function]
    assert flow(running, f"{sub}-with")
    before = running.refused_calls(function)
    with role_without_permissions(running, function):
        assert not works(flow, running, f"{sub}-without")
    assert running.refused_calls(function) > before, "it failed for another reason than its role"


def test_every_function_is_shown_to_need_its_role() -> None:
    assert {*FLOWS, *WITHOUT_CALLS} == set(ALLOWED)
    for function in WITHOUT_CALLS:
        granted = {(function, target, action) for target, actions in ALLOWED[function].items() for action in actions}
        assert granted <= UNUSED.keys()
