"""Every route with its function, its authorizer and its permission; no route ends in a slash."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from local import deploy
from local.build import ROOT
from tests.template.conftest import of_type

ROUTES = {
    ("GET", "/api/payments/tracks"): ("TracksFunction", "public"),
    ("POST", "/api/payments/create-payment"): ("CreatePaymentFunction", "signed in"),
    ("POST", "/api/payments/create-checkout-session"): ("CreateCheckoutSessionFunction", "signed in"),
    ("POST", "/api/payments/promotion-codes/preview"): ("CreateCheckoutSessionFunction", "signed in"),
    ("GET", "/api/payments/status/{payment_intent_id}"): ("PaymentStatusFunction", "signed in"),
    ("GET", "/api/payments/{payment_id}/documents"): ("PaymentStatusFunction", "signed in"),
    ("GET", "/api/payments/my-payments"): ("MyPaymentsFunction", "signed in"),
    ("GET", "/api/payments/{payment_id}"): ("PaymentStatusFunction", "signed in"),
    ("POST", "/api/payments/{payment_id}/cancel"): ("PaymentStatusFunction", "signed in"),
    ("POST", "/api/payments/{payment_id}/refunds/{request_id}/withdraw"): ("RequestRefundFunction", "signed in"),
    ("GET", "/api/payments/payment-methods"): ("PaymentMethodsFunction", "signed in"),
    ("DELETE", "/api/payments/payment-methods/{payment_method_id}"): ("PaymentMethodsFunction", "signed in"),
    ("POST", "/api/payments/request-refund"): ("RequestRefundFunction", "signed in"),
    ("GET", "/api/plans"): ("PlansFunction", "signed in"),
    ("POST", "/api/plans"): ("PlansFunction", "signed in"),
    ("GET", "/api/plans/{plan_id}"): ("PlansFunction", "signed in"),
    ("POST", "/api/plans/{plan_id}/pay"): ("PlansFunction", "signed in"),
    ("POST", "/api/plans/{plan_id}/payment-method"): ("PlansFunction", "signed in"),
    ("POST", "/api/plans/{plan_id}/cancel"): ("RequestRefundFunction", "signed in"),
    ("POST", "/api/plans/{plan_id}/resume"): ("RequestRefundFunction", "signed in"),
    ("POST", "/api/plans/{plan_id}/tracks"): ("PlansFunction", "signed in"),
    ("GET", "/api/plans/{plan_id}/statement"): ("PlansFunction", "signed in"),
    ("POST", "/api/payments/webhook"): ("WebhookFunction", "public"),
    ("GET", "/api/me/export"): ("MyDataFunction", "signed in"),
    ("POST", "/api/me/email"): ("MyEmailFunction", "signed in"),
    ("GET", "/api/enrollments"): ("EnrollmentsFunction", "signed in"),
    ("GET", "/api/enrollments/{track}/explain"): ("EnrollmentsFunction", "signed in"),
    ("GET", "/api/admin/payments"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/disputes/{dispute_id}/evidence/send"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/{payment_id}/documents"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/{payment_id}/explain"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/{payment_id}"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/refunds"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/refunds/{request_id}"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/access"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/attention"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/emails"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/statuses"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/totals"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/counts"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users/{user_id}"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users/timeline"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users/export"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users/{user_id}/export"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/{user_id}/email"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/email"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/disputes"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/refund-requests"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/quarantine/{event_id}"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/exports"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/exports/{export_id}"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/attention"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/analytics"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/analytics/details"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/books"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/plans"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/plans/totals"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/plans/forecast"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/plans/{plan_id}"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/plans/{plan_id}/statement"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/plans/{plan_id}/decisions"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/plans/{plan_id}/collect"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/plans/{plan_id}/attention"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/collecting"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/collecting"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/selling"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/selling"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/quarantine"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/quarantine/{event_id}/replay"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/quarantine/{event_id}/discard"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/{user_id}/purchases"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/purchases"): ("AdminFunction", "signed in"),
    ("DELETE", "/api/me"): ("MeFunction", "signed in"),
    ("POST", "/api/me/sign-out-everywhere"): ("MeFunction", "signed in"),
    ("POST", "/api/admin/users/{user_id}/erasure"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/erasure"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/{user_id}/legal-hold"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/legal-hold"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/activity"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/activity/staff"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/notes"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/notes/delete"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/tags"): ("AdminFunction", "signed in"),
}


PUBLIC = {route for route, (_, access) in ROUTES.items() if access == "public"}
BODY_KEYS = {"operationId", "parameters", "security", "x-amazon-apigateway-integration", "responses"}
INVOKE = (
    "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${NAME.Arn}QUALIFIER/invocations"
)
WHOLE_API = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*"
LONGEST = {
    "${AWS::Partition}": "aws-us-gov",
    "${AWS::Region}": "ap-southeast-99",
    "${AWS::AccountId}": "123456789012",
    "${HttpApi}": "a" * 12,
}
"""A value for each part of an ARN, at least as long as the real one."""
POLICY_BYTES = 20_480
"""Lambda's limit for a function's resource policy. It cannot be raised.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""


def body(resources: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = resources["HttpApi"]["Properties"]["Body"]
    return document


def qualifier(resources: dict[str, Any], function: str) -> str:
    """Return how a function's ARN continues where the gateway calls its alias."""
    return ":live" if f"{function}Aliaslive" in resources else ""


def operations(resources: dict[str, Any]) -> dict[tuple[str, str], Any]:
    paths = body(resources)["paths"]
    return {(method.upper(), path): o for path, methods in paths.items() for method, o in methods.items()}


def test_the_template_has_exactly_these_routes(resources: dict[str, Any]) -> None:
    assert set(operations(resources)) == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_calls_its_function_behind_its_authorizer(resources: dict[str, Any], route: tuple[str, str]) -> None:
    function, access = ROUTES[route]
    operation = operations(resources)[route]
    integration = deploy.integration_of(operation, body(resources))
    assert integration == {
        "type": "aws_proxy",
        "httpMethod": "POST",
        "payloadFormatVersion": "2.0",
        "uri": {"Fn::Sub": INVOKE.replace("NAME", function).replace("QUALIFIER", qualifier(resources, function))},
    }
    # The gateway ignores a `security` of the whole document, so an operation without its own is public.
    assert operation.get("security") == (None if access == "public" else [{"SignedIn": []}])
    assert "security" not in body(resources)
    assert set(operation) <= BODY_KEYS


def test_only_the_catalog_and_the_webhook_are_public() -> None:
    assert {("GET", "/api/payments/tracks"), ("POST", "/api/payments/webhook")} == PUBLIC


def test_every_operation_has_a_name_of_its_own_and_declares_its_path_parameters(resources: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in operations(resources).values()]
    assert len(names) == len(set(names))
    for (_, path), operation in operations(resources).items():
        declared = [parameter["name"] for parameter in operation.get("parameters", [])]
        assert declared == [part[1:-1] for part in path.split("/") if part.startswith("{")], path
        for parameter in operation.get("parameters", []):
            assert (parameter["in"], parameter["required"]) == ("path", True)


def test_no_path_ends_in_a_slash(expand: Any, template: dict[str, Any]) -> None:
    assert deploy.slash_paths(template) == []
    assert deploy.slash_paths(expand()) == []


@pytest.mark.parametrize(
    "planted",
    [
        {"Properties": {"Body": {"paths": {"/api/x/": {"get": {}}}}}},
        {"Properties": {"DefinitionBody": {"paths": {"/api/x/": {"get": {}}}}}},
        {"Properties": {"Events": {"X": {"Type": "HttpApi", "Properties": {"Path": "/api/x/", "Method": "GET"}}}}},
        {"Properties": {"RouteKey": "GET /api/x/"}},
        {"Properties": {"RouteSettings": {"GET /api/x/": {"ThrottlingRateLimit": 1}}}},
    ],
    ids=["Body", "DefinitionBody", "Events", "RouteKey", "RouteSettings"],
)
def test_the_deployment_refuses_a_path_that_ends_in_a_slash_wherever_it_stands(planted: dict[str, Any]) -> None:
    template = {"Resources": {"Other": {"Properties": {"Path": "/"}}, "Planted": planted}}
    with pytest.raises(ValueError, match="no route that ends in a slash"):
        deploy.refuse_slash_paths(template)
    accepted = json.loads(json.dumps(template).replace("/api/x/", "/api/x"))
    assert deploy.refuse_slash_paths(accepted) == accepted


def test_the_deployment_refuses_the_template_with_one_slash_route(template: dict[str, Any]) -> None:
    planted = deploy.read_template(ROOT / "template.yaml")
    paths = planted["Resources"]["HttpApi"]["Properties"]["DefinitionBody"]["paths"]
    paths["/api/enrollments/"] = paths["/api/enrollments"]
    with pytest.raises(ValueError, match="/api/enrollments/"):
        deploy.expand(planted, {})  # the local deployment and the installer both call it


def test_the_gateway_may_invoke_each_integration_by_exactly_one_permission(resources: dict[str, Any]) -> None:
    """A permission per route would fill a function's policy: 31 routes took 12 KB of the 20 KB."""
    integrations = body(resources)["components"]["x-amazon-apigateway-integrations"].values()
    functions = {
        integration["uri"]["Fn::Sub"].partition("functions/${")[2].split(".")[0] for integration in integrations
    }
    assert functions == {function for function, _ in ROUTES.values()}
    permissions = [
        properties
        for properties in of_type(resources, "AWS::Lambda::Permission").values()
        if properties["Principal"] == "apigateway.amazonaws.com"
    ]
    assert sorted(permissions, key=lambda p: str(p["FunctionName"]["Ref"])) == [
        {
            "Action": "lambda:InvokeFunction",
            "FunctionName": {"Ref": f"{function}Aliaslive" if qualifier(resources, function) else function},
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {"Fn::Sub": WHOLE_API},
        }
        for function in sorted(functions)
    ]


def statement(permission: dict[str, Any]) -> dict[str, Any]:
    """Return the policy statement that Lambda makes of a permission, with values as long as they can be."""
    source = permission.get("SourceArn", {})
    text = source.get("Fn::Sub") or f"arn:${{AWS::Partition}}:service:${{AWS::Region}}:${{AWS::AccountId}}:{'r' * 128}"
    for name, value in LONGEST.items():
        text = text.replace(name, value)
    arn = f"arn:aws-us-gov:lambda:ap-southeast-99:123456789012:function:{'f' * 64}:{'v' * 8}"
    return {
        "Sid": "s" * 100,
        "Effect": "Allow",
        "Principal": {"Service": permission["Principal"]},
        "Action": permission["Action"],
        "Resource": arn,
        "Condition": {"ArnLike": {"AWS:SourceArn": text}},
    }


def test_the_resource_policy_of_every_function_is_far_below_the_limit(resources: dict[str, Any]) -> None:
    policies: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for permission in of_type(resources, "AWS::Lambda::Permission").values():
        policies[json.dumps(permission["FunctionName"])].append(statement(permission))
    for function, statements in policies.items():
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
        assert len(json.dumps(policy)) < POLICY_BYTES / 10, function
