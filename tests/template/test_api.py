"""What the gateway itself does: sign-in, throttling, logs, CORS."""

from __future__ import annotations

import json
from typing import Any

from tests.template.conftest import of_type


def authorizer(resources: dict[str, Any]) -> Any:
    schemes = resources["HttpApi"]["Properties"]["Body"]["components"]["securitySchemes"]
    assert set(schemes) == {"SignedIn"}
    return schemes["SignedIn"]["x-amazon-apigateway-authorizer"]


def test_tokens_of_the_pool_sign_in(resources: dict[str, Any]) -> None:
    found = authorizer(resources)
    assert found["type"] == "jwt"
    assert found["identitySource"] == "$request.header.Authorization"
    issuer = found["jwtConfiguration"]["issuer"]["Fn::Sub"]
    assert issuer == "https://cognito-idp.${AWS::Region}.${AWS::URLSuffix}/${UserPool}"
    assert found["jwtConfiguration"]["audience"] == [{"Ref": "UserPoolClient"}]


def test_an_outside_issuer_takes_the_place_of_the_pool(expand: Any) -> None:
    resources = expand(JwtIssuer="https://login.example.com", JwtAudience="tuition,console")["Resources"]
    configuration = authorizer(resources)["jwtConfiguration"]
    assert configuration["issuer"] == "https://login.example.com"
    assert configuration["audience"] == {"Fn::Split": [",", "tuition,console"]}
    assert not [r for r in resources.values() if r["Type"].startswith("AWS::Cognito::")]


def test_an_outside_issuer_needs_an_audience(template: dict[str, Any]) -> None:
    rule = template["Rules"]["OutsideIssuerHasAnAudience"]
    assert rule["RuleCondition"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtIssuer"}, ""]}]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "JwtAudience"}, ""]}]}


def test_the_names_of_claims_are_parameters(expand: Any) -> None:
    resources = expand(ClaimUserId="oid", ClaimGroups="roles", ClaimEmail="mail", ClaimEmailVerified="ok")["Resources"]
    variables = resources["WebhookFunction"]["Properties"]["Environment"]["Variables"]
    names = [variables[f"CLAIM_{n}"] for n in ("USER_ID", "GROUPS", "EMAIL", "EMAIL_VERIFIED")]
    assert names == ["oid", "roles", "mail", "ok"]


def stage(resources: dict[str, Any]) -> Any:
    (properties,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    return properties


def test_the_default_stage_is_deployed_by_itself(resources: dict[str, Any]) -> None:
    assert stage(resources)["StageName"] == "$default"
    assert stage(resources)["AutoDeploy"] is True


def test_requests_are_throttled(resources: dict[str, Any]) -> None:
    settings = stage(resources)["DefaultRouteSettings"]
    assert settings == {
        "DetailedMetricsEnabled": True,
        "ThrottlingBurstLimit": 100,
        "ThrottlingRateLimit": 50,
    }


def test_access_is_logged_without_who_or_what(resources: dict[str, Any]) -> None:
    settings = stage(resources)["AccessLogSettings"]
    assert settings["DestinationArn"] == {"Fn::GetAtt": ["AccessLogs", "Arn"]}
    line = json.loads(settings["Format"])
    assert line["request_id"] == "$context.requestId"
    assert line["status"] == "$context.status"
    for personal in ("sourceIp", "claims", "path", "userAgent"):
        assert personal not in settings["Format"]


def test_logs_end_some_day_and_stay_when_the_stack_goes(resources: dict[str, Any]) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    assert set(groups) == {"AccessLogs", "FunctionLogs"}
    for name, properties in groups.items():
        assert properties["RetentionInDays"] == 90
        assert resources[name]["DeletionPolicy"] == "Retain"


def cors(resources: dict[str, Any]) -> Any:
    return resources["HttpApi"]["Properties"]["Body"]["x-amazon-apigateway-cors"]


def test_only_our_origins_may_read_answers(expand: Any) -> None:
    one = cors(expand(WebOrigin="https://tuition.example")["Resources"])
    assert one["allowOrigins"] == ["https://tuition.example"]
    two = cors(expand(WebOrigin="https://a.example", SecondWebOrigin="https://b.example")["Resources"])
    assert two["allowOrigins"] == ["https://a.example", "https://b.example"]
    assert one["allowHeaders"] == ["authorization", "content-type"]
    assert "allowCredentials" not in one
    assert "*" not in one["allowMethods"]


def test_functions_know_the_same_origins(expand: Any) -> None:
    one = expand(WebOrigin="https://tuition.example")["Resources"]["TracksFunction"]["Properties"]
    assert one["Environment"]["Variables"]["ALLOWED_ORIGINS"] == "https://tuition.example"
    two = expand(WebOrigin="https://a.example", SecondWebOrigin="https://b.example")["Resources"]
    variables = two["TracksFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["ALLOWED_ORIGINS"] == {"Fn::Sub": "${WebOrigin},${SecondWebOrigin}"}
