"""The least rights that the installer needs: for its own calls, and for CloudFormation, which acts with them.

`tests/stack/test_install.py` compares :data:`CALLS` with the calls of a whole run, and a test of the template compares
:data:`RESOURCES` with the types of both templates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

CALLS = {
    "acm": {"list_certificates", "describe_certificate", "request_certificate"},
    "budgets": {"describe_budget", "create_budget", "update_budget", "delete_budget"},
    "cloudformation": {
        *("describe_stacks", "describe_stack_events", "list_stack_resources", "get_template", "create_change_set"),
        *("describe_change_set", "delete_change_set", "execute_change_set", "delete_stack", "get_stack_policy"),
        *("set_stack_policy", "update_termination_protection"),
    },
    "cloudfront": {"create_invalidation"},
    "cloudwatch": {"describe_alarms", "get_metric_statistics"},
    "cognito-idp": {
        *("describe_user_pool_domain", "describe_user_pool", "list_users", "admin_create_user"),
        *("admin_add_user_to_group", "admin_list_groups_for_user", "delete_user_pool", "delete_user_pool_domain"),
    },
    "dynamodb": {"get_item", "get_resource_policy", "put_resource_policy", "delete_table"},
    "iam": {"get_role", "get_role_policy", "create_role", "put_role_policy", "delete_role_policy", "delete_role"},
    "lambda": {"get_account_settings", "invoke"},
    "logs": {"delete_log_group"},
    "s3": {
        *("head_bucket", "get_public_access_block", "create_bucket", "put_public_access_block", "put_object"),
        *("get_object", "head_object", "delete_object", "delete_objects", "list_objects_v2", "list_object_versions"),
        *("delete_bucket", "get_object_lock_configuration"),
    },
    "secretsmanager": {"get_secret_value", "put_secret_value", "delete_secret"},
    "sesv2": {"get_account", "get_email_identity"},
    "sns": {
        *("list_subscriptions_by_topic", "create_topic", "subscribe", "delete_topic"),
        *("get_topic_attributes", "set_topic_attributes"),
    },
    "sqs": {"delete_queue"},
    "sts": {"get_caller_identity"},
}
"""The operations that the installer and `make live-aws` call, by service."""
SPECIAL = {
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "budgets:UpdateBudget": "budgets:ModifyBudget",
    "budgets:DeleteBudget": "budgets:ModifyBudget",
    "lambda:Invoke": "lambda:InvokeFunction",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:DeleteObjects": "s3:DeleteObjectVersion",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
"""The actions whose name is not that of the operation.
https://docs.aws.amazon.com/service-authorization/latest/reference/"""
RESOURCES = {
    "AWS::ApiGatewayV2::Api": ("apigateway:*", "logs:*LogDelivery", "logs:*ResourcePolicy", "logs:*ResourcePolicies"),
    "AWS::ApiGatewayV2::ApiMapping": ("apigateway:*",),
    "AWS::ApiGatewayV2::DomainName": ("apigateway:*", "acm:DescribeCertificate", "iam:CreateServiceLinkedRole"),
    "AWS::ApiGatewayV2::Stage": ("apigateway:*", "iam:CreateServiceLinkedRole"),
    "AWS::CloudFront::Distribution": ("cloudfront:*Distribution*", "cloudfront:TagResource", "wafv2:GetWebACL"),
    "AWS::CloudFront::Function": ("cloudfront:*Function*",),
    "AWS::CloudFront::OriginAccessControl": ("cloudfront:*OriginAccessControl",),
    "AWS::CloudFront::ResponseHeadersPolicy": ("cloudfront:*ResponseHeadersPolicy",),
    "AWS::CloudWatch::Alarm": ("cloudwatch:*Alarm*", "cloudwatch:TagResource"),
    "AWS::CloudWatch::CompositeAlarm": ("cloudwatch:*Alarm*", "cloudwatch:TagResource"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch:*Dashboard*",),
    "AWS::CodeDeploy::Application": ("codedeploy:*Application", "codedeploy:TagResource"),
    "AWS::CodeDeploy::DeploymentGroup": ("codedeploy:*DeploymentGroup", "codedeploy:*Deployment*"),
    "AWS::Cognito::UserPool": (
        *("cognito-idp:*UserPool", "cognito-idp:*UserPoolMfaConfig", "cognito-idp:TagResource"),
        "iam:CreateServiceLinkedRole",
    ),
    "AWS::Cognito::UserPoolClient": ("cognito-idp:*UserPoolClient",),
    "AWS::Cognito::UserPoolDomain": ("cognito-idp:*UserPoolDomain",),
    "AWS::Cognito::UserPoolGroup": ("cognito-idp:*Group",),
    "AWS::DynamoDB::Table": (
        *("dynamodb:CreateTable", "dynamodb:DescribeTable", "dynamodb:UpdateTable", "dynamodb:TagResource"),
        *("dynamodb:*ContinuousBackups", "dynamodb:*TimeToLive", "dynamodb:*ResourcePolicy"),
        "dynamodb:ListTagsOfResource",
    ),
    "AWS::Events::EventBus": ("events:*EventBus", "events:TagResource"),
    "AWS::Events::Rule": ("events:*Rule", "events:*Targets", "events:TagResource"),
    "AWS::Glue::Database": ("glue:*Database", "glue:GetDatabases"),
    "AWS::Glue::Table": ("glue:*Table", "glue:GetTables"),
    "AWS::IAM::ManagedPolicy": ("iam:*Policy", "iam:*PolicyVersion", "iam:ListPolicyVersions"),
    "AWS::IAM::Policy": ("iam:*RolePolicy",),
    "AWS::IAM::Role": ("iam:*Role", "iam:*RolePolicy", "iam:PassRole", "iam:TagRole", "iam:*RolePermissionsBoundary"),
    "AWS::KMS::Alias": ("kms:*Alias*",),
    "AWS::KMS::Key": (
        *("kms:CreateKey", "kms:DescribeKey", "kms:*KeyPolicy", "kms:*KeyDeletion", "kms:*ableKey"),
        *("kms:UpdateKeyDescription", "kms:TagResource", "kms:UntagResource", "kms:ListResourceTags"),
    ),
    "AWS::Lambda::EventInvokeConfig": ("lambda:*FunctionEventInvokeConfig",),
    "AWS::Lambda::EventSourceMapping": ("lambda:*EventSourceMapping", "lambda:TagResource"),
    "AWS::Lambda::Function": (
        *("lambda:*Function", "lambda:*FunctionCode", "lambda:*FunctionConfiguration", "lambda:TagResource"),
        *("lambda:ListTags", "lambda:*FunctionConcurrency"),
    ),
    "AWS::Lambda::LayerVersion": ("lambda:*LayerVersion",),
    "AWS::Lambda::Permission": ("lambda:*Permission", "lambda:GetPolicy"),
    "AWS::Lambda::Alias": ("lambda:*Alias",),
    "AWS::Lambda::Version": ("lambda:PublishVersion", "lambda:ListVersionsByFunction"),
    "AWS::Logs::LogGroup": ("logs:*LogGroup", "logs:DescribeLogGroups", "logs:*RetentionPolicy", "logs:TagResource"),
    "AWS::S3::Bucket": ("s3:*Bucket*", "s3:*EncryptionConfiguration", "s3:*LifecycleConfiguration"),
    "AWS::S3::BucketPolicy": ("s3:*BucketPolicy",),
    "AWS::SecretsManager::Secret": ("secretsmanager:*Secret", "secretsmanager:TagResource"),
    "AWS::SES::ConfigurationSet": ("ses:*ConfigurationSet*", "ses:TagResource"),
    "AWS::SES::ConfigurationSetEventDestination": ("ses:*ConfigurationSetEventDestination*",),
    "AWS::SES::EmailIdentity": ("ses:*EmailIdentity*", "ses:TagResource"),
    "AWS::SQS::Queue": ("sqs:*Queue*",),
    "AWS::SQS::QueuePolicy": ("sqs:SetQueueAttributes",),
}
"""The actions with which CloudFormation makes, changes and deletes each type of resource of the templates."""
STACKS = ("cloudformation:TagResource",)
"""The actions that tags of a stack need beside the calls."""
REMOVAL = ("s3:BypassGovernanceRetention",)
"""The actions that `--remove` needs beside the calls. In production the archive bucket's policy denies this one."""
SCOPES = {
    "cloudformation": "arn:aws*:cloudformation:*:*:stack/tuition*",
    "dynamodb": "arn:aws*:dynamodb:*:*:table/tuition*",
    "s3": ("arn:aws*:s3:::tuition*", "arn:aws*:s3:::tuition*/*"),
    "sns": "arn:aws*:sns:*:*:tuition*",
}
"""The resources whose names begin with that of the stack. Other services name them in their own way, or have none."""
ROLES = ("arn:aws*:iam::*:role/tuition*", "arn:aws*:iam::*:policy/tuition*", "arn:aws*:iam::*:role/aws-service-role/*")
"""Ours, and those that AWS makes for a service: API Gateway's log delivery and domain, and Cognito's emails."""


def action_of(service: str, operation: str) -> str:
    """Return the IAM action of an operation of boto3's."""
    prefix = {"sesv2": "ses"}.get(service, service)
    name = f"{prefix}:{''.join(part.title() for part in operation.split('_'))}"
    return SPECIAL.get(name, name)


def _actions() -> list[str]:
    own = {action_of(service, operation) for service, operations in CALLS.items() for operation in operations}
    return sorted(own.union(STACKS, REMOVAL, *RESOURCES.values()))


def policy() -> str:
    """Return the policy as JSON, with one statement per service."""
    services: dict[str, list[str]] = {}
    for action in _actions():
        services.setdefault(action.partition(":")[0], []).append(action)
    statements = [
        {
            "Sid": "".join(part.title() for part in service.split("-")),
            "Effect": "Allow",
            "Action": actions,
            "Resource": list(ROLES) if service == "iam" else _scope(service),
        }
        for service, actions in services.items()
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def _scope(service: str) -> str | list[str]:
    scope: str | Iterable[str] = SCOPES.get(service, "*")
    return scope if isinstance(scope, str) else list(scope)


def summary() -> str:
    """Return the services with the number of their actions, as lines for a person."""
    counts: dict[str, int] = {}
    for action in _actions():
        service = action.partition(":")[0]
        counts[service] = counts.get(service, 0) + 1
    return "  " + ", ".join(f"{service} ({count})" for service, count in counts.items())
