"""The questions of the installer: their defaults, and which answers are valid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from installer.state import State
from installer.world import Stop, World

ATTEMPTS = 5
"""Invalid answers to one question before the run stops."""
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
MAX_STAFF_EMAILS = 20
RESERVED_IN_PREFIX = ("aws", "amazon", "cognito")

Answers = dict[str, str]
Check = Callable[[str, Mapping[str, str]], str | None]
"""Returns what is wrong with an answer, given the answers before it; None if it is valid."""


@dataclass(frozen=True)
class Question:
    """One question. ``default`` computes the suggested answer from the answers before it; None has no suggestion."""

    name: str
    text: str
    check: Check
    default: Callable[[Mapping[str, str]], str | None] = lambda _: None
    secret: bool = False


def is_production(answers: Mapping[str, str]) -> bool:
    """Return whether the environment is production, which uses Stripe's live mode."""
    return answers.get("environment") == "production"


def mode(answers: Mapping[str, str]) -> str:
    """Return the mode of Stripe that the environment uses: `live` in production, `test` in every other."""
    return "live" if is_production(answers) else "test"


def _pattern(pattern: str, what: str) -> Check:
    return lambda value, _: None if re.fullmatch(pattern, value) else what


def _region(value: str, _: Mapping[str, str]) -> str | None:
    return None if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", value) else "a region looks like eu-central-1"


def _keep(value: str, answers: Mapping[str, str]) -> str | None:
    if value not in ("yes", "no"):
        return "answer yes or no"
    return "production is always kept: answer yes" if value == "no" and is_production(answers) else None


def _domain(value: str, answers: Mapping[str, str]) -> str | None:
    if answers.get("JwtIssuer"):
        return "our pages sign in with Cognito only: with JwtIssuer, answer an empty text" if value else None
    if not value:
        return "production needs a domain for its pages" if is_production(answers) else None
    return None if DOMAIN.fullmatch(value) else "a domain looks like learn.example.org, without https:// and path"


def _certificate(value: str, _: Mapping[str, str]) -> str | None:
    if not value or re.fullmatch(r"arn:aws[a-z-]*:acm:us-east-1:\d{12}:certificate/.+", value):
        return None
    return "CloudFront needs a certificate of us-east-1: arn:aws:acm:us-east-1:…; leave it empty to request one"


def _prefix(value: str, _: Mapping[str, str]) -> str | None:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value):
        return "use 1 to 63 lower-case letters, digits and hyphens, without a hyphen at either end"
    taken = [word for word in RESERVED_IN_PREFIX if word in value]
    return f"Cognito refuses a prefix that contains {taken[0]}" if taken else None


def _sender(value: str, answers: Mapping[str, str]) -> str | None:
    if not value:
        is_needed = is_production(answers) and not answers.get("JwtIssuer")
        return "production needs a sender, because Cognito's own stops after 50 emails per day" if is_needed else None
    is_address = EMAIL.fullmatch(address_of(value)) and value.isascii() and value.isprintable()
    return None if is_address else "use an address, or a name with one, such as School <no-reply@example.org>"


def address_of(sender: str) -> str:
    """Return the address in a From header."""
    return parseaddr(sender)[1]


def is_parameter(name: str) -> bool:
    """Return whether a name is written as a template's parameter: questions begin with a small letter."""
    return name[:1].isupper()


def _email(value: str, _: Mapping[str, str]) -> str | None:
    return None if EMAIL.fullmatch(value) else "this is not an email address"


def _optional_email(value: str, answers: Mapping[str, str]) -> str | None:
    return _email(value, answers) if value else None


def _https_url(value: str, _: Mapping[str, str]) -> str | None:
    is_url = not value or re.fullmatch(r"https://[^\s]+", value)
    return None if is_url else "use an address that begins with https://"


def _terms_url(value: str, answers: Mapping[str, str]) -> str | None:
    """Check that terms have both a version and an address: students can only agree to what they can read."""
    if bool(value) != bool(answers["terms_version"]):
        return "answer both terms_version and terms_url, or leave both empty"
    return _https_url(value, answers)


def _emails(value: str, answers: Mapping[str, str]) -> str | None:
    addresses = [address.strip() for address in value.split(",")] if value else []
    if len(addresses) > MAX_STAFF_EMAILS:
        return f"use at most {MAX_STAFF_EMAILS} addresses"
    problems = (_email(address, answers) for address in addresses)
    return next((problem for problem in problems if problem), None)


@cache
def _zones() -> set[str]:
    """Return the time zones of this machine. Finding them reads a folder of hundreds of files."""
    return available_timezones()


def _time_zone(value: str, _: Mapping[str, str]) -> str | None:
    """Check a name against this machine's time zones, if it has any."""
    zones = _zones()
    is_known = value in zones if zones else re.fullmatch(r"[A-Za-z][\w+-]*(/[\w+-]+)*", value)
    return None if is_known else "use a name of the IANA database, such as Europe/Berlin"


def _amount(value: str, _: Mapping[str, str]) -> str | None:
    return None if re.fullmatch(r"[1-9]\d{0,5}", value) else "use whole US dollars from 1 to 999999"


def key_problem(value: str, answers: Mapping[str, str], kinds: tuple[str, ...]) -> str | None:
    """Return what is wrong with a key of Stripe's for this environment: its kind, or its mode."""
    match = re.fullmatch(r"(pk|sk|rk)_(test|live)_[A-Za-z0-9_]{4,}", value)
    if match is None or match[1] not in kinds:
        return "this key must begin with " + " or ".join(f"{kind}_{mode(answers)}_" for kind in kinds)
    if match[2] != mode(answers):
        environment = answers.get("environment")
        return f"this is a key of Stripe's {match[2]} mode, and the environment {environment} uses {mode(answers)} mode"
    return None


QUESTIONS = (
    Question(
        "environment",
        "Name of the environment (production uses Stripe's live mode, any other name its test mode)",
        _pattern(
            r"[a-z][a-z0-9-]{0,19}", "use up to 20 lower-case letters, digits and hyphens, and begin with a letter"
        ),
        lambda _: "test",
    ),
    Question(
        "stack_name",
        "Name of the CloudFormation stack",
        _pattern(r"[A-Za-z][A-Za-z0-9-]{0,99}", "use up to 100 letters, digits and hyphens, and begin with a letter"),
        lambda answers: "tuition" if is_production(answers) else f"tuition-{answers['environment']}",
    ),
    Question("region", "AWS region", _region, lambda _: "eu-central-1"),
    Question(
        "keep",
        "Is this environment kept? yes turns deletion protection on; no allows --remove",
        _keep,
        lambda answers: "yes" if is_production(answers) else "no",
    ),
    Question("domain", "Domain of the pages, such as learn.example.org (empty: no pages yet)", _domain, lambda _: ""),
    Question(
        "certificate_arn",
        "ARN of the domain's certificate (empty: the installer requests one)",
        _certificate,
        lambda _: "",
    ),
    Question(
        "sign_in_prefix",
        "Prefix of the sign-in page's domain, unique in the region",
        _prefix,
        lambda a: a["stack_name"].lower(),
    ),
    Question(
        "sign_in_sender",
        "Sender of the sign-in emails, whose address or domain Amazon SES has verified (empty: Cognito's own)",
        _sender,
        lambda answers: f"no-reply@{answers['domain']}" if is_production(answers) and answers["domain"] else "",
    ),
    Question(
        "school_name",
        "Name of the school, as its emails to students show it",
        _pattern(r"[^\x00-\x1f]{1,60}", "use 1 to 60 characters"),
        lambda answers: parseaddr(answers["sign_in_sender"])[0] or "Tuition",
    ),
    Question(
        "support_contact",
        "Where students get help, such as an email address (empty: emails and pages name none)",
        _pattern(r"[^\x00-\x1f]{0,200}", "use up to 200 characters"),
        lambda answers: answers.get("SupportContact", ""),
    ),
    Question(
        "terms_version",
        "Version of the terms that students agree to before they pay, such as 2026-11 (empty: none)",
        _pattern(r"[A-Za-z0-9._-]{0,40}", "use up to 40 letters, digits, dots, hyphens and underscores"),
        lambda answers: answers.get("TermsVersion", ""),
    ),
    Question(
        "terms_url",
        "Address of these terms (empty: none)",
        _terms_url,
        lambda answers: answers.get("TermsUrl", ""),
    ),
    Question(
        "privacy_url",
        "Address of the school's privacy policy (empty: the pages name none)",
        _https_url,
        lambda answers: answers.get("PrivacyUrl", ""),
    ),
    Question(
        "reply_to",
        "Email address to which students answer an email (empty: the sender's)",
        _optional_email,
        lambda answers: answers.get("EmailReplyTo", ""),
    ),
    Question(
        "time_zone",
        "Time zone of the times in emails, such as Europe/Berlin",
        _time_zone,
        lambda answers: answers.get("SchoolTimeZone", "UTC"),
    ),
    Question(
        "consumer_region",
        "Whose consumer law counts: US, or EU with the right to withdraw from the contract (RefundWindowDays >= 14)",
        _pattern("US|EU", "answer US or EU"),
        lambda answers: answers.get("ConsumerRegion", "US"),
    ),
    Question("alert_email", "Email address for alarms and the budget", _email),
    Question(
        "staff_emails",
        "Email addresses of staff for disputes and a daily digest, separated by commas (empty: none)",
        _emails,
        lambda answers: answers.get("StaffEmails", answers["alert_email"]),
    ),
    Question(
        "budget", "Monthly budget of the account in US dollars, above which you get an email", _amount, lambda _: "50"
    ),
    Question("admin_email", "Email address of the first administrator", _email, lambda answers: answers["alert_email"]),
    Question(
        "publishable_key",
        "Stripe's publishable key (pk_…)",
        lambda value, answers: key_problem(value, answers, ("pk",)),
    ),
)
SECRET_KEY = Question(
    "secret_key",
    "Stripe's restricted key (rk_…; the permissions stand above)",
    lambda value, answers: key_problem(value, answers, ("rk", "sk")),
    secret=True,
)
NEW_KEY = Question(
    "new_key",
    "The new restricted key of Stripe's (rk_…; the permissions stand above)",
    lambda value, answers: key_problem(value, answers, ("rk", "sk")),
    secret=True,
)
WEBHOOK_KEY = Question(
    "webhook_key",
    "A key of Stripe's that may write webhook endpoints (used once, not stored)",
    lambda value, answers: key_problem(value, answers, ("sk", "rk")),
    secret=True,
)
SECRETS = {question.name: question for question in (SECRET_KEY, WEBHOOK_KEY, NEW_KEY)}
FIXED = ("environment", "stack_name", "region", "keep")
"""Answers that cannot change after the first deployment: objects at Stripe and the stack's tables depend on them."""


def read_answers(file: Path) -> Answers:
    """Read a file of answers: a JSON object of strings. Raises `Stop` for anything else."""
    try:
        values: Any = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Stop(f"The answers {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise Stop(f"The answers {file} are not JSON: {error}.") from error
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise Stop(f'The answers {file} must be one JSON object of texts, such as {{"environment": "test"}}.')
    return known_names(values, str(file))


def known_names(values: Answers, source: str) -> Answers:
    """Return the answers. Raises `Stop` for a name that is no question's and not written as a parameter's."""
    names = {question.name for question in QUESTIONS} | set(SECRETS)
    if unknown := sorted(name for name in set(values) - names if not is_parameter(name)):
        raise Stop(
            f"{source} answers {', '.join(unknown)}, which are no questions. "
            f"The questions: {', '.join(sorted(names))}. "
            "A parameter of the template begins with a capital letter, as it is written there."
        )
    return values


class Interview:
    """Takes each answer from where it is given first: flags and files, the state, the person.

    An invalid answer of a file stops the run, so that a script never continues with another answer than its own.
    """

    def __init__(
        self,
        world: World,
        state: State,
        explicit: Mapping[str, str],
        *,
        use_defaults: bool,
        parameters: Mapping[str, str] | None = None,
    ) -> None:
        self.world = world
        self.state = state
        self.explicit = dict(explicit)
        self.use_defaults = use_defaults
        self.parameters = parameters or {}

    def answers(self) -> Answers:
        """Return the answers to all questions, and keep them in the state."""
        answers: Answers = {}
        kept = self.state.get("answers", {})
        deployed = bool(self.state.get("deployed"))
        for question in QUESTIONS:
            answers[question.name] = self._answer(question, {**self.parameters, **answers}, kept, deployed)
        self.state.put("answers", answers)
        return answers

    def first(self) -> str:
        """Ask for the environment, which says where the state is."""
        return self._ask(QUESTIONS[0], {})

    def _answer(self, question: Question, answers: Answers, kept: Mapping[str, str], deployed: bool) -> str:
        name = question.name
        if name in self.explicit:
            value = self.explicit[name]
            if deployed and name in FIXED and kept.get(name, value) != value:
                raise Stop(f"{name} is {kept[name]} and cannot become {value}: payments and tables depend on it.")
        elif name in kept:
            value = kept[name]
        else:
            return self._ask(question, answers)
        if problem := question.check(value, answers):
            raise Stop(f"{name} is {value!r}: {problem}.")
        return value

    def secret(self, question: Question, answers: Mapping[str, str]) -> str:
        """Return a secret. It is kept in memory only."""
        value = self.explicit.get(question.name)
        if value is None:
            self.explicit[question.name] = value = self._ask(question, answers)
        if problem := question.check(value, answers):
            raise Stop(f"{question.name}: {problem}.")
        return value

    def _ask(self, question: Question, answers: Mapping[str, str]) -> str:
        default = question.default(answers)
        if self.use_defaults and default is not None and question.check(default, answers) is None:
            return default
        suggestion = f" [{default}]" if default is not None else ""
        for _ in range(ATTEMPTS):
            value = self.world.ask(f"{question.text}{suggestion}: ", secret=question.secret) or (default or "")
            problem = question.check(value, answers)
            if problem is None:
                return value
            self.world.say(f"  {problem}.")
        raise Stop(f"{question.name} has no valid answer after {ATTEMPTS} attempts. Run this again.")
