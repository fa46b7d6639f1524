"""Edge cases over HTTP: forged tokens, large bodies, malformed references, and every route of the template."""

import pytest

from local import deploy
from local.build import ROOT
from tests.stack.conftest import Running


def test_every_route_exists_and_answers_on_the_public_origin_with_a_slash_too(running: Running, token: str) -> None:
    """The list is independent of the template, so that removing a route from the template fails this test."""
    routes = [
        ("GET", "/api/payments/tracks"),
        ("POST", "/api/payments/create-payment"),
        ("POST", "/api/payments/create-checkout-session"),
        ("GET", "/api/payments/status/pi_x"),
        ("GET", "/api/payments/my-payments"),
        ("POST", "/api/payments/request-refund"),
        ("POST", "/api/payments/webhook"),
        ("GET", "/api/enrollments"),
        ("GET", "/api/admin/payments"),
        ("GET", "/api/admin/payments/pay_x"),
        ("POST", "/api/admin/payments/pay_x/refunds"),
        ("POST", "/api/admin/payments/pay_x/refunds/rr_x"),
        ("GET", "/api/admin/payments/statuses"),
        ("GET", "/api/admin/payments/totals"),
        ("GET", "/api/admin/counts"),
        ("GET", "/api/admin/users/x"),
        ("GET", "/api/admin/disputes"),
        ("GET", "/api/admin/refund-requests"),
        ("POST", "/api/admin/exports"),
        ("GET", "/api/admin/exports/exp_x"),
        ("GET", "/api/admin/quarantine/evt_x"),
        ("GET", "/api/admin/attention"),
        ("GET", "/api/admin/quarantine"),
        ("POST", "/api/admin/quarantine/evt_x/replay"),
    ]
    for method, path in routes:
        for slash in ("", "/"):
            assert running.api(method, path + slash, token).json() != {"message": "Not Found"}, (
                f"{method} {path}{slash}"
            )
    # The gateway itself has no route that ends in a slash. The public origin strips it.
    assert running.stack.deployed
    gateway = f"{running.ready['aws']}{running.stack.deployed.api_path}"
    headers = {"Authorization": f"Bearer {token}"}
    for method, path in routes:
        assert running.http.request(method, f"{gateway}{path}", headers=headers).json() != {"message": "Not Found"}
        assert running.http.request(method, f"{gateway}{path}/", headers=headers).status_code == 404, path
    for path in ("/api", "/api/", "/api/payments/", "/api/enrollments/x"):
        assert running.api("GET", path, token).json() == {"message": "Not Found"}


def test_a_route_removed_from_the_template_is_not_deployed() -> None:
    """The deployment takes its routes only from the OpenAPI body of the template."""

    def route_keys(template: deploy.Template) -> set[str]:
        for resource in template["Resources"].values():
            for field in ("CodeUri", "ContentUri"):
                if field in resource["Properties"]:
                    resource["Properties"][field] = {"Bucket": "bucket", "Key": "key"}
        template["Globals"]["Function"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
        resources = deploy.routes_as_resources(deploy.expand(template, {}))["Resources"]
        routes = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::ApiGatewayV2::Route"]
        return {route["RouteKey"] for route in routes}

    all_keys = route_keys(deploy.read_template(ROOT / "template.yaml"))
    reduced = deploy.read_template(ROOT / "template.yaml")
    del reduced["Resources"]["HttpApi"]["Properties"]["DefinitionBody"]["paths"]["/api/enrollments"]
    assert all_keys - route_keys(reduced) == {"GET /api/enrollments"}


@pytest.mark.parametrize("header", ["Bearer x.y.z", "Basic abc", "Bearer", "x"])
def test_a_malformed_token_is_rejected(running: Running, header: str) -> None:
    assert running.api("GET", "/api/enrollments", headers={"Authorization": header}).status_code == 401


def test_a_token_with_changed_claims_is_rejected(running: Running, token: str) -> None:
    header, claims, signature = token.split(".")
    forged = f"{header}.{claims[:-4]}AAAA.{signature}"
    assert running.api("GET", "/api/enrollments", forged).status_code == 401


def test_a_purchase_requires_a_verified_email(running: Running, sub: str) -> None:
    answer = running.create(running.token(sub, email_verified=False))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_student_is_identified_by_the_sub_alone(running: Running, token: str, sub: str) -> None:
    payment_id = running.create(token).json()["payment_id"]
    new_token = running.token(sub, email="new-address@example.org", groups=["support"])
    assert running.payment(new_token, payment_id)["payment_id"] == payment_id


def test_a_body_over_six_mebibytes_is_rejected_by_the_gateway(running: Running, token: str) -> None:
    content = b"x" * (6 * 1024 * 1024 + 1)
    assert running.api("POST", "/api/payments/create-payment", token, content=content).status_code == 413


@pytest.mark.parametrize("reference", ["pi_nothing", "pay_nothing", "cs_nothing", "%25", "x" * 300])
def test_an_unknown_reference_is_not_found(running: Running, token: str, reference: str) -> None:
    answer = running.api("GET", f"/api/payments/status/{reference}", token)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_front_rejects_other_host_names(running: Running) -> None:
    answer = running.http.get(f"{running.ready['api']}/api/payments/tracks", headers={"Host": "evil.example"})
    assert answer.status_code == 421


def test_cors_allows_our_origin_and_no_other(running: Running) -> None:
    preflight = {"Access-Control-Request-Method": "POST"}
    url = f"{running.ready['api']}/api/payments/create-payment"
    ours = running.http.options(url, headers=preflight | {"Origin": running.ready["api"]})
    assert ours.headers["access-control-allow-origin"] == running.ready["api"]
    theirs = running.http.options(url, headers=preflight | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in theirs.headers


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"sub": "\\ud800"}'])
def test_a_malformed_sign_in_is_rejected_with_a_message(running: Running, content: bytes) -> None:
    answer = running.http.post(f"{running.ready['api']}/_local/token", content=content)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])
