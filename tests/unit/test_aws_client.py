"""The clients of AWS's services: their timeouts and tries."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from tuition import aws_client, log, staff_mfa
from tuition.core.errors import NotFound, Unavailable
from tuition.intake import release_check, task_queue
from tuition.outbox import analytics_queue, archive, digest, publish, ses
from tuition.views import exports


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


CLIENTS = {
    "analytics_queue": (analytics_queue._client, "sqs", 2, 5, 3),
    "archive": (archive._client, "s3", 2, 5, 2),
    "codedeploy": (release_check._codedeploy, "codedeploy", 2, release_check.INVOKE_S, 2),
    "digest_bucket": (digest._s3, "s3", 2, 10, 3),
    "digest_key": (digest._kms, "kms", 2, 10, 3),
    "export_bucket": (exports._s3, "s3", 2, 20, 3),
    "export_function": (exports._lambda, "lambda", 2, 20, 3),
    "publish": (publish._client, "events", 2, 5, 3),
    "release_check": (release_check._lambda, "lambda", 2, release_check.INVOKE_S, 2),
    "ses": (ses._client, "sesv2", 2, 8, 1),
    "staff_mfa": (staff_mfa._client, "cognito-idp", staff_mfa.TIMEOUT_S, staff_mfa.TIMEOUT_S, staff_mfa.TRIES),
    "task_queue": (task_queue._client, "sqs", 2, 4, 3),
}
"""The function that makes the client, its service, timeouts in seconds, and tries."""


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_has_its_timeouts_and_tries(name: str) -> None:
    make, service, connect_s, read_s, attempts = CLIENTS[name]
    client = make.__wrapped__()
    config = client.meta.config
    assert client.meta.service_model.service_name == service
    assert (config.connect_timeout, config.read_timeout) == (connect_s, read_s)
    assert config.retries == {"mode": "standard", "total_max_attempts": attempts}


def test_links_to_an_export_are_signed_with_version_4_for_the_regions_endpoint() -> None:
    config = exports._s3.__wrapped__().meta.config
    assert (config.signature_version, config.s3["addressing_style"]) == ("s3v4", "virtual")


def test_a_client_is_tried_three_times_by_default() -> None:
    config = aws_client.create("sqs", read_timeout_s=1).meta.config
    assert config.retries["total_max_attempts"] == aws_client.ATTEMPTS == 3


@pytest.mark.parametrize(
    "error",
    [ClientError({"Error": {"Code": "SlowDown"}}, "PutObject"), EndpointConnectionError(endpoint_url="https://x")],
)
def test_a_failure_of_a_service_is_logged_and_unavailable(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    logged: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(log.logger, "exception", lambda event, **fields: logged.append((event, fields)))
    translated = aws_client.failures_as_unavailable("the user pool failed", operation="admin_delete_user")
    with pytest.raises(Unavailable, match=type(error).__name__), translated:
        raise error
    assert logged == [("the user pool failed", {"operation": "admin_delete_user"})]


def test_an_error_of_our_own_passes_through() -> None:
    with pytest.raises(NotFound), aws_client.failures_as_unavailable("S3 failed"):
        raise NotFound("You have no such export.")
