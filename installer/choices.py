"""Parameters of the templates that a person chooses with ``--set NAME=VALUE`` or in the file of answers.

The state has them, and so have the deployed stacks. A run without the state takes them from there, so that a second
person's run does not undo the choices of the first. docs/setup.md says which to choose when.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from installer.run import Run
from installer.world import Stop
from local import build, deploy, table_names
from local.change_set import Template
from tuition.core import catalog
from tuition.core.plan_rules import PlanRules

API, PAGES = "template.yaml", "web.yaml"
COMPUTED = {
    "Environment": "environment",
    "DeletionProtection": "keep",
    "FirstDeployment": "keep",
    "StripePublishableKey": "publishable_key",
    "StripeLivemode": "environment",
    "HostedUiDomainPrefix": "sign_in_prefix",
    "SignInSender": "sign_in_sender",
    "SignInSenderArn": "sign_in_sender",
    "SchoolName": "school_name",
    "SupportContact": "support_contact",
    "TermsVersion": "terms_version",
    "TermsUrl": "terms_url",
    "PrivacyUrl": "privacy_url",
    "EmailReplyTo": "reply_to",
    "SchoolTimeZone": "time_zone",
    "ConsumerRegion": "consumer_region",
    "StaffEmails": "staff_emails",
    "AlarmTopicArn": "alert_email",
    "BreakGlassRoleArn": "keep",
    "StripeApiBase": "--stripe-api-base",
    "ApiDomain": "ApiDomainName",
    "Domain": "domain",
    "CertificateArn": "certificate_arn",
    "SignInOrigin": "sign_in_prefix",
    "CspReportUri": "domain",
}
"""The parameters that the installer sets itself, and the answer that decides each."""

DERIVED = frozenset({"Architecture", "StackId", "WebOrigin", "CallbackUrls"})
"""The parameters that the installer sets unless they are chosen."""


@cache
def declared(template: str) -> Mapping[str, Template]:
    """Return the parameters of a template by name, with those for restored tables."""
    source = deploy.read_template(build.ROOT / template)
    parameters: dict[str, Template] = (table_names.add(source) if template == API else source)["Parameters"]
    return parameters


@cache
def _rules() -> Mapping[str, Template]:
    source = table_names.add(deploy.read_template(build.ROOT / API))
    return {"Rules": source["Rules"], "Conditions": source["Conditions"]}


def open_names() -> list[str]:
    """Return the names of the parameters that a person may choose."""
    return sorted((declared(API).keys() | declared(PAGES).keys()) - COMPUTED.keys())


def check(choices: Mapping[str, str]) -> dict[str, str]:
    """Return the choices. Raises `Stop` for an unknown name or a value that the template refuses.

    An empty value means the template's default.
    """
    for name, value in choices.items():
        if name in COMPUTED:
            raise Stop(f"The installer sets the parameter {name} itself. Change {COMPUTED[name]} instead.")
        if name not in open_names():
            close = difflib.get_close_matches(name, open_names(), 3)
            hint = f"Did you mean {' or '.join(close)}?" if close else f"The parameters: {', '.join(open_names())}."
            raise Stop(f"No template has the parameter {name}. {hint}")
        rule = declared(API).get(name) or declared(PAGES)[name]
        if value and (problem := _problem(value, rule)):
            raise Stop(f"{name} is {value!r}, and it must {problem}. {rule['Description']}")
    return dict(choices)


def _problem(value: str, rule: Template) -> str | None:
    """Return what a value must do to be accepted by the declaration of a parameter; None if it is accepted."""
    if (allowed := rule.get("AllowedValues")) and value not in map(str, allowed):
        return f"be one of {', '.join(map(str, allowed))}"
    if (pattern := rule.get("AllowedPattern")) and not re.fullmatch(pattern, value):
        return f"match {pattern}"
    if rule["Type"] == "Number":
        if not re.fullmatch(r"\d+", value):
            return "be a whole number"
        if int(value) < int(rule.get("MinValue", 0)):
            return f"be at least {rule['MinValue']}"
        if "MaxValue" in rule and int(value) > int(rule["MaxValue"]):
            return f"be at most {rule['MaxValue']}"
    return None


def of(run: Run, template: str, stack: str) -> dict[str, str]:
    """Return the chosen parameters of a template: of this run and earlier ones, and those of the deployed stack."""
    rules = declared(template)
    chosen = {name: value for name, value in run.state.get("parameters", {}).items() if name in rules}
    resolved = {name: value or str(rules[name].get("Default", "")) for name, value in chosen.items()}
    return {**_deployed(run, template, stack), **resolved}


def _deployed(run: Run, template: str, stack: str) -> dict[str, str]:
    """Return the parameters of a deployed stack that differ from the defaults of its own template."""
    if stack not in run.facts:
        return {}
    key = f"{stack} chosen"
    if key not in run.facts:
        body = run.world.client("cloudformation").get_template(StackName=stack)["TemplateBody"]
        theirs = (json.loads(body) if isinstance(body, str) else body).get("Parameters", {})
        run.facts[key] = {
            name: value
            for name, value in run.facts[stack].parameters.items()
            if name in theirs and value != str(theirs[name].get("Default", ""))
        }
    names = declared(template).keys() - COMPUTED.keys() - DERIVED
    return {name: value for name, value in run.facts[key].items() if name in names}


def broken_rules(parameters: Mapping[str, str]) -> Sequence[str]:
    """Return what template.yaml requires and these parameters lack. CloudFormation would refuse them one by one."""
    defaults = {name: rule.get("Default", "") for name, rule in declared(API).items()}
    values: dict[str, Any] = {**defaults, **parameters}

    def holds(rule: Any) -> bool:
        return deploy.is_true(rule, _rules()["Conditions"], values)

    broken = [
        assertion["AssertDescription"]
        for rule in _rules()["Rules"].values()
        if "RuleCondition" not in rule or holds(rule["RuleCondition"])
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"])
    ]
    return [*broken, *_broken_plan_rules(values)]


def _broken_plan_rules(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the rules of plans lack. A template cannot compare numbers, so the check of a release would fail."""
    rules = PlanRules(
        grace_days=int(values["PlanGraceDays"]),
        retry_days=tuple(map(int, values["PlanRetryDays"].split(","))),
        give_up_days=int(values["PlanGiveUpDays"]),
        notice_days=int(values["PlanNoticeDays"]),
    )
    if problem := catalog.problem_with(rules):
        name = f"Plan{problem.rule.title().replace('_', '')}"
        yield f"{name} is {values[name]}, and it {problem.text}."
