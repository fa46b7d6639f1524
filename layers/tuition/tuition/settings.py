"""Configuration: the environment variables, parsed once, and the secrets, read on first use and then cached."""

import gc
import json
import os
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tuition import aws_client
from tuition.cache import Cache
from tuition.core import timestamps
from tuition.core.errors import NotConfigured
from tuition.core.plan_rules import PlanRules

SECRET_MAX_AGE_S = 300
SECRET_REREAD_S = 10
"""The time between two early reads of the signing secrets: anybody can send a signature that no secret made."""
CONSUMER_REGIONS = ("US", "EU")
EU_WITHDRAWAL_DAYS = 14
"""The shortest period for a withdrawal from a contract in the EU.

Source: https://eur-lex.europa.eu/eli/dir/2011/83/oj, Article 9(1)
"""
GARBAGE_THRESHOLD = 200_000
"""How many objects Python creates before it looks for unreachable ones.

With its default of 2,000 it looks 30 to 40 times during INIT, and finds next to none. INIT creates about 100,000.
"""
gc.set_threshold(GARBAGE_THRESHOLD)


@dataclass(frozen=True, eq=False, repr=False)
class Settings:
    """One field per environment variable of the same name in upper case; the template says what each is for.

    `docs/setup.md` explains them to operators. Lists are separated by commas. Nothing compares or prints settings, so
    INIT need not create the functions for that.
    """

    tuition_environment: str = "local"
    stack_id: str = ""
    stripe_livemode: bool = False
    stripe_api_base: str = "https://api.stripe.com"
    stripe_publishable_key: str = ""
    stripe_secret_arn: str = ""
    stripe_key_group: str = "default"
    stripe_webhook_secret_arn: str = ""
    webhook_version: str = ""
    payment_method_types: tuple[str, ...] = ("card", "us_bank_account")
    consumer_region: str = "US"
    plan_regions: tuple[str, ...] = ("US",)
    plan_grace_days: int = PlanRules().grace_days
    plan_retry_days: tuple[int, ...] = PlanRules().retry_days
    plan_give_up_days: int = PlanRules().give_up_days
    plan_notice_days: int = PlanRules().notice_days
    refund_window_days: int = 14
    support_contact: str = ""
    terms_version: str = ""
    terms_url: str = ""
    privacy_url: str = ""
    school_name: str = "Tuition"
    school_time_zone: str = "UTC"
    analytics_queue_url: str = ""
    email_sender: str = ""
    email_reply_to: str = ""
    email_language: str = "en"
    email_configuration_set: str = ""
    staff_emails: tuple[str, ...] = ()
    declines_per_hour: int = 10
    declines_per_day: int = 20
    payments_per_hour: int = 10
    refused_codes_per_ten_minutes: int = 5
    stripe_requests_burst: int = 60
    stripe_requests_per_minute: int = 60
    allowed_origins: tuple[str, ...] = ()
    claim_user_id: str = "sub"
    claim_email: str = "email"
    claim_email_verified: str = "email_verified"
    claim_groups: str = "cognito:groups"
    jwt_issuer: str = ""
    user_pool_id: str = ""
    token_minutes: int = 60
    admin_group: str = "admin"
    support_group: str = "support"
    staff_mfa_claim: str = ""
    staff_mfa_value: str = ""
    payments_table: str = "payments"
    stripe_objects_table: str = "stripe_objects"
    customers_table: str = "customers"
    enrollments_table: str = "enrollments"
    audit_table: str = "audit"
    quarantine_table: str = "quarantine"
    cursors_table: str = "cursors"
    analytics_table: str = "analytics"
    limits_table: str = "limits"
    effects_table: str = "effects"
    notes_table: str = "notes"
    plans_table: str = "plans"
    search_table: str = "search"
    activity_table: str = "activity"
    exports_bucket: str = "exports"
    erasures_bucket: str = "erasures"
    archive_bucket: str = "archive"
    digest_bucket: str = "digests"
    digest_key: str = ""
    archive_for_years: bool = False
    export_function: str = "export"
    reconcile_queue_url: str = ""
    reconcile_concurrency: int = 0
    stripe_call_interval_ms: int = 0
    event_bus: str = "tuition"
    dynamodb_endpoint_url: str | None = field(default=None)

    @property
    def refund_days(self) -> int:
        """The days after payment in which a student's refund needs no approval; in the EU, in which they can withdraw.

        The statutory period ends with the last hour of its last day, in the student's time zone. One day more is never
        less than that.

        Source: https://eur-lex.europa.eu/eli/reg/1971/1182/oj, Article 3
        """
        return self.refund_window_days + (1 if self.is_eu else 0)

    @property
    def plan_rules(self) -> PlanRules:
        """The rules of a plan that begins now. They may contradict each other: see `payments.offers.rules`."""
        return PlanRules(
            grace_days=self.plan_grace_days,
            retry_days=self.plan_retry_days,
            give_up_days=self.plan_give_up_days,
            notice_days=self.plan_notice_days,
        )

    @property
    def is_eu(self) -> bool:
        """Whether students have the EU's right to withdraw from the contract."""
        return self.consumer_region == "EU"

    @property
    def namespace(self) -> str:
        """The environment and the stack's id, for keys that two stacks on one Stripe account must not share."""
        return f"{self.tuition_environment}/{self.stack_id}" if self.stack_id else self.tuition_environment


@cache
def settings() -> Settings:
    """Return the settings of this process. Raises `NotConfigured` naming the variable that cannot be parsed."""
    values: dict[str, Any] = {}
    for name, default in vars(Settings()).items():
        raw = os.environ.get(name.upper())
        if raw is None or raw == "":
            continue
        try:
            values[name] = _parse(raw, default)
        except ValueError as error:
            raise NotConfigured(f"The variable {name.upper()} is {raw!r}: {error}.") from error
    parsed = Settings(**values)
    _check_region(parsed)
    return parsed


def _check_region(parsed: Settings) -> None:
    if parsed.consumer_region not in CONSUMER_REGIONS:
        raise NotConfigured(f"The variable CONSUMER_REGION is {parsed.consumer_region!r}. Use US or EU.")
    if parsed.is_eu and parsed.refund_window_days < EU_WITHDRAWAL_DAYS:
        raise NotConfigured(
            f"The variable REFUND_WINDOW_DAYS is {parsed.refund_window_days}. "
            f"With CONSUMER_REGION EU it must be at least {EU_WITHDRAWAL_DAYS}."
        )


def _parse(raw: str, default: object) -> object:
    if isinstance(default, bool):
        if raw not in ("true", "false"):
            raise ValueError("it must be true or false")
        return raw == "true"
    if isinstance(default, int):
        return int(raw)
    if isinstance(default, tuple):
        kind = int if default and isinstance(default[0], int) else str
        return tuple(kind(part.strip()) for part in raw.split(",") if part.strip())
    return raw


def school_time_zone() -> str:
    """Return the name of the school's time zone. Raises `NotConfigured` if the time zone database does not have it.

    It is checked here and by the check of a release, not in `settings`: students can buy without it.
    """
    zone = settings().school_time_zone
    try:
        timestamps.zone_info(zone)
    except ValueError as error:
        raise NotConfigured(f"The variable SCHOOL_TIME_ZONE is wrong: {error} See docs/setup.md.") from error
    return zone


_kept: Cache[dict[str, Any]] = Cache()
_reread: Cache[bool] = Cache()


def stripe_secret_key() -> str:
    """Return the key with which this function calls Stripe: its group's, else the one for all.

    Raises `NotConfigured` if the secret has no value yet, or a key of the other mode: with that, money could move and
    every event about it would count as foreign.
    """
    secret = _secret(settings().stripe_secret_arn)
    key = next(
        (secret[name] for name in (settings().stripe_key_group, "default", "secret_key") if secret.get(name)), ""
    )
    if not isinstance(key, str) or not key:
        raise NotConfigured("The secret with Stripe's key has no value. See docs/setup.md.")
    if ("_live_" in key[:8]) != settings().stripe_livemode:
        raise NotConfigured("Stripe's key and STRIPE_LIVEMODE are of different modes. See docs/setup.md.")
    return key


def is_stripe_key_replaced(refused: str) -> bool:
    """Read the secret with Stripe's key again, and return whether this function's key differs from the refused one.

    For a key that Stripe refuses: it was rotated, and this container still had the old one at the call. The cache may
    have expired since, so it does not say which key was refused. Raises `NotConfigured`.
    """
    _read_again(settings().stripe_secret_arn)
    return stripe_secret_key() != refused


def are_signing_secrets_replaced() -> bool:
    """Read the signing secrets again, and return whether they differ from the cached ones.

    For a signature that none of them made: a new endpoint may deliver before this container has read its secret. Within
    `SECRET_REREAD_S` of the last such read the answer is no, without a read. It is no, too, if the read fails: then the
    cached ones stay in use.
    """
    arn = settings().stripe_webhook_secret_arn
    if _reread.get(arn):
        return False
    _reread.keep(arn, True, SECRET_REREAD_S)
    before = webhook_signing_secrets()
    try:
        _read_again(arn)
    except NotConfigured:
        return False
    return webhook_signing_secrets() != before


def webhook_signing_secrets() -> list[str]:
    """Return every signing secret that is accepted: two during a rotation. Without any, no webhook is accepted."""
    secrets = _secret(settings().stripe_webhook_secret_arn).get("signing_secrets")
    return [secret for secret in secrets if isinstance(secret, str) and secret] if isinstance(secrets, list) else []


def _secret(arn: str) -> dict[str, Any]:
    """Return the JSON object in a secret, cached for `SECRET_MAX_AGE_S`.

    Source: AWS Secrets Manager, GetSecretValue.
    """
    if not arn:
        return {}
    cached = _kept.get(arn)
    return _kept.keep(arn, _read_secret(arn), SECRET_MAX_AGE_S) if cached is None else cached


def _read_again(arn: str) -> None:
    if arn:
        _kept.keep(arn, _read_secret(arn), SECRET_MAX_AGE_S)


def _read_secret(arn: str) -> dict[str, Any]:
    import botocore.exceptions

    client = aws_client.create("secretsmanager", read_timeout_s=4)
    try:
        value = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, KeyError, ValueError) as error:
        raise NotConfigured(f"A secret cannot be read ({type(error).__name__}). See docs/setup.md.") from error
    return value if isinstance(value, dict) else {}
