"""Everything outside of this program that the installer calls: AWS, Stripe, HTTPS, the clock, and the terminal.

All calls pass through :class:`World`, so that the tests can record and replay them.
"""

from __future__ import annotations

import getpass
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
import stripe
from botocore.config import Config
from botocore.exceptions import ClientError

HTTP_SECONDS = 30
AWS_ATTEMPTS = 5
STRIPE_ATTEMPTS = 3
GLOBAL_REGION = "us-east-1"
"""Where CloudFront's certificates and AWS Budgets are."""


class Stop(Exception):
    """The installer cannot go on. The message says what is wrong and what to do; the next run continues from here."""


class Client:
    """The operations of one AWS service, as boto3 names them."""

    def __init__(self, world: World, service: str, region: str) -> None:
        self._world = world
        self._service = service
        self._region = region

    def __getattr__(self, operation: str) -> Any:
        return lambda **params: self._world.call(self._service, self._region, operation, params)


class World:
    """The real world, or MiniStack and the simulator if their addresses are given."""

    def __init__(self, region: str, aws_endpoint_url: str | None = None, stripe_api_base: str | None = None) -> None:
        self.region = region
        self.aws_endpoint_url = aws_endpoint_url
        self.stripe_api_base = stripe_api_base or "https://api.stripe.com"

    # --- AWS ---

    def client(self, service: str, region: str | None = None) -> Client:
        """Return a client of an AWS service in the region of the installation, or in another one."""
        return Client(self, service, region or self.region)

    def call(self, service: str, region: str, operation: str, params: Mapping[str, Any]) -> Any:
        """Call an operation of an AWS service. A stream in the response is read to its end."""
        response = getattr(self._boto3_client(service, region), operation)(**params)
        return {key: value.read() if hasattr(value, "read") else value for key, value in (response or {}).items()}

    @cache  # noqa: B019  # one world per run
    def _boto3_client(self, service: Any, region: str) -> Any:
        retries: Any = {"mode": "standard", "total_max_attempts": AWS_ATTEMPTS}
        config = Config(retries=retries, read_timeout=60, s3={"addressing_style": "path"})
        return boto3.client(service, region_name=region, endpoint_url=self.aws_endpoint_url, config=config)

    def object_url(self, bucket: str, object_key: str) -> str:
        """Return the address at which CloudFormation finds an object."""
        base = self.aws_endpoint_url or f"https://s3.{self.region}.{self.dns_suffix}"
        return f"{base}/{bucket}/{object_key}"

    @property
    def dns_suffix(self) -> str:
        """The domain of AWS in the partition of the region."""
        return "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"

    # --- Stripe ---

    def stripe(self, key: str, method: str, path: str, **params: Any) -> dict[str, Any]:
        """Call Stripe's API with the pinned version. Raises stripe.StripeError."""
        client = stripe.StripeClient(
            key, base_addresses={"api": self.stripe_api_base}, max_network_retries=STRIPE_ATTEMPTS
        )
        response = client.raw_request(method, path, **params)
        data: dict[str, Any] = response.data
        return data

    # --- HTTPS ---

    def get(self, url: str) -> int:
        """Return the status of a GET request, or 0 if there is no answer."""
        try:
            with urllib.request.urlopen(url, timeout=HTTP_SECONDS) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    # --- the clock and the terminal ---

    def now(self) -> float:
        """Return the time in epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def say(self, text: str) -> None:
        """Print a line to the person."""
        print(text, flush=True)

    def ask(self, text: str, *, secret: bool = False) -> str:
        """Ask the person. A secret is not shown. Raises `Stop` without a terminal."""
        if not sys.stdin.isatty():
            raise Stop(
                f"{text.strip()} needs an answer, and there is no terminal to ask on: use --answers FILE or --set."
            )
        try:
            return (getpass.getpass(text) if secret else input(text)).strip()
        except EOFError:
            raise Stop("The input ended. Run this again: it continues from here.") from None


def error_code(error: ClientError) -> str:
    """Return AWS's code of an error."""
    return str(error.response["Error"]["Code"])


def is_missing(error: ClientError) -> bool:
    """Return whether an error says that the requested thing does not exist."""
    return error_code(error) in MISSING


MISSING = frozenset(
    {"404", "NoSuchBucket", "NoSuchKey", "NoSuchEntity", "NotFound", "NotFoundException", "PolicyNotFoundException"}
    | {"ResourceNotFoundException", "UserNotFoundException", "NoSuchTagSet", "NoSuchPublicAccessBlockConfiguration"}
    | {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}
)
"""The codes with which services of AWS say that a thing does not exist."""
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorizedException", "403"})
BAD_CREDENTIALS = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException"}
    | {"SignatureDoesNotMatch", "InvalidAccessKeyId"}
)
