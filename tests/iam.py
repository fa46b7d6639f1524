"""Decide whether a request is allowed, as AWS documents it, by the policies of its principal and of its resource.

It knows what this project's policies use. Anything else raises `NotImplementedError`, so that no policy is judged by
accident. MiniStack evaluates neither resource policies nor `dynamodb:EnclosingOperation`, and no library on PyPI does
either. In November 2026, 2,900 requests of `tests/template/test_policies.py` were also judged by the npm package
@cloud-copilot/iam-simulate 0.1.173, which is AGPL and therefore no part of this project. Two differed: it does not know
that the root user may always change a table's policy. Sources:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html,
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_DeleteResourcePolicy.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Statement = Mapping[str, Any]
Policy = Mapping[str, Any]
Context = Mapping[str, Any]
"""The keys of a request with their values. A key that is absent is not in it. A list is a key with several values."""
ONLY_BY_RESOURCE_POLICY = ("kms", "sts")
"""Services whose resource policy must allow a request, also in the same account: keys, and the trust of a role."""
ARN_PARTS = 6
ROOT_MAY_ALWAYS = ("dynamodb:GetResourcePolicy", "dynamodb:PutResourcePolicy", "dynamodb:DeleteResourcePolicy")
"""The calls that a table's policy cannot deny to the root user of the account, to prevent a lockout."""
KNOWN_ELEMENTS = {"Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "NotResource", "Condition"}


@dataclass(frozen=True)
class Principal:
    """The sender of a request: a role or a user with its identity policies, a service of AWS, or an unknown one."""

    arn: str | None = None
    policies: tuple[Policy, ...] = ()
    service: str | None = None

    @property
    def account(self) -> str | None:
        """The account of a role or user."""
        return self.arn.split(":")[4] if self.arn else None


@dataclass(frozen=True)
class Request:
    """A request: who, what, on which resource of which account, and the keys of its context."""

    principal: Principal
    action: str
    resource: str
    account: str
    context: Context = field(default_factory=dict)

    @property
    def keys(self) -> Context:
        """The context by lower-case names, with the principal's ARN, which every signed request has."""
        keys = {name.lower(): value for name, value in self.context.items()}
        return keys if self.principal.arn is None else {"aws:principalarn": self.principal.arn, **keys}


def is_allowed(request: Request, resource_policy: Policy | None = None) -> bool:
    """Whether the policies allow the request. An explicit deny outweighs every allow; without an allow it is denied."""
    if request.principal.arn == root(request.account) and request.action in ROOT_MAY_ALWAYS:
        return True
    identity = [s for policy in request.principal.policies for s in policy["Statement"] if applies(s, request)]
    statements = (resource_policy or {"Statement": []})["Statement"]
    by_resource = [s for s in statements if applies(s, request) and names_principal(s, request.principal)]
    if any(s["Effect"] == "Deny" for s in (*identity, *by_resource)):
        return False
    if request.principal.account != request.account:  # another account, a service, or an unknown sender
        return bool(by_resource) and (bool(identity) or request.principal.arn is None)
    if any(names_principal(s, request.principal, by_account=False) for s in by_resource):
        return True
    needs_resource_policy = request.action.partition(":")[0] in ONLY_BY_RESOURCE_POLICY
    return bool(identity) and (bool(by_resource) or not needs_resource_policy)


def root(account: str) -> str:
    """Return the ARN with which a policy names an account."""
    return f"arn:aws:iam::{account}:root"


def names_principal(statement: Statement, principal: Principal, *, by_account: bool = True) -> bool:
    """Whether a statement of a resource policy is about this principal.

    One that names the account, which counts only if `by_account`, leaves the decision to identity policies.
    """
    principals = statement["Principal"]
    if principals in ("*", {"AWS": "*"}):
        return True
    if set(principals) - {"AWS", "Service"}:
        raise NotImplementedError(f"principal {principals}")
    names = {principal.arn}
    if by_account and principal.account:
        names.add(root(principal.account))
    return bool(names & set(many(principals.get("AWS", ())))) or principal.service in many(
        principals.get("Service", ())
    )


def applies(statement: Statement, request: Request) -> bool:
    """Whether a statement's action, resource and condition fit the request. Trust policies name no resource."""
    if unknown := set(statement) - KNOWN_ELEMENTS:
        raise NotImplementedError(f"elements {unknown}")
    return (
        _fits(statement, "Action", request.action.lower(), matches_action)
        and concerns(statement, request.resource)
        and all(
            holds(operator, name, many(values), request.keys)
            for operator, block in statement.get("Condition", {}).items()
            for name, values in block.items()
        )
    )


def concerns(statement: Statement, resource: str) -> bool:
    """Whether a statement is about a resource, whatever its actions and conditions."""
    return _fits(statement, "Resource", resource, matches_arn)


def _fits(statement: Statement, element: str, value: str, matches: Any) -> bool:
    patterns = statement.get(element)
    if isinstance(patterns, str):
        return bool(matches(patterns, value))
    if patterns is not None:
        return any(matches(pattern, value) for pattern in patterns)
    if f"Not{element}" in statement:
        return not any(matches(pattern, value) for pattern in many(statement[f"Not{element}"]))
    return element == "Resource"


def many(value: Any) -> Iterable[Any]:
    """Return the values of an element that may be one value or a list."""
    return value if isinstance(value, list | tuple) else (value,)


# --- wildcards ---


@cache
def _pattern(text: str) -> re.Pattern[str]:
    if "${" in text:
        raise NotImplementedError(f"variable in {text}")
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in text), re.DOTALL)


def matches_text(pattern: str, value: str) -> bool:
    """Whether a value fits a pattern with `*` and `?`."""
    return _pattern(pattern).fullmatch(value) is not None


@cache
def matches_action(pattern: str, value: str) -> bool:
    """Whether an action in lower case fits a pattern. Actions have no case."""
    return matches_text(pattern.lower(), value)


@cache
def matches_arn(pattern: str, value: str) -> bool:
    """Whether an ARN fits a pattern. A wildcard stays inside one of the six parts, except for `*` alone."""
    if pattern == "*":
        return True
    if "${" in pattern:
        raise NotImplementedError(f"variable in {pattern}")
    expected, actual = pattern.split(":", 5), value.split(":", 5)
    return len(expected) == len(actual) == ARN_PARTS and all(map(matches_text, expected, actual))


# --- conditions ---

_OPERATORS = {
    "StringEquals": lambda expected, actual: expected == actual,
    "StringEqualsIgnoreCase": lambda expected, actual: expected.lower() == actual.lower(),
    "StringLike": matches_text,
    "ArnEquals": matches_arn,
    "ArnLike": matches_arn,
    "Bool": lambda expected, actual: expected.lower() == actual.lower(),
}
_NEGATED = {name.replace("Equals", "NotEquals").replace("Like", "NotLike"): name for name in _OPERATORS}
_SETS = {"ForAllValues": all, "ForAnyValue": any}


def holds(operator: str, name: str, expected: Iterable[str], keys: Context) -> bool:
    """Whether one line of a condition holds. A list of expected values is "one of", in a negated operator "none of".

    If the key is absent, an operator does not hold, but a negated one does, and so does one with `IfExists`.
    """
    actual = keys.get(name.lower())
    if operator == "Null":
        return all((actual is None) == (str(value).lower() == "true") for value in expected)
    quantifier, _, plain = operator.rpartition(":")
    is_optional, plain = plain.endswith("IfExists"), plain.removesuffix("IfExists")
    is_negated, compare = plain in _NEGATED and plain not in _OPERATORS, _NEGATED.get(plain, plain)
    if compare not in _OPERATORS or (quantifier and quantifier not in _SETS):
        raise NotImplementedError(f"operator {operator}")

    def fits(value: str) -> bool:
        return any(_OPERATORS[compare](one, value) for one in expected) != is_negated

    if quantifier:  # ForAllValues holds for no value at all, ForAnyValue does not
        return (is_optional and actual is None) or _SETS[quantifier](map(fits, many(actual or ())))
    if actual is None:
        return is_negated or is_optional
    if not isinstance(actual, str):
        raise NotImplementedError(f"several values of {name} without ForAllValues or ForAnyValue")
    return fits(actual)
