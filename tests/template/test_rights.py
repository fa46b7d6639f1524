"""The rights that the installer asks for."""

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from installer import rights
from local import deploy
from local.build import ROOT


def test_the_rights_cover_every_type_of_both_templates(expand: Callable[..., Any]) -> None:
    chosen = {
        "DeletionProtection": "true",
        "HostedUiDomainPrefix": "p",
        "ApiDomainName": "api.example.org",
        "ApiCertificateArn": "arn:aws:acm:eu-central-1:123456789012:certificate/x",
        "WebhookConcurrency": "20",
        "Tracing": "Active",
        "AlarmOnForeignEvents": "true",
        "ReleaseShift": "Canary10Percent5Minutes",
        "WarmWriteUnits": "4000",
        "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/limit",
    }
    api = expand(**chosen)["Resources"]
    pages = deploy.read_template(ROOT / "web.yaml")["Resources"]
    types = {resource["Type"] for resource in [*api.values(), *pages.values()]}
    assert types <= set(rights.RESOURCES), "see installer/rights.py"


def test_the_rights_cover_roles_of_services_boundaries_tags_and_the_identities_of_ses() -> None:
    statements = json.loads(rights.policy())["Statement"]

    def is_allowed(action: str, resource: str) -> bool:
        return any(
            any(fnmatchcase(action, pattern) for pattern in statement["Action"])
            and any(fnmatchcase(resource, pattern) for pattern in _texts(statement["Resource"]))
            for statement in statements
        )

    account = "arn:aws:iam::123456789012:role"
    role = f"{account}/aws-service-role/email.cognito-idp.amazonaws.com/AWSServiceRoleForAmazonCognitoIdpEmailService"
    assert is_allowed("iam:CreateServiceLinkedRole", role)
    assert is_allowed("iam:PutRolePermissionsBoundary", f"{account}/tuition-WebhookFunctionRole-1")
    assert not is_allowed("iam:CreateRole", f"{account}/other")
    assert is_allowed("cloudformation:TagResource", "arn:aws:cloudformation:eu-central-1:123456789012:stack/tuition/1")
    assert is_allowed("ses:GetEmailIdentity", "arn:aws:ses:eu-central-1:123456789012:identity/example.org")


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
