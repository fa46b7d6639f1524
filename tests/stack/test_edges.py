"""What the stories do not meet: forged tokens, sizes, odd references, and every route of the template."""

import pytest

from local import deploy
from local.build import ROOT
from tests.stack.conftest import Running


def test_every_route_of_the_template_is_there_with_and_without_a_slash(running: Running, token: str) -> None:
    """What is asked for is read off DESIGN §6 here, not off the template: one taken out of it fails this test."""
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
        ("GET", "/api/admin/counts"),
        ("GET", "/api/admin/users/x"),
        ("GET", "/api/admin/disputes"),
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
    for path in ("/api", "/api/", "/api/payments/", "/api/enrollments/x"):
        assert running.api("GET", path, token).json() == {"message": "Not Found"}


def test_a_route_taken_out_of_the_template_is_gone_from_the_deploy() -> None:
    """The deploy knows no route but those of the template's own OpenAPI body."""

    def keys(template: deploy.Template) -> set[str]:
        for resource in template["Resources"].values():
            for field in ("CodeUri", "ContentUri"):
                if field in resource["Properties"]:
                    resource["Properties"][field] = {"Bucket": "bucket", "Key": "key"}
        template["Globals"]["Function"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
        resources = deploy.routes_as_resources(deploy.expand(template, {}))["Resources"]
        routes = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::ApiGatewayV2::Route"]
        return {route["RouteKey"] for route in routes}

    whole = keys(deploy.read_template(ROOT / "template.yaml"))
    cut = deploy.read_template(ROOT / "template.yaml")
    del cut["Resources"]["EnrollmentsFunction"]["Properties"]["Events"]["List"]
    assert whole - keys(cut) == {"GET /api/enrollments"}


@pytest.mark.parametrize("header", ["Bearer x.y.z", "Basic abc", "Bearer", "x"])
def test_what_is_no_token_signs_nobody_in(running: Running, header: str) -> None:
    assert running.api("GET", "/api/enrollments/", headers={"Authorization": header}).status_code == 401


def test_claims_that_were_changed_sign_nobody_in(running: Running, token: str) -> None:
    header, claims, signature = token.split(".")
    forged = f"{header}.{claims[:-4]}AAAA.{signature}"
    assert running.api("GET", "/api/enrollments/", forged).status_code == 401


def test_buying_needs_a_verified_address(running: Running, sub: str) -> None:
    answer = running.create(running.token(sub, email_verified=False))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_same_sub_is_the_same_student_whatever_else_changes(running: Running, token: str, sub: str) -> None:
    made = running.create(token).json()
    again = running.token(sub, email="new-address@example.org", groups=["support"])
    assert running.payment(again, made["payment_id"])["payment_id"] == made["payment_id"]


def test_more_than_a_function_takes_is_refused_at_the_door(running: Running, token: str) -> None:
    content = b"x" * (6 * 1024 * 1024 + 1)
    assert running.api("POST", "/api/payments/create-payment/", token, content=content).status_code == 413


@pytest.mark.parametrize("reference", ["pi_nothing", "pay_nothing", "cs_nothing", "%25", "x" * 300])
def test_what_does_not_exist_is_not_found(running: Running, token: str, reference: str) -> None:
    answer = running.api("GET", f"/api/payments/status/{reference}/", token)
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_front_serves_this_machine_only(running: Running) -> None:
    answer = running.http.get(f"{running.ready['api']}/api/payments/tracks/", headers={"Host": "evil.example"})
    assert answer.status_code == 421


def test_pages_of_our_origin_may_call_and_others_may_not(running: Running) -> None:
    asked = {"Access-Control-Request-Method": "POST"}
    url = f"{running.ready['api']}/api/payments/create-payment/"
    ours = running.http.options(url, headers=asked | {"Origin": running.ready["api"]})
    assert ours.headers["access-control-allow-origin"] == running.ready["api"]
    theirs = running.http.options(url, headers=asked | {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in theirs.headers


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"sub": "\\ud800"}'])
def test_a_sign_in_that_cannot_be_read_is_told_so(running: Running, content: bytes) -> None:
    answer = running.http.post(f"{running.ready['api']}/_local/token", content=content)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])
