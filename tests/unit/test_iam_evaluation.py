"""The evaluation of policies does what AWS documents: the evaluation logic, principals, wildcards and conditions.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
"""

from typing import Any

import pytest

from tests.iam import Policy, Principal, Request, holds, is_allowed, matches_arn

ACCOUNT, OTHER = "123456789012", "210987654321"
TABLE = f"arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/books"
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/clerk"


def policy(*statements: dict[str, Any]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def statement(effect: str = "Allow", action: Any = "*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def role(*statements: dict[str, Any], arn: str = ROLE) -> Principal:
    return Principal(arn, (policy(*statements),))


def allowed(
    principal: Principal,
    resource_policy: Policy | None = None,
    action: str = "dynamodb:GetItem",
    resource: str = TABLE,
    **context: Any,
) -> bool:
    return is_allowed(Request(principal, action, resource, ACCOUNT, context), resource_policy)


def test_a_request_is_denied_unless_a_policy_allows_it() -> None:
    assert not allowed(role())
    assert allowed(role(statement()))
    assert not allowed(role(statement(action="dynamodb:PutItem")))
    assert not allowed(role(statement(resource=f"{TABLE}s")))


def test_an_explicit_deny_outweighs_every_allow() -> None:
    assert not allowed(role(statement(), statement("Deny")))
    assert not allowed(role(statement()), policy(statement("Deny", Principal="*")))
    assert not allowed(role(statement("Deny")), policy(statement(Principal={"AWS": ROLE})))


def test_in_one_account_either_policy_may_allow_but_a_named_account_only_leaves_it_to_the_identity_policy() -> None:
    assert allowed(role(), policy(statement(Principal={"AWS": ROLE})))
    account = policy(statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    assert not allowed(role(), account)
    assert allowed(role(statement()), account)


def test_another_account_needs_both_policies_and_the_unknown_needs_the_resources() -> None:
    stranger = f"arn:aws:iam::{OTHER}:role/stranger"
    shared = policy(statement(Principal={"AWS": stranger}))
    assert not allowed(role(statement(), arn=stranger))
    assert not allowed(role(arn=stranger), shared)
    assert allowed(role(statement(), arn=stranger), shared)
    assert allowed(Principal(), policy(statement(Principal="*")))
    assert not allowed(Principal(), shared)


def test_a_service_is_named_by_its_name() -> None:
    service = Principal(service="events.amazonaws.com")
    assert allowed(service, policy(statement(Principal={"Service": "events.amazonaws.com"})))
    assert not allowed(service, policy(statement(Principal={"Service": "lambda.amazonaws.com"})))
    assert not allowed(service)


def test_a_key_and_a_role_need_a_statement_of_their_own_policy() -> None:
    everything = role(statement())
    assert not allowed(everything, action="kms:Sign", resource=KEY)
    account = policy(statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}))
    assert allowed(everything, account, action="kms:Sign", resource=KEY)
    assert not allowed(role(), account, action="kms:Sign", resource=KEY)
    trust = policy({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"})
    assert not allowed(everything, trust, action="sts:AssumeRole", resource=ROLE)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"Action": "DynamoDB:getitem"}, True),
        ({"Action": "dynamodb:Get*"}, True),
        ({"Action": "dynamodb:GetIte?"}, True),
        ({"Action": "dynamodb:GetIt?"}, False),
        ({"Action": ["s3:*", "dynamodb:*Item"]}, True),
        ({"NotAction": "dynamodb:Get*"}, False),
        ({"NotAction": "s3:*"}, True),
        ({"Action": "*", "NotResource": TABLE}, False),
        ({"Action": "*", "NotResource": f"{TABLE}/index/*"}, True),
    ],
)
def test_actions_have_wildcards_and_no_case_and_not_is_the_opposite(more: dict[str, Any], expected: bool) -> None:
    element = {} if "NotResource" in more else {"Resource": "*"}
    assert allowed(role({"Effect": "Allow", **element, **more})) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("*", TABLE, True),
        (TABLE, f"{TABLE}/index/by_user", False),
        (f"{TABLE}*", f"{TABLE}/index/by_user", True),
        (f"arn:aws:dynamodb:*:{ACCOUNT}:table/books", TABLE, True),
        ("arn:aws:dynamodb:*:table/books", TABLE, False),
        ("arn:aws:s3:::books/*", "arn:aws:s3:::books/a/b:c", True),
        ("arn:aws:s3:::books/*", "arn:aws:s3:::books", False),
        (TABLE.upper(), TABLE, False),
    ],
)
def test_a_wildcard_of_an_arn_stays_in_its_part(pattern: str, value: str, expected: bool) -> None:
    assert matches_arn(pattern, value) is expected


@pytest.mark.parametrize(
    ("operator", "expected", "present", "absent"),
    [
        ("StringEquals", ["a", "b"], {"a": True, "c": False}, False),
        ("StringEqualsIgnoreCase", ["a"], {"A": True, "b": False}, False),
        ("StringEqualsIfExists", ["a"], {"a": True, "c": False}, True),
        ("StringNotEquals", ["a", "b"], {"a": False, "b": False, "c": True}, True),
        ("StringNotEqualsIfExists", ["a"], {"a": False, "c": True}, True),
        ("StringLike", ["a*"], {"abc": True, "ba": False}, False),
        ("StringNotLike", ["a*"], {"abc": False, "ba": True}, True),
        ("ArnEquals", [f"{ROLE}*"], {f"{ROLE}-2": True, f"arn:aws:iam::{OTHER}:role/clerk": False}, False),
        ("ArnNotEquals", [ROLE], {ROLE: False, f"arn:aws:iam::{ACCOUNT}:root": True}, True),
        ("ArnNotLike", [ROLE, f"{ROLE}-*"], {f"{ROLE}-2": False, f"{ROLE}s": True}, True),
        ("Bool", ["false"], {"false": True, "true": False}, False),
        ("BoolIfExists", ["false"], {"true": False}, True),
        ("Null", ["true"], {"a": False}, True),
        ("Null", ["false"], {"a": True}, False),
        ("ForAllValues:StringEquals", ["a"], {"a": True, "b": False}, True),
        ("ForAnyValue:StringEquals", ["a"], {"a": True, "b": False}, False),
    ],
)
def test_a_condition_compares_a_key_that_is_present_or_absent(
    operator: str, expected: list[str], present: dict[str, bool], absent: bool
) -> None:
    for value, holding in present.items():
        assert holds(operator, "aws:Key", expected, {"aws:key": value}) is holding
    assert holds(operator, "aws:Key", expected, {}) is absent


def test_all_operators_and_all_keys_of_a_condition_must_hold_and_names_of_keys_have_no_case() -> None:
    both = {"StringEquals": {"aws:A": "1", "aws:B": "2"}, "Bool": {"aws:SecureTransport": "true"}}
    principal = role(statement(Condition=both))
    assert allowed(principal, **{"AWS:a": "1", "aws:B": "2", "aws:SecureTransport": "true"})
    assert not allowed(principal, **{"aws:A": "1", "aws:B": "3", "aws:SecureTransport": "true"})
    assert not allowed(principal, **{"aws:A": "1", "aws:B": "2"})


def test_leading_keys_limit_a_role_to_its_partitions() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html."""
    own = role(statement(Condition={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ada"]}}))
    assert allowed(own, **{"dynamodb:LeadingKeys": ["ada", "ada"]})
    assert not allowed(own, **{"dynamodb:LeadingKeys": ["ada", "bob"]})
    assert allowed(own), "a request without keys, such as a scan, passes ForAllValues"


def test_every_signed_request_has_the_arn_of_its_principal() -> None:
    others = policy(
        statement(Principal="*"),
        statement("Deny", Principal="*", Condition={"ArnNotEquals": {"aws:PrincipalArn": ROLE}}),
    )
    assert allowed(role(statement()), others)
    assert not allowed(role(statement(), arn=f"{ROLE}-2"), others)
    assert not allowed(Principal(), others)


@pytest.mark.parametrize(
    "unknown",
    [
        {"Condition": {"DateGreaterThan": {"aws:CurrentTime": "2026-01-01"}}},
        {"Condition": {"ForSome:StringEquals": {"aws:A": "1"}}},
        {"Resource": "arn:aws:s3:::books/${aws:username}"},
        {"NotPrincipal": "*"},
    ],
)
def test_an_unknown_element_or_operator_is_refused(unknown: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        allowed(role({**statement(), **unknown}))
    with pytest.raises(NotImplementedError):
        holds("StringEquals", "aws:A", ["1"], {"aws:a": ["1", "2"]})


def test_the_root_user_can_always_repair_the_policy_of_a_table_and_nothing_else_that_it_denies() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteResourcePolicy.html."""
    closed = policy(statement("Deny", Principal="*"))
    user = role(statement(), arn=f"arn:aws:iam::{ACCOUNT}:root")
    assert allowed(user, closed, action="dynamodb:DeleteResourcePolicy")
    assert not allowed(user, closed, action="dynamodb:DeleteTable")
    assert not allowed(role(statement()), closed, action="dynamodb:DeleteResourcePolicy")
