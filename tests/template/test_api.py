"""The configuration of the API gateway: sign-in, throttling, logs and CORS."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.template.conftest import of_type


def authorizer(resources: dict[str, Any]) -> Any:
    schemes = resources["HttpApi"]["Properties"]["Body"]["components"]["securitySchemes"]
    assert set(schemes) == {"SignedIn"}
    return schemes["SignedIn"]["x-amazon-apigateway-authorizer"]


def test_the_authorizer_accepts_tokens_of_the_user_pool(resources: dict[str, Any]) -> None:
    properties = authorizer(resources)
    assert properties["type"] == "jwt"
    assert properties["identitySource"] == "$request.header.Authorization"
    issuer = properties["jwtConfiguration"]["issuer"]["Fn::Sub"]
    assert issuer == "https://cognito-idp.${AWS::Region}.${AWS::URLSuffix}/${UserPool}"
    assert properties["jwtConfiguration"]["audience"] == [{"Ref": "UserPoolClient"}]


def test_an_external_issuer_replaces_the_user_pool(expand: Any) -> None:
    resources = expand(JwtIssuer="https://login.example.com", JwtAudience="tuition,console")["Resources"]
    configuration = authorizer(resources)["jwtConfiguration"]
    assert configuration["issuer"] == "https://login.example.com"
    assert configuration["audience"] == {"Fn::Split": [",", "tuition,console"]}
    assert not [r for r in resources.values() if r["Type"].startswith("AWS::Cognito::")]


def test_an_external_issuer_requires_an_audience(template: dict[str, Any]) -> None:
    rule = template["Rules"]["OutsideIssuerHasAnAudience"]
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtAudience"}, ""]}]}


def test_the_claim_names_are_parameters(expand: Any) -> None:
    resources = expand(ClaimUserId="oid", ClaimGroups="roles", ClaimEmail="mail", ClaimEmailVerified="ok")["Resources"]
    variables = resources["WebhookFunction"]["Properties"]["Environment"]["Variables"]
    names = [variables[f"CLAIM_{n}"] for n in ("USER_ID", "GROUPS", "EMAIL", "EMAIL_VERIFIED")]
    assert names == ["oid", "roles", "mail", "ok"]


def test_the_groups_of_staff_are_parameters(expand: Any, template: dict[str, Any]) -> None:
    resources = expand(AdminGroup="heads", SupportGroup="desk", JwtIssuer="", JwtAudience="")["Resources"]
    variables = resources["AdminFunction"]["Properties"]["Environment"]["Variables"]
    assert (variables["ADMIN_GROUP"], variables["SUPPORT_GROUP"], variables["JWT_ISSUER"]) == ("heads", "desk", "")
    groups = of_type(resources, "AWS::Cognito::UserPoolGroup").values()
    assert {group["GroupName"] for group in groups} == {"heads", "desk"}
    outside = expand(JwtIssuer="https://login.example.com", JwtAudience="tuition")["Resources"]
    variables = outside["AdminFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["JWT_ISSUER"] == "https://login.example.com"
    (differ,) = template["Rules"]["StaffGroupsDiffer"]["Assertions"]
    assert differ["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AdminGroup"}, {"Ref": "SupportGroup"}]}]}


def test_staff_of_an_external_issuer_need_a_second_factor_in_production(expand: Any, template: dict[str, Any]) -> None:
    variables = expand(StaffMfaClaim="amr", StaffMfaValue="mfa")["Resources"]["AdminFunction"]["Properties"]
    names = [variables["Environment"]["Variables"][f"STAFF_MFA_{name}"] for name in ("CLAIM", "VALUE")]
    assert names == ["amr", "mfa"]
    outside = {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}]}
    rule = template["Rules"]["OutsideIssuerOfProductionChecksMfa"]
    assert rule["RuleCondition"] == {"Fn::And": [{"Fn::Equals": [{"Ref": "Environment"}, "production"]}, outside]}
    claim = {"Fn::Not": [{"Fn::Equals": [{"Ref": "StaffMfaClaim"}, ""]}]}
    assert [assertion["Assert"] for assertion in rule["Assertions"]] == [claim]
    value = template["Rules"]["StaffMfaClaimHasAValue"]
    assert value["RuleCondition"] == claim
    assert value["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "StaffMfaValue"}, ""]}]}


@pytest.mark.parametrize("name", ["school admin", "[admin", "admin]", "", " admin", "admin\n"])
@pytest.mark.parametrize("parameter", ["AdminGroup", "SupportGroup"])
def test_a_group_of_staff_has_a_name_that_the_claim_cannot_split(
    template: dict[str, Any], parameter: str, name: str
) -> None:
    pattern = template["Parameters"][parameter]["AllowedPattern"]
    assert re.fullmatch(pattern, "admin")
    assert not re.fullmatch(pattern, name)


@pytest.mark.parametrize(
    ("claim", "accepted"),
    [
        *((name, True) for name in ("sub", "oid", "cognito:username", "custom:student_number", "uid")),
        *((name, False) for name in ("email", "Email", "mail", "emails", "work_email", "https://a.org/email", "upn")),
        *((name, False) for name in ("preferred_username", "unique_name", "name", "given_name", "phone_number", "")),
    ],
)
def test_the_claim_of_the_user_id_is_none_that_names_a_person(
    template: dict[str, Any], claim: str, accepted: bool
) -> None:
    assert bool(re.fullmatch(template["Parameters"]["ClaimUserId"]["AllowedPattern"], claim)) == accepted


def test_the_claim_of_the_user_id_is_not_that_of_the_address(template: dict[str, Any]) -> None:
    (assertion,) = template["Rules"]["UserIdIsNoAddress"]["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ClaimUserId"}, {"Ref": "ClaimEmail"}]}]}


@pytest.mark.parametrize("parameter", ["WebOrigin", "SecondWebOrigin"])
@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://learn.example.org", True),
        ("http://localhost:8000", True),
        ("http://127.0.0.1:9000", True),
        ("http://learn.example.org", False),
        ("http://localhost.example.org:8000", False),
        ("http://127.0.0.1.example.org", False),
        ("https://learn.example.org/", False),
    ],
)
def test_the_pages_are_served_with_https_except_on_this_machine(
    template: dict[str, Any], parameter: str, origin: str, accepted: bool
) -> None:
    assert bool(re.fullmatch(template["Parameters"][parameter]["AllowedPattern"], origin)) == accepted


def stage(resources: dict[str, Any]) -> Any:
    (properties,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    return properties


def test_the_default_stage_is_deployed_automatically(resources: dict[str, Any]) -> None:
    assert stage(resources)["StageName"] == "$default"
    assert stage(resources)["AutoDeploy"] is True


def test_requests_are_throttled(resources: dict[str, Any]) -> None:
    assert stage(resources)["DefaultRouteSettings"] == {"ThrottlingBurstLimit": 100, "ThrottlingRateLimit": 50}


def test_the_webhook_has_its_own_throttle(expand: Any, resources: dict[str, Any]) -> None:
    """A flood of other requests cannot throttle Stripe's events."""
    route = "POST /api/payments/webhook"
    settings = {"ThrottlingRateLimit": 1000, "ThrottlingBurstLimit": 2000, "DetailedMetricsEnabled": True}
    assert stage(resources)["RouteSettings"][route] == settings
    other = expand(WebhookThrottlingRate="5", WebhookThrottlingBurst="7")["Resources"]
    changed = stage(other)["RouteSettings"][route]
    assert (str(changed["ThrottlingRateLimit"]), str(changed["ThrottlingBurstLimit"])) == ("5", "7")


def test_only_routes_with_alarms_of_their_own_have_detailed_metrics(expand: Any, resources: dict[str, Any]) -> None:
    """Each route with detailed metrics is billed. The creates have the default throttle, also a changed one."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm").values()
    dimensions = [{one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])} for alarm in alarms]
    watched = {f"{one['Method']} {one['Resource']}" for one in dimensions if "Resource" in one and "Method" in one}
    assert set(stage(resources)["RouteSettings"]) == watched
    assert all(one["DetailedMetricsEnabled"] is True for one in stage(resources)["RouteSettings"].values())
    changed = stage(expand(ThrottlingRate="70", ThrottlingBurst="90")["Resources"])["RouteSettings"]
    for name in ("create-payment", "create-checkout-session"):
        one = changed[f"POST /api/payments/{name}"]
        assert (str(one["ThrottlingRateLimit"]), str(one["ThrottlingBurstLimit"])) == ("70", "90")


def test_the_access_log_names_the_callers_id_and_address_and_no_other_personal_data(resources: dict[str, Any]) -> None:
    settings = stage(resources)["AccessLogSettings"]
    assert settings["DestinationArn"] == {"Fn::GetAtt": ["AccessLogs", "Arn"]}
    text = settings["Format"]["Fn::Sub"]
    line = json.loads(text)
    assert line["request_id"] == "$context.requestId"
    assert line["status"] == "$context.status"
    assert line["user_id"] == "$context.authorizer.claims.${ClaimUserId}"
    assert line["ip"] == "$context.identity.sourceIp"
    for personal in ("email", "path", "userAgent"):
        assert personal not in text
    assert "messageString" not in text, "its text is in quotes already, and the line would not be JSON"


def test_log_groups_expire_entries_and_outlive_the_stack(expand: Any, resources: dict[str, Any]) -> None:
    """The access log has a retention of its own, because it names people."""
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert {name: group["RetentionInDays"] for name, group in groups.items()} == {"AccessLogs": 30, "FunctionLogs": 90}
    assert all(resources[name]["DeletionPolicy"] == "RetainExceptOnCreate" for name in groups)
    shorter = expand(AccessLogRetentionDays="7")["Resources"]
    assert str(shorter["AccessLogs"]["Properties"]["RetentionInDays"]) == "7"


def test_a_domain_of_its_own_switches_off_the_address_that_aws_gives_the_api(
    expand: Any, template: dict[str, Any]
) -> None:
    def switched_off(resources: dict[str, Any]) -> Any:
        body = resources["HttpApi"]["Properties"]["Body"]
        return body["servers"][0]["x-amazon-apigateway-endpoint-configuration"]["disableExecuteApiEndpoint"]

    plain = expand()["Resources"]
    assert switched_off(plain) is False
    assert not {"ApiDomain", "ApiDomainMapping"} & set(plain)
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    own = expand(ApiDomainName="api.example.org", ApiCertificateArn=certificate)["Resources"]
    assert switched_off(own) is True
    (configuration,) = own["ApiDomain"]["Properties"]["DomainNameConfigurations"]
    assert configuration == {"CertificateArn": certificate, "EndpointType": "REGIONAL", "SecurityPolicy": "TLS_1_2"}
    mapping = own["ApiDomainMapping"]["Properties"]
    assert mapping["ApiId"] == {"Ref": "HttpApi"}
    assert own[mapping["Stage"]["Ref"]]["Properties"]["StageName"] == "$default"
    condition = template["Rules"]["ApiDomainHasACertificate"]["RuleCondition"]
    assert condition == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ApiDomainName"}, ""]}]}


def test_the_server_of_the_api_has_a_url_because_a_warning_of_the_import_fails_the_stack(
    resources: dict[str, Any], expand: Any
) -> None:
    """https://github.com/aws/serverless-application-model/issues/2424."""
    assert resources["HttpApi"]["Properties"]["FailOnWarnings"] is True
    assert [server["url"] for server in resources["HttpApi"]["Properties"]["Body"]["servers"]] == [
        "http://localhost:8000"
    ]
    own = expand(WebOrigin="https://tuition.example")["Resources"]["HttpApi"]["Properties"]["Body"]["servers"]
    assert [server["url"] for server in own] == ["https://tuition.example"]


def cors(resources: dict[str, Any]) -> Any:
    return resources["HttpApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]


def test_cors_allows_only_our_origins(expand: Any) -> None:
    one = cors(expand(WebOrigin="https://tuition.example")["Resources"])
    assert one["allowOrigins"] == ["https://tuition.example"]
    two = cors(expand(WebOrigin="https://a.example", SecondWebOrigin="https://b.example")["Resources"])
    assert two["allowOrigins"] == ["https://a.example", "https://b.example"]
    assert one["allowHeaders"] == ["authorization", "content-type", "idempotency-key"]
    assert "allowCredentials" not in one
    assert "*" not in one["allowMethods"]


def test_functions_allow_the_same_origins_as_the_gateway(expand: Any) -> None:
    one = expand(WebOrigin="https://tuition.example")["Resources"]["TracksFunction"]["Properties"]
    assert one["Environment"]["Variables"]["ALLOWED_ORIGINS"] == "https://tuition.example"
    two = expand(WebOrigin="https://a.example", SecondWebOrigin="https://b.example")["Resources"]
    variables = two["TracksFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["ALLOWED_ORIGINS"] == {"Fn::Sub": "${WebOrigin},${SecondWebOrigin}"}
