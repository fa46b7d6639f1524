"""The account: its credentials, its quotas, the bucket of the artifacts, and the lock against a second person."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from installer.questions import address_of, is_production
from installer.run import Run
from installer.world import Stop, error_code, is_missing

PRODUCTION_CONCURRENCY = 1000
"""Lambda's usual limit. A new account has 10, which is about six purchases per second."""
LOCK = "installation-lock.json"


def look_at_credentials(run: Run) -> Sequence[str]:
    """Compare the account of the credentials with that of the earlier runs."""
    account, before = run.account, run.state.get("account")
    if before is not None and before != account:
        return [
            f"Your credentials belong to account {account}, and this environment is in account {before}. "
            "Sign in to that account, or use another environment."
        ]
    return []


def look_at_quotas(run: Run) -> Sequence[str]:
    """Print what a new account limits. In production, a limit that students would notice is a problem."""
    problems = []
    settings = run.world.client("lambda").get_account_settings()
    concurrency = settings["AccountLimit"]["ConcurrentExecutions"]
    if concurrency < PRODUCTION_CONCURRENCY:
        problems.append(
            f"Lambda runs at most {concurrency} functions at once in this account, and production needs "
            f"{PRODUCTION_CONCURRENCY}. Ask for more in Service Quotas (AWS Lambda, Concurrent executions)."
        )
    if not run.answers["sign_in_sender"]:
        if run.has_pool:
            problems.append(
                "Cognito's own sender stops after 50 emails per day. Answer sign_in_sender to use Amazon SES."
            )
    elif _is_in_sandbox(run):
        problems.append(
            "Amazon SES is in its sandbox, so emails reach only addresses that it has verified. "
            "Ask for production access: Amazon SES, Account dashboard."
        )
    return problems if is_production(run.answers) and run.checks_only else _noted(run, problems)


def _is_in_sandbox(run: Run) -> bool:
    try:
        return not run.world.client("sesv2").get_account()["ProductionAccessEnabled"]
    except ClientError as error:
        if not is_missing(error):
            raise
        return True


def look_at_sender(run: Run) -> Sequence[str]:
    """Check that SES may send for the sender's address, or for its domain, in the region of the user pool.

    Source: https://docs.aws.amazon.com/cognito/latest/developerguide/user-pool-email.html
    """
    address = address_of(run.answers["sign_in_sender"])
    waiting = []
    for identity in (address, address.rpartition("@")[2]):
        try:
            response = run.world.client("sesv2").get_email_identity(EmailIdentity=identity)
        except ClientError as error:
            if not is_missing(error):
                raise
            continue
        if response["VerifiedForSendingStatus"]:
            partition = "aws-cn" if run.world.region.startswith("cn-") else "aws"
            run.state.put("sender", f"arn:{partition}:ses:{run.world.region}:{run.account}:identity/{identity}")
            return []
        waiting.append(identity)
    if waiting:
        return [
            f"Amazon SES has not yet verified {' or '.join(waiting)} in {run.world.region}. For an address, follow the "
            "link in its email; for a domain, set the DNS records that SES shows. Then run this again."
        ]
    return [
        f"Amazon SES knows no identity for {address} in {run.world.region}. Create one for the address or its domain "
        "(Amazon SES, Identities, in that region), verify it, then run this again. Or give another sender: "
        "--set sign_in_sender=…"
    ]


def _noted(run: Run, problems: Sequence[str]) -> Sequence[str]:
    """Print limits that do not stop the set-up: raising them takes days, and the rest can go on."""
    for problem in problems:
        run.world.say(f"  note: {problem}")
    return []


def look_at_prefix(run: Run) -> Sequence[str]:
    """Check that no other pool has the prefix of the sign-in page's domain."""
    prefix = run.answers["sign_in_prefix"]
    try:
        domain = run.world.client("cognito-idp").describe_user_pool_domain(Domain=prefix).get("DomainDescription")
    except ClientError as error:
        if not is_missing(error):
            raise
        domain = None
    if not domain or not domain.get("UserPoolId"):
        return []
    try:
        own_pool = run.deployed().outputs.get("UserPoolId")
    except Stop:
        own_pool = None
    if domain["UserPoolId"] == own_pool:
        return []
    return [f"The prefix {prefix} is taken in this region. Choose another: --set sign_in_prefix=…"]


def look_at_bucket(run: Run) -> Sequence[str]:
    """Check that the bucket of the artifacts exists, is ours and is private."""
    s3 = run.world.client("s3")
    try:
        s3.head_bucket(Bucket=run.bucket)
        blocked = s3.get_public_access_block(Bucket=run.bucket)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if error_code(error) == "403":
            reason = f"The bucket {run.bucket} belongs to another account. Remove it there, or use another region."
            raise Stop(reason) from error
        if not is_missing(error):
            raise
        return [f"The bucket {run.bucket} is missing or not private."]
    return [] if all(blocked.values()) and blocked else [f"The bucket {run.bucket} is not private."]


def make_bucket(run: Run) -> None:
    """Create the bucket of the artifacts, and close it to the public."""
    s3 = run.world.client("s3")
    location = {} if run.world.region == "us-east-1" else {"LocationConstraint": run.world.region}
    try:
        s3.create_bucket(Bucket=run.bucket, **({"CreateBucketConfiguration": location} if location else {}))
    except ClientError as error:
        if error_code(error) == "BucketAlreadyExists":
            raise Stop(f"The bucket name {run.bucket} is taken by another account. Use another region.") from error
        if error_code(error) != "BucketAlreadyOwnedByYou":
            raise
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=run.bucket, PublicAccessBlockConfiguration=closed)


class Lock:
    """The lock of one installation: an object that only one run can create.

    A run that ends in any way that Python notices removes it. After a power cut it stays, and says whose it is.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    """

    def __init__(self, run: Run) -> None:
        self._s3 = run.world.client("s3")
        self._run = run
        self._key = f"{run.stack_name}/{LOCK}"
        self._is_held = False

    def take(self) -> None:
        """Take the lock. Raises `Stop` with its owner if another run holds it."""
        identity = self._run.world.client("sts").get_caller_identity()["Arn"]
        owner = {"who": identity, "machine": platform.node(), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
        try:
            self._s3.put_object(
                Bucket=self._run.bucket, Key=self._key, Body=json.dumps(owner).encode(), IfNoneMatch="*"
            )
        except ClientError as error:
            if error_code(error) not in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
                raise
            raise Stop(self._held_by()) from error
        self._is_held = True

    def _held_by(self) -> str:
        try:
            owner = json.loads(self._s3.get_object(Bucket=self._run.bucket, Key=self._key)["Body"])
        except ClientError as error:
            if not is_missing(error):
                raise
            return "Another run has just ended. Run this again."
        return (
            f"{owner['who']} has been setting up {self._run.stack_name} from the machine {owner['machine']} since "
            f"{owner['since']}. Wait until that run ends. If it was cut off, run this with --take-over."
        )

    def take_over(self) -> None:
        """Remove the lock of a run that was cut off."""
        self._s3.delete_object(Bucket=self._run.bucket, Key=self._key)

    def release(self) -> None:
        """Remove our lock."""
        if self._is_held:
            self._is_held = False
            self.take_over()
