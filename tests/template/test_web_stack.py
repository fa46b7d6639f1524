"""web.yaml: CloudFront's firewall, log, and headers."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local import deploy
from local.build import ROOT


@pytest.fixture(scope="module")
def web() -> dict[str, Any]:
    return deploy.read_template(ROOT / "web.yaml")


def distribution(web: dict[str, Any]) -> Any:
    return web["Resources"]["Distribution"]["Properties"]["DistributionConfig"]


def test_a_firewall_is_used_if_a_parameter_names_one(web: dict[str, Any]) -> None:
    assert distribution(web)["WebACLId"] == {"Fn::If": ["HasWebAcl", {"Ref": "WebAclArn"}, {"Ref": "AWS::NoValue"}]}
    pattern = web["Parameters"]["WebAclArn"]["AllowedPattern"]
    assert re.fullmatch(pattern, "")
    assert re.fullmatch(pattern, "arn:aws:wafv2:us-east-1:123456789012:global/webacl/tuition/1")
    assert not re.fullmatch(pattern, "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/tuition/1")


def test_the_log_of_requests_expires_and_holds_no_cookies(web: dict[str, Any]) -> None:
    logging = distribution(web)["Logging"]
    assert logging == {
        "Bucket": {"Fn::GetAtt": ["Logs", "DomainName"]},
        "Prefix": "cloudfront/",
        "IncludeCookies": False,
    }
    bucket = web["Resources"]["Logs"]["Properties"]
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (life,) = bucket["LifecycleConfiguration"]["Rules"]
    assert life["ExpirationInDays"] == {"Ref": "VisitorLogRetentionDays"}
    assert web["Parameters"]["VisitorLogRetentionDays"]["Default"] == 30


def test_the_api_is_https_only_too_and_the_owner_of_the_domain_decides_about_preload(web: dict[str, Any]) -> None:
    _document, api = distribution(web)["CacheBehaviors"]
    assert api["ResponseHeadersPolicyId"] == {"Ref": "ApiHeaders"}
    for name in ("Headers", "ApiHeaders"):
        policy = web["Resources"][name]["Properties"]["ResponseHeadersPolicyConfig"]["SecurityHeadersConfig"]
        assert policy["StrictTransportSecurity"]["Preload"] == {"Ref": "HstsPreload"}
        assert policy["StrictTransportSecurity"]["AccessControlMaxAgeSec"] == 2 * 365 * 86400
    assert web["Parameters"]["HstsPreload"]["Default"] == "false"


@pytest.mark.parametrize("host", ["a1b2c3.execute-api.eu-central-1.amazonaws.com", "api.example.org"])
def test_the_api_may_have_a_domain_of_its_own(web: dict[str, Any], host: str) -> None:
    assert re.fullmatch(web["Parameters"]["ApiDomain"]["AllowedPattern"], host)


def test_every_parameter_is_described_and_every_bucket_outlives_the_stack(web: dict[str, Any]) -> None:
    for name, parameter in web["Parameters"].items():
        assert parameter["Description"].endswith("."), name
    for name, resource in web["Resources"].items():
        if resource["Type"] == "AWS::S3::Bucket":
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (
                "RetainExceptOnCreate",
                "Retain",
            ), name
