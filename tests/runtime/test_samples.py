"""Every sample event runs in the real Lambda runtime with the deployed artifact."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from local import lambda_runtime
from local.build import BUILT, ROOT, logical_id
from local.dynamodb_local import free_port
from stripe_simulator.server import start
from stripe_simulator.webhooks import signature
from tests.harness import NAMES, client_for, create_tables

SAMPLES = sorted((ROOT / "events").glob("*/*.json"))
SIGNING = "whsec_runtime"

RESPONSES: dict[str, int | dict[str, Any]] = {
    "tracks/get": 200,
    "create_payment/data_professional": 201,
    "create_payment/unknown_track": 422,
    "create_checkout_session/full_stack_developer": 201,
    "create_checkout_session/unknown_code": 422,
    "create_checkout_session/unknown_track": 422,
    "payment_status/unknown": 404,
    "my_data/export": 200,
    "my_email/unverified": 403,
    "me/erase": 202,
    "erase/scheduled": {"failed": 0, "done": True},
    "erase/again": {"failed": 0, "done": True},
    "my_payments/first_page": 200,
    "payment_methods/saved": 200,
    "payment_methods/detach_unknown": 404,
    "plans/mine": 200,
    "plans/unknown_offer": 422,
    "request_refund/unknown": 404,
    "enrollments/get": 200,
    "admin/payments": 200,
    "admin/payment_unknown": 404,
    "admin/not_staff": 403,
    "admin/counts_of_a_year": 200,
    "admin/disputes": 200,
    "admin/user_unknown": 404,
    "admin/quarantined_unknown": 404,
    "admin/order_export": 202,
    "emails/old_purchase": {"batchItemFailures": []},
    "emails/staff_digest": {"batchItemFailures": []},
    "emails/bounce": {"batchItemFailures": []},
    "console_tables/payment_changed": {"batchItemFailures": []},
    "console_tables/rebuild": {"after": None},
    "export/ordered": {"state": "done", "rows": 0},
    "webhook/payment_intent_succeeded": 200,
    "webhook/unsigned": 400,
    "admin/books": 200,
    "admin/selling": 200,
    "admin/analytics": 200,
    "admin/analytics_details": 200,
    "analytics/record": {"batchItemFailures": []},
    "analytics/poison": {"batchItemFailures": [{"itemIdentifier": "059f36b4-87a3-44ab-83d2-661975830a7d"}]},
    "digest/hourly": {"done": True},
    "retention/daily": {"listed": 0, "deleted": 0},
    "retention/part": {"payments": {}, "next": None},
    "recount/nightly": {"done": True, "equal": True, "differences": []},
    "recount/full": {"done": True, "missing": []},
    "audit/daily": {"done": True, "failed": [], "differences": []},
    "audit/days": {"done": True, "from": "2026-11-01", "through": "2026-11-02"},
    "archive_locks/hourly": {"done": True, "failed": 0},
    "archive_check/daily": {"done": True, "complete": True},
    "archive_check/every_day": {"done": True, "complete": True},
    "archive_check/repair": {"done": True, "complete": True, "day": "2026-11-23"},
    "archive/changed_record": {"batchItemFailures": []},
    "archive/new_record": {"batchItemFailures": []},
    "publish/replay_unknown": {"records": 0, "events": 0, "failed": [], "after": None},
    "release_check/from_codedeploy": {"passed": True, "problem": None},
    "staff_groups/student_signs_in": {"response": {"claimsOverrideDetails": None}},
    "collect/every_quarter_of_an_hour": {"done": True, "failed": []},
    "reconcile/hourly": {"done": True, "failed": []},
    "reconcile_worker/finished_task": {"batchItemFailures": []},
    "reconcile/backfill": {"done": True, "cursor": "2026-11-03T00:00:00.000Z"},
}
"""The status of an HTTP response, or the expected part of another response."""


def sample_name(sample: Path) -> str:
    return f"{sample.parent.name}/{sample.stem}"


@pytest.fixture(scope="module")
def environment(dynamodb_local_url: str) -> Iterator[dict[str, str]]:
    """Start tables, secrets, S3 and Stripe, and return the environment of a deployed function."""
    tables = client_for(dynamodb_local_url)
    create_tables(tables)
    secrets = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port(), verbose=False)
    secrets.start()
    stripe = start()
    host, port = secrets.get_host_and_port()
    url = f"http://{host}:{port}"
    manager = boto3.client("secretsmanager", endpoint_url=url, region_name="eu-central-1")
    api = manager.create_secret(Name="api", SecretString=json.dumps({"secret_key": stripe.stripe.secret_key}))
    signing = manager.create_secret(Name="signing", SecretString=json.dumps({"signing_secrets": [SIGNING]}))
    request_export(url)
    make_archive(url)
    for bucket in ("digests", "erasures"):
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket=bucket)
    kms = boto3.client("kms", endpoint_url=url, region_name="eu-central-1")
    digest_key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    functions = ThreadingHTTPServer(("127.0.0.1", 0), AcceptsInvocations)
    threading.Thread(target=functions.serve_forever, daemon=True).start()
    try:
        yield {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/tmp"),  # noqa: S108
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": url,
            "AWS_ENDPOINT_URL_S3": url,
            "AWS_ENDPOINT_URL_KMS": url,
            "DIGEST_KEY": digest_key,
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{functions.server_port}",
            "AWS_ENDPOINT_URL_CODEDEPLOY": f"http://127.0.0.1:{functions.server_port}",
            "WEBHOOK_VERSION": "webhook:1",
            "SCHOOL_TIME_ZONE": "Europe/Berlin",
            "PYTHONTZPATH": "",  # a Lambda runtime need not have the time zones: the layer's tzdata has them
            "DYNAMODB_ENDPOINT_URL": dynamodb_local_url,
            "STRIPE_API_BASE": stripe.url,
            "STRIPE_SECRET_ARN": api["ARN"],
            "STRIPE_WEBHOOK_SECRET_ARN": signing["ARN"],
            "POWERTOOLS_SERVICE_NAME": "tuition",
        }
    finally:
        functions.shutdown()
        functions.server_close()
        stripe.stop()
        secrets.stop()
        for name in NAMES.values():
            tables.delete_table(TableName=name)


class AcceptsInvocations(BaseHTTPRequestHandler):
    """Lambda's API: 202 to an asynchronous invocation, else the answer of a working webhook. CodeDeploy's API: 200."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_asynchronous = self.headers.get("X-Amz-Invocation-Type") == "Event"
        answer = {"statusCode": 200, "body": json.dumps({"received": True, "outcome": "checked"})}
        content = b"" if is_asynchronous else json.dumps(answer).encode()
        self.send_response(202 if is_asynchronous else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def request_export(url: str) -> None:
    """Put the state object of `POST /api/admin/exports` in the bucket for the sample export."""
    s3 = boto3.client("s3", endpoint_url=url, region_name="eu-central-1")
    s3.create_bucket(Bucket="exports", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    export_id = json.loads((ROOT / "events" / "export" / "ordered.json").read_text())["export_id"]
    state = {"export_id": export_id, "by": "sample-admin", "filters": {"status": "SUCCEEDED", "from": "2026-11-01"}}
    body = json.dumps(state | {"ordered_at": "2026-11-23T18:00:00.000Z"})
    s3.put_object(Bucket="exports", Key=f"exports/{export_id}/state.json", Body=body)


def make_archive(url: str) -> None:
    """Create the bucket in which objects can be locked."""
    s3 = boto3.client("s3", endpoint_url=url, region_name="eu-central-1")
    location: Any = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket="archive", CreateBucketConfiguration=location, ObjectLockEnabledForBucket=True)


@pytest.fixture(scope="module")
def runtime(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """Start the runtime of one function for all its samples, and yield its URL and its log."""
    function = request.param
    log = tmp_path_factory.mktemp(function) / "log"
    with log.open("w") as out, lambda_runtime.running(function, BUILT / logical_id(function), environment, out) as url:
        yield url, log


@pytest.mark.parametrize(
    ("runtime", "sample"), [(s.parent.name, s) for s in SAMPLES], indirect=["runtime"], ids=map(sample_name, SAMPLES)
)
def test_a_sample_event_runs_in_the_real_runtime(runtime: tuple[str, Path], sample: Path) -> None:
    url, log_file = runtime
    event = json.loads(sample.read_text())
    if event.get("headers", {}).get("stripe-signature"):
        event["headers"]["stripe-signature"] = signature(SIGNING, event["body"].encode(), int(time.time()))
    response, log = _post(url, event), log_file.read_text()
    expected = RESPONSES[sample_name(sample)]
    if isinstance(expected, int):
        assert response.get("statusCode") == expected, (response, log)
        assert json.loads(response["body"])
    else:
        assert expected.items() <= response.items(), (response, log)
    assert re.search(r"INIT REPORT\(durationMs: [\d.]+\)", log), log


def _post(url: str, event: dict[str, Any]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while True:
        try:
            return dict(httpx.post(url, json=event, timeout=30).json())
        except httpx.ConnectError:
            assert time.monotonic() < deadline, "the runtime did not start"
            time.sleep(0.05)


@pytest.mark.parametrize("name", ["webhook", "create_payment"])
def test_the_cold_start_of_a_function_can_be_measured(name: str) -> None:
    assert 0 < lambda_runtime.init_ms(name, lambda_runtime.functions()[name]) < 30_000


def test_every_function_has_a_sample() -> None:
    functions = {file.stem for file in (ROOT / "functions").glob("*.py")}
    assert functions == {sample.parent.name for sample in SAMPLES}
    assert set(RESPONSES) == {sample_name(sample) for sample in SAMPLES}
