"""Every route, with and without a trailing slash, and its authorizer."""

from __future__ import annotations

from typing import Any

import pytest

ROUTES = {
    ("GET", "/api/payments/tracks"): ("TracksFunction", "public"),
    ("POST", "/api/payments/create-payment"): ("CreatePaymentFunction", "signed in"),
    ("POST", "/api/payments/create-checkout-session"): ("CreateCheckoutSessionFunction", "signed in"),
    ("GET", "/api/payments/status/{payment_intent_id}"): ("PaymentStatusFunction", "signed in"),
    ("GET", "/api/payments/my-payments"): ("MyPaymentsFunction", "signed in"),
    ("GET", "/api/payments/payment-methods"): ("PaymentMethodsFunction", "signed in"),
    ("DELETE", "/api/payments/payment-methods/{payment_method_id}"): ("PaymentMethodsFunction", "signed in"),
    ("POST", "/api/payments/request-refund"): ("RequestRefundFunction", "signed in"),
    ("POST", "/api/payments/webhook"): ("WebhookFunction", "public"),
    ("GET", "/api/enrollments"): ("EnrollmentsFunction", "signed in"),
    ("GET", "/api/admin/payments"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/payments/{payment_id}"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/refunds"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/refunds/{request_id}"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/access"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/payments/{payment_id}/attention"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/counts"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/users/{user_id}"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/disputes"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/refund-requests"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/quarantine/{event_id}"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/exports"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/exports/{export_id}"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/attention"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/books"): ("AdminFunction", "signed in"),
    ("GET", "/api/admin/quarantine"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/quarantine/{event_id}/replay"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/quarantine/{event_id}/discard"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/{user_id}/purchases"): ("AdminFunction", "signed in"),
    ("POST", "/api/admin/users/purchases"): ("AdminFunction", "signed in"),
}


def operations(resources: dict[str, Any]) -> dict[tuple[str, str], Any]:
    paths = resources["HttpApi"]["Properties"]["Body"]["paths"]
    return {(method.upper(), path): o for path, methods in paths.items() for method, o in methods.items()}


def test_the_template_has_exactly_these_routes(resources: dict[str, Any]) -> None:
    expected = {(method, path + slash) for method, path in ROUTES for slash in ("", "/")}
    assert set(operations(resources)) == expected


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_route_calls_its_function_behind_its_authorizer(
    resources: dict[str, Any], route: tuple[str, str], slash: str
) -> None:
    function, access = ROUTES[route]
    operation = operations(resources)[route[0], route[1] + slash]
    integration = operation["x-amazon-apigateway-integration"]
    assert integration["payloadFormatVersion"] == "2.0"
    assert f"${{{function}.Arn}}" in integration["uri"]["Fn::Sub"]
    assert operation["security"] == [{"NONE": []} if access == "public" else {"SignedIn": []}]


def test_the_gateway_may_invoke_each_function_through_any_route(resources: dict[str, Any]) -> None:
    """SAM's permissions do not cover a trailing slash, so each function has one for the whole API."""
    whole_api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*"
    for function in {function for function, _ in ROUTES.values()}:
        permission = resources[f"{function}Permission"]
        assert permission == {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": function},
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Sub": whole_api},
            },
        }
