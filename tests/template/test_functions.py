"""The functions, their settings and secrets, the exports bucket, and the alarms."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

import analytics
from local import deploy
from local import stream as local_stream
from local.build import ROOT
from tests.permissions import STRIPE_KEY_GROUPS
from tests.template.conftest import PRODUCTION, of_type
from tuition.core import archive as core_archive
from tuition.core import emails as core_emails
from tuition.core import published_events
from tuition.outbox import archive_locks, emails
from tuition.payments import erasure
from tuition.settings import Settings
from tuition.storage import cursors

FILES = {
    "TracksFunction": "tracks",
    "CreatePaymentFunction": "create_payment",
    "CreateCheckoutSessionFunction": "create_checkout_session",
    "PaymentStatusFunction": "payment_status",
    "MyDataFunction": "my_data",
    "MyEmailFunction": "my_email",
    "MyPaymentsFunction": "my_payments",
    "PaymentMethodsFunction": "payment_methods",
    "PlansFunction": "plans",
    "RequestRefundFunction": "request_refund",
    "WebhookFunction": "webhook",
    "MeFunction": "me",
    "EraseFunction": "erase",
    "EnrollmentsFunction": "enrollments",
    "EmailsFunction": "emails",
    "ConsoleTablesFunction": "console_tables",
    "AdminFunction": "admin",
    "ExportFunction": "export",
    "CollectFunction": "collect",
    "ReconcileFunction": "reconcile",
    "ReconcileWorkerFunction": "reconcile_worker",
    "AuditFunction": "audit",
    "ArchiveFunction": "archive",
    "ArchiveCheckFunction": "archive_check",
    "ArchiveLocksFunction": "archive_locks",
    "AnalyticsFunction": "analytics",
    "RecountFunction": "recount",
    "DigestFunction": "digest",
    "RetentionFunction": "retention",
    "PublishFunction": "publish",
    "StaffGroupsFunction": "staff_groups",
    "ReleaseCheckFunction": "release_check",
}
BEHIND_THE_GATEWAY = sorted(
    set(FILES)
    - {"EmailsFunction", "ArchiveCheckFunction", "EraseFunction", "ConsoleTablesFunction"}
    - {"ReconcileFunction", "ReconcileWorkerFunction", "ExportFunction", "AuditFunction", "ArchiveFunction"}
    - {"StaffGroupsFunction", "ReleaseCheckFunction", "PublishFunction", "AnalyticsFunction", "RecountFunction"}
    - {"DigestFunction", "RetentionFunction", "ArchiveLocksFunction", "CollectFunction"}
)


@pytest.mark.parametrize("function", FILES)
def test_a_function_runs_the_handler_in_the_file_of_its_name(resources: dict[str, Any], function: str) -> None:
    properties = resources[function]["Properties"]
    assert properties["Handler"] == f"{FILES[function]}.handler"
    assert (ROOT / "functions" / f"{FILES[function]}.py").is_file()
    assert properties["Runtime"] == "python3.13"
    assert properties["LoggingConfig"] == {"LogGroup": {"Ref": "FunctionLogs"}}
    assert len(properties["Layers"]) == 1


@pytest.mark.parametrize("function", BEHIND_THE_GATEWAY)
def test_a_function_times_out_before_the_gateway(resources: dict[str, Any], function: str) -> None:
    assert resources[function]["Properties"]["Timeout"] <= 29


def test_the_text_of_a_plan_is_the_same_where_it_is_shown_and_where_it_is_agreed_to(resources: dict[str, Any]) -> None:
    shown, agreed = (
        resources[name]["Properties"]["Environment"]["Variables"] for name in ("TracksFunction", "PlansFunction")
    )
    own = ("SCHOOL_NAME", "SUPPORT_CONTACT", "TERMS_URL", "REFUND_WINDOW_DAYS", "CONSUMER_REGION", "PLAN_REGIONS")
    own += ("PLAN_GRACE_DAYS", "PLAN_RETRY_DAYS", "PLAN_GIVE_UP_DAYS", "PLAN_NOTICE_DAYS")
    assert [shown[name] for name in own] == [agreed[name] for name in own]


def test_the_reconciler_runs_hourly_with_the_timeout_of_its_lease(resources: dict[str, Any]) -> None:
    assert schedules(resources)["ReconcileFunction"] == "rate(1 hour)"
    assert resources["ReconcileFunction"]["Properties"]["Timeout"] == cursors.LEASE_S


def test_the_collector_runs_every_quarter_of_an_hour_with_the_timeout_of_its_lease(resources: dict[str, Any]) -> None:
    assert schedules(resources)["CollectFunction"] == "rate(15 minutes)"
    assert resources["CollectFunction"]["Properties"]["Timeout"] == cursors.LEASE_S


def test_the_audit_runs_daily_with_the_timeout_of_its_lease(resources: dict[str, Any]) -> None:
    assert schedules(resources)["AuditFunction"] == "cron(0 4 * * ? *)"
    assert resources["AuditFunction"]["Properties"]["Timeout"] == cursors.LEASE_S


def test_the_recount_runs_after_the_audit_with_the_timeout_of_its_lease(resources: dict[str, Any]) -> None:
    assert schedules(resources) == {
        "ReconcileFunction": "rate(1 hour)",
        "CollectFunction": "rate(15 minutes)",
        "AuditFunction": "cron(0 4 * * ? *)",
        "RecountFunction": "cron(0 5 * * ? *)",
        "ArchiveCheckFunction": "cron(30 5 * * ? *)",
        "EmailQueue": "cron(0 6 * * ? *)",
        "ArchiveLocksFunction": "cron(40 * * * ? *)",
        "DigestFunction": "cron(10 * * * ? *)",
        "EraseFunction": "rate(5 minutes)",
    }
    assert resources["RecountFunction"]["Properties"]["Timeout"] == cursors.LEASE_S


def test_the_list_of_erasures_outlives_every_backup_and_is_versioned(resources: dict[str, Any]) -> None:
    bucket = resources["ErasuresBucket"]
    assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]}
    assert (rules["ExpireList"]["Prefix"], rules["ExpireList"]["ExpirationInDays"]) == ("done/", 400)
    assert rules["ExpireOldVersions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert all("ExpirationInDays" not in rule for name, rule in rules.items() if name != "ExpireList")


def test_erasures_run_as_often_as_the_time_of_one_is_computed_with(resources: dict[str, Any]) -> None:
    assert schedules(resources)["EraseFunction"] == f"rate({erasure.RUN_EVERY_S // 60} minutes)"
    pool = resources["UserPoolClient"]["Properties"]
    assert (pool["IdTokenValidity"], pool["AccessTokenValidity"]) == (Settings().token_minutes,) * 2


def schedules(resources: dict[str, Any]) -> dict[str, str]:
    """Return the schedule of each function that has one without an input."""
    rules = of_type(resources, "AWS::Events::Rule").values()
    targets = [
        (target["Arn"], rule["ScheduleExpression"])
        for rule in rules
        if "ScheduleExpression" in rule
        for target in rule["Targets"]
        if "Input" not in target
    ]
    return {
        arn["Ref"].removesuffix("Aliaslive") if "Ref" in arn else arn["Fn::GetAtt"][0]: schedule
        for arn, schedule in targets
    }


def test_an_unfinished_audit_is_continued_every_ten_minutes(resources: dict[str, Any]) -> None:
    rules = of_type(resources, "AWS::Events::Rule").values()
    targets = [(target, rule) for rule in rules for target in rule["Targets"] if "Input" in target]
    ((target, rule),) = [one for one in targets if one[0]["Arn"] == {"Ref": "AuditFunctionAliaslive"}]
    assert (json.loads(target["Input"]), rule["ScheduleExpression"]) == ({"only_continue": True}, "rate(10 minutes)")
    variables = resources["AuditFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["RECONCILE_QUEUE_URL"] == {"Ref": "ReconcileQueue"}
    scaling = resources["ReconcileTasks"]["Properties"]["ScalingConfig"]
    assert variables["RECONCILE_CONCURRENCY"] == scaling["MaximumConcurrency"]


def test_only_the_schedule_asks_to_delete_payments_with_the_timeout_of_its_lease(resources: dict[str, Any]) -> None:
    rules = of_type(resources, "AWS::Events::Rule").values()
    function = {"Fn::GetAtt": ["RetentionFunction", "Arn"]}
    ((target, rule),) = [(one, rule) for rule in rules for one in rule["Targets"] if one["Arn"] == function]
    assert (json.loads(target["Input"]), rule["ScheduleExpression"]) == ({"delete": True}, "cron(30 6 * * ? *)")
    assert resources["RetentionFunction"]["Properties"]["Timeout"] == cursors.LEASE_S


def test_the_whole_archive_is_compared_a_part_of_each_hour(resources: dict[str, Any]) -> None:
    rules = of_type(resources, "AWS::Events::Rule").values()
    function = {"Fn::GetAtt": ["ArchiveCheckFunction", "Arn"]}
    inputs = [(one, rule) for rule in rules for one in rule["Targets"] if one["Arn"] == function and "Input" in one]
    ((target, rule),) = inputs
    assert (json.loads(target["Input"]), rule["ScheduleExpression"]) == ({"every_day": True}, "rate(1 hour)")
    assert resources["ArchiveCheckFunction"]["Properties"]["Timeout"] == cursors.LEASE_S


def test_an_export_has_the_longest_possible_timeout(resources: dict[str, Any]) -> None:
    assert resources["ExportFunction"]["Properties"]["Timeout"] == 900
    for name in ("AdminFunction", "ExportFunction", "MyDataFunction"):
        assert resources[name]["Properties"]["Environment"]["Variables"]["EXPORTS_BUCKET"] == {"Ref": "ExportsBucket"}
    function = resources["AdminFunction"]["Properties"]["Environment"]["Variables"]["EXPORT_FUNCTION"]
    assert function == {"Ref": "ExportFunctionAliaslive"}


BUCKETS = (
    *("ExportsBucket", "FailedRecordsBucket", "ArchiveBucket", "DigestBucket", "BucketAccessLogs"),
    "ErasuresBucket",
)


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_is_encrypted_and_private_and_requires_tls(resources: dict[str, Any], name: str) -> None:
    assert set(of_type(resources, "AWS::S3::Bucket")) == set(BUCKETS)
    bucket = resources[name]["Properties"]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    policy = resources[f"{name}Policy"]["Properties"]
    assert policy["Bucket"] == {"Ref": name}
    statement = policy["PolicyDocument"]["Statement"][0]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [{"Fn::GetAtt": [name, "Arn"]}, {"Fn::Sub": f"${{{name}.Arn}}/*"}]


def test_s3_logs_who_fetched_an_export(resources: dict[str, Any]) -> None:
    prefixes = {"ExportsBucket": "exports/", "FailedRecordsBucket": "failed-records/", "ArchiveBucket": "archive/"}
    prefixes |= {"DigestBucket": "digests/", "ErasuresBucket": "erasures/"}
    for name, prefix in prefixes.items():
        logging = resources[name]["Properties"]["LoggingConfiguration"]
        assert logging == {"DestinationBucketName": {"Ref": "BucketAccessLogs"}, "LogFilePrefix": prefix}
    _, statement = resources["BucketAccessLogsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "logging.s3.amazonaws.com"}, "s3:PutObject")
    sources = [{"Fn::GetAtt": [name, "Arn"]} for name in prefixes]
    assert statement["Condition"]["ArnEquals"] == {"aws:SourceArn": sources}
    (life,) = resources["BucketAccessLogs"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert life["ExpirationInDays"] == 30, "a log names addresses, as the access log does"


def test_exports_expire_after_three_days(resources: dict[str, Any]) -> None:
    (life,) = resources["ExportsBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert (life["Status"], life["ExpirationInDays"]) == ("Enabled", 3)
    assert "Prefix" not in life
    assert life["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_stream_records_that_failed_are_kept_for_thirty_days_with_every_version(resources: dict[str, Any]) -> None:
    bucket = resources["FailedRecordsBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    life, markers = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert "Prefix" not in life
    days = life["ExpirationInDays"], life["NoncurrentVersionExpiration"]["NoncurrentDays"]
    assert (life["Status"], *days, sum(days)) == ("Enabled", 29, 1, 30)
    assert (markers["Status"], markers["ExpiredObjectDeleteMarker"]) == ("Enabled", True)
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}


def test_every_record_of_the_audit_tables_stream_reaches_the_archive_function(resources: dict[str, Any]) -> None:
    """A filter would remove the changed records, which are the evidence. A poison record must not stop the stream."""
    properties = {"FunctionName": {"Ref": "ArchiveFunction"}, **STREAM_MAPPING}
    assert resources["AuditStream"]["Properties"] == properties | {
        "BatchSize": 500,
        "MaximumBatchingWindowInSeconds": 20,
    }


def test_a_changed_record_raises_its_metric_within_a_minute_and_its_alarm_within_five(
    resources: dict[str, Any],
) -> None:
    """A batch waits for its window, and a run may take as long as its timeout only after it has counted changes.

    CloudWatch evaluates an alarm with a period of a minute every minute, and INIT of a function may take 10 seconds.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html,
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    """
    stream, alarm = resources["AuditStream"]["Properties"], resources["AuditRecordChangedAlarm"]["Properties"]
    window, init, counting = stream["MaximumBatchingWindowInSeconds"], 10, 10
    assert window == 20
    assert window + init + counting <= 60, "the metric comes within a minute"
    assert "FilterCriteria" not in stream
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 60
    evaluation, delivery = 60, 60
    assert 60 + alarm["Period"] * alarm["EvaluationPeriods"] + evaluation + delivery <= 300, "the alarm within five"
    assert "DatapointsToAlarm" not in alarm
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 1), "one change is enough"
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert alarm.get("ActionsEnabled", True) is True


def test_objects_of_the_archive_are_locked_and_expire_after_their_lock(resources: dict[str, Any], expand: Any) -> None:
    bucket = resources["ArchiveBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    properties = bucket["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["ObjectLockEnabled"] is True
    assert properties["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
    }
    life = {rule["Id"]: rule for rule in properties["LifecycleConfiguration"]["Rules"]}
    for name, prefix, years in (
        ("ExpireRecords", "records/", core_archive.RECORD_YEARS),
        ("ExpireFinalForms", "final/", core_archive.FINAL_FORM_YEARS),
    ):
        rule = life.pop(name)
        assert rule["Prefix"] == prefix
        assert rule["TagFilters"] == archive_locks.RELEASED, "an object whose lock was extended has not the tag"
        for year in range(2026, 2126):  # an object of the first moment of a year has the longest lock
            first = datetime(year, 1, 1, tzinfo=UTC)
            end = core_archive.locked_until(first.isoformat(), years, for_years=True)
            assert 0 <= rule["ExpirationInDays"] - (datetime.fromisoformat(end) - first).days <= 3
    assert life.pop("RemoveMarkers") == {"Id": "RemoveMarkers", "Status": "Enabled", "ExpiredObjectDeleteMarker": True}
    (old,) = life.values()
    assert set(old) == {"Id", "Status", "TagFilters", "NoncurrentVersionExpiration"}
    assert old["TagFilters"] == archive_locks.RELEASED, "a version that another one hides may still be needed"
    assert old["NoncurrentVersionExpiration"] == {"NoncurrentDays": 366}


def test_the_function_of_the_locks_reads_and_extends_them_and_puts_no_object(resources: dict[str, Any]) -> None:
    role = json.dumps(resources["ArchiveLocksFunctionRole"])
    actions = set(re.findall(r"s3:\w+", role))
    assert actions == {
        *("s3:ListBucketVersions", "s3:GetObjectVersion", "s3:GetObjectRetention"),
        *("s3:PutObjectRetention", "s3:PutObjectVersionTagging"),
    }
    properties = resources["ArchiveLocksFunction"]["Properties"]
    assert properties["Timeout"] == cursors.LEASE_S
    assert properties["Timeout"] - archive_locks.LAST_S > archive_locks.RUN_S, "a run ends by its own limit"
    rules = of_type(resources, "AWS::Events::Rule").values()
    function = {"Fn::GetAtt": ["ArchiveLocksFunction", "Arn"]}
    ((target, rule),) = [(one, rule) for rule in rules for one in rule["Targets"] if one["Arn"] == function]
    assert ("Input" not in target, rule["ScheduleExpression"]) == (True, "cron(40 * * * ? *)")


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_only_production_extends_locks_for_years(expand: Any, environment: str) -> None:
    resources = expand(**{**PRODUCTION, "Environment": environment})["Resources"]
    variables = resources["ArchiveLocksFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["ARCHIVE_FOR_YEARS"] == ("true" if environment == "production" else "false")
    assert variables["ARCHIVE_BUCKET"] == {"Ref": "ArchiveBucket"}


def test_only_production_locks_the_archive_for_years_and_denies_deletion_to_all_but_the_break_glass_role(
    expand: Any,
) -> None:
    for parameters in (PRODUCTION, {**PRODUCTION, "Environment": "staging"}):
        resources = expand(**parameters)["Resources"]
        is_production = parameters["Environment"] == "production"
        variables = resources["ArchiveFunction"]["Properties"]["Environment"]["Variables"]
        assert variables["ARCHIVE_BUCKET"] == {"Ref": "ArchiveBucket"}
        assert variables["ARCHIVE_FOR_YEARS"] == ("true" if is_production else "false")
        _, *denials = resources["ArchiveBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if not is_production:
            assert denials == []
            continue
        (deny,) = denials
        assert (deny["Effect"], deny["Principal"]) == ("Deny", "*")
        assert set(deny["Action"]) == {"s3:BypassGovernanceRetention", "s3:DeleteObject", "s3:DeleteObjectVersion"}
        assert deny["Resource"] == {"Fn::Sub": "${ArchiveBucket.Arn}/*"}
        assert deny["Condition"] == {"ArnNotEquals": {"aws:PrincipalArn": PRODUCTION["BreakGlassRoleArn"]}}


@pytest.mark.parametrize(
    ("table", "folder", "shape"),
    [
        ("ArchivedRecords", "records", core_archive.RECORD),
        ("ArchivedFinalForms", "final", core_archive.FINAL_FORM),
    ],
)
def test_athena_has_every_attribute_of_the_archive_and_computes_its_days(
    resources: dict[str, Any], table: str, folder: str, shape: dict[str, Any]
) -> None:
    """See https://docs.aws.amazon.com/athena/latest/ug/partition-projection-supported-types.html."""
    properties = resources[table]["Properties"]
    assert properties["DatabaseName"] == {"Ref": "ArchiveDatabase"}
    rows = properties["TableInput"]
    columns = {column["Name"]: column["Type"] for column in rows["StorageDescriptor"]["Columns"]}
    assert set(columns) == set(shape)
    nested = {name for name, part in shape.items() if part is not core_archive.VALUE}
    assert {columns[name] for name in nested} == {"string"}
    assert rows["StorageDescriptor"]["Location"] == {"Fn::Sub": f"s3://${{ArchiveBucket}}/{folder}/"}
    location = rows["Parameters"].pop("storage.location.template")
    assert location == {"Fn::Sub": f"s3://${{ArchiveBucket}}/{folder}/dt=${{!dt}}/"}
    assert core_archive.records_key([], "2026-11-28T13:05:00.000Z").startswith("records/dt=2026-11-28/")
    assert rows["PartitionKeys"] == [{"Name": "dt", "Type": "string"}]
    assert {name: value for name, value in rows["Parameters"].items() if name.startswith("projection.")} == {
        "projection.enabled": "true",
        "projection.dt.type": "date",
        "projection.dt.format": "yyyy-MM-dd",
        "projection.dt.range": "2026-11-01,NOW",
        "projection.dt.interval": "1",
        "projection.dt.interval.unit": "DAYS",
    }


def test_the_archives_database_has_a_name_that_a_query_need_not_quote(resources: dict[str, Any]) -> None:
    name = resources["ArchiveDatabase"]["Properties"]["DatabaseInput"]["Name"]
    assert name == {"Fn::Join": ["_", {"Fn::Split": ["-", {"Ref": "AWS::StackName"}]}]}


def test_no_role_of_a_function_deletes_from_the_archive_or_passes_over_its_locks(resources: dict[str, Any]) -> None:
    erases = {name: role for name, role in of_type(resources, "AWS::IAM::Role").items() if name == "EraseFunctionRole"}
    assert "ArchiveBucket" not in json.dumps(erases), "it deletes only from the list of erasures"
    others = {name: role for name, role in of_type(resources, "AWS::IAM::Role").items() if name not in erases}
    roles = json.dumps(others) + json.dumps(of_type(resources, "AWS::IAM::ManagedPolicy"))
    assert "s3:*" not in roles
    for action in ("BypassGovernanceRetention", "s3:DeleteObject", "PutBucketObjectLock", "s3:PutLifecycle"):
        assert action not in roles
    writers = {name for name, role in of_type(resources, "AWS::IAM::Role").items() if "ArchiveBucket" in str(role)}
    locks = {"ArchiveLocksFunctionRole"}
    assert writers == {"ArchiveFunctionRole", "ArchiveCheckFunctionRole", "DigestFunctionRole"} | locks


def test_digests_are_locked_longer_than_what_they_list_and_in_production_for_everyone(
    resources: dict[str, Any], production: dict[str, Any]
) -> None:
    for template, lock in ((production, ("COMPLIANCE", 3288)), (resources, ("GOVERNANCE", 1))):
        properties = template["DigestBucket"]["Properties"]
        assert template["DigestBucket"]["DeletionPolicy"] == "RetainExceptOnCreate"
        assert (properties["VersioningConfiguration"], properties["ObjectLockEnabled"]) == ({"Status": "Enabled"}, True)
        rule = properties["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
        assert (rule["Mode"], rule["Days"]) == lock
        days = properties["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"]
        for year in range(2026, 2126):  # money moved last two years after the write: released in October of this year
            extended = core_archive.locked_until(f"{year + 2}-12-31", core_archive.RECORD_YEARS, for_years=True)
            released = datetime(int(extended[:4]) + 1, 10, 31, tzinfo=UTC)
            assert 0 < days - (released - datetime(year, 1, 1, tzinfo=UTC)).days < 100
    for year in range(2026, 2126):  # an object of the first moment of a year has the longest lock
        until = datetime(year + core_archive.RECORD_YEARS, 12, 31, 23, 59, 59, tzinfo=UTC)
        assert (until - datetime(year, 1, 1, tzinfo=UTC)).days < 3288
    _, replacement = resources["DigestBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (replacement["Effect"], replacement["Principal"], replacement["Action"]) == ("Deny", "*", "s3:PutObject")
    assert replacement["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    deletion = production["DigestBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][2]
    assert (deletion["Effect"], deletion["Action"]) == ("Deny", ["s3:DeleteObject", "s3:DeleteObjectVersion"])
    assert "PrincipalArn" in str(deletion["Condition"]["ArnNotEquals"])


def test_only_the_digest_function_signs_and_only_the_break_glass_role_deletes_the_key(
    expand: Any, resources: dict[str, Any], production: dict[str, Any]
) -> None:
    key = resources["DigestKey"]["Properties"]
    assert (key["KeySpec"], key["KeyUsage"], key["PendingWindowInDays"]) == ("ECC_NIST_P256", "SIGN_VERIFY", 30)
    by_iam, sign = key["KeyPolicy"]["Statement"]
    # KMS refuses a policy that keeps its creator from changing it: nothing denies PutKeyPolicy.
    assert (by_iam["Effect"], by_iam["Action"]) == ("Allow", "kms:*")
    assert (sign["Effect"], sign["Principal"], sign["Action"]) == ("Deny", "*", ["kms:Sign", "kms:CreateGrant"])
    role, session = sign["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
    assert role == {"Fn::GetAtt": ["DigestFunctionRole", "Arn"]}
    assert str(session).endswith(":assumed-role/${DigestFunctionRole}/*'}")
    signers = [
        r["Properties"]["Roles"] for r in resources.values() if "kms:Sign" in str(r) and "Roles" in r["Properties"]
    ]
    assert signers == [[{"Ref": "DigestFunctionRole"}]]
    assert resources["DigestKeyAlias"]["Properties"]["TargetKeyId"] == {"Ref": "DigestKey"}
    first = expand(**PRODUCTION, DeletionProtection="false")["Resources"]["DigestKey"]["Properties"]["KeyPolicy"]
    assert len(first["Statement"]) == 2, "a first deployment can be undone"
    deny = production["DigestKey"]["Properties"]["KeyPolicy"]["Statement"][2]
    assert (deny["Effect"], deny["Action"]) == ("Deny", ["kms:DisableKey", "kms:ScheduleKeyDeletion"])
    assert "PrincipalArn" in str(deny["Condition"]["ArnNotEquals"])


def test_the_other_reader_publishes_new_records_and_no_changed_ones(resources: dict[str, Any]) -> None:
    properties = dict(resources["PublishedRecords"]["Properties"])
    (pattern,) = properties.pop("FilterCriteria")["Filters"]
    assert json.loads(pattern["Pattern"]) == {"eventName": ["INSERT"]}
    assert properties == {"FunctionName": {"Ref": "PublishFunction"}, **STREAM_MAPPING}
    variables = resources["PublishFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["EVENT_BUS"] == {"Ref": "EventBus"}


def test_the_stream_has_exactly_two_readers(resources: dict[str, Any]) -> None:
    """A third would throttle both: a shard has room for two readers per second.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
    """
    mappings = of_type(resources, "AWS::Lambda::EventSourceMapping")
    stream = STREAM_MAPPING["EventSourceArn"]
    assert {name for name, one in mappings.items() if one["EventSourceArn"] == stream} == set(local_stream.MAPPINGS)
    elsewhere = {name: one for name, one in resources.items() if one["Type"] != "AWS::Lambda::EventSourceMapping"}
    readers = {name for name, one in elsewhere.items() if "StreamArn" in json.dumps(one)}
    assert readers == {"ArchiveFunctionRole", "PublishFunctionRole"}


STREAM_MAPPING = {
    "EventSourceArn": {"Fn::GetAtt": ["AuditTable", "StreamArn"]},
    "StartingPosition": "TRIM_HORIZON",
    "BatchSize": 100,
    "MaximumBatchingWindowInSeconds": 1,
    "BisectBatchOnFunctionError": True,
    "MaximumRetryAttempts": 8,
    "MaximumRecordAgeInSeconds": 21600,
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailedRecordsBucket", "Arn"]}}},
}
"""The settings of both readers. Lambda keeps the records in S3; SQS and SNS would get pointers that expire."""


def test_workers_take_tasks_one_by_one_and_report_those_that_they_could_not_finish(resources: dict[str, Any]) -> None:
    assert resources["ReconcileTasks"]["Properties"] == {
        "FunctionName": {"Ref": "ReconcileWorkerFunctionAliaslive"},
        "EventSourceArn": {"Fn::GetAtt": ["ReconcileQueue", "Arn"]},
        "BatchSize": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 5},
    }
    planner = resources["ReconcileFunction"]["Properties"]["Environment"]["Variables"]
    assert planner["RECONCILE_QUEUE_URL"] == {"Ref": "ReconcileQueue"}


def test_a_task_stays_hidden_for_six_timeouts_and_ends_among_the_dead_letters(resources: dict[str, Any]) -> None:
    """See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html for the factor."""
    assert set(of_type(resources, "AWS::SQS::Queue")) == {
        *("ReconcileQueue", "ReconcileDeadLetters", "FailedRuns", "AnalyticsQueue", "AnalyticsDeadLetters"),
        *("EmailQueue", "EmailDeadLetters", "ConsoleQueue", "ConsoleDeadLetters"),
    }
    queue = resources["ReconcileQueue"]["Properties"]
    assert queue["VisibilityTimeout"] >= 6 * resources["ReconcileWorkerFunction"]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["ReconcileDeadLetters", "Arn"]},
        "maxReceiveCount": 3,
    }
    dead = resources["ReconcileDeadLetters"]["Properties"]
    assert dead["MessageRetentionPeriod"] > queue["MessageRetentionPeriod"] >= 86_400
    assert queue["SqsManagedSseEnabled"] and dead["SqsManagedSseEnabled"]


def test_records_of_one_group_are_counted_in_order_and_a_poison_one_ends_among_the_dead_letters(
    resources: dict[str, Any],
) -> None:
    """A failed message holds up its group: for six timeouts of the function each time, so these are short."""
    assert resources["AnalyticsRecords"]["Properties"] == {
        "FunctionName": {"Ref": "AnalyticsFunction"},
        "EventSourceArn": {"Fn::GetAtt": ["AnalyticsQueue", "Arn"]},
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 10},
    }
    queue, dead = resources["AnalyticsQueue"]["Properties"], resources["AnalyticsDeadLetters"]["Properties"]
    assert queue["FifoQueue"] is dead["FifoQueue"] is True  # the dead letters of a FIFO queue need one, too
    assert "ContentBasedDeduplication" not in queue
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["AnalyticsDeadLetters", "Arn"]},
        "maxReceiveCount": 4,
    }
    timeout = resources["AnalyticsFunction"]["Properties"]["Timeout"]
    assert queue["VisibilityTimeout"] == 6 * timeout
    assert timeout > analytics.DEADLINE_S
    assert queue["VisibilityTimeout"] * queue["RedrivePolicy"]["maxReceiveCount"] <= 300
    assert queue["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == 1_209_600
    assert queue["SqsManagedSseEnabled"] and dead["SqsManagedSseEnabled"]


def test_emails_are_sent_two_at_once_and_end_among_the_dead_letters_after_five_tries(
    resources: dict[str, Any],
) -> None:
    """SES takes one email per second in its sandbox. See AWS's page of the factor above."""
    assert resources["EmailMessages"]["Properties"] == {
        "FunctionName": {"Ref": "EmailsFunction"},
        "EventSourceArn": {"Fn::GetAtt": ["EmailQueue", "Arn"]},
        "BatchSize": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 2},
    }
    queue = resources["EmailQueue"]["Properties"]
    timeout = resources["EmailsFunction"]["Properties"]["Timeout"]
    assert queue["VisibilityTimeout"] >= 6 * timeout
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["EmailDeadLetters", "Arn"]},
        "maxReceiveCount": 5,
    }
    assert timeout < emails.CLAIM_S < queue["VisibilityTimeout"], "a claim must be old when its message returns"
    assert queue["MessageRetentionPeriod"] == core_emails.MAX_AGE_S


def test_events_for_the_console_are_stored_in_batches_and_end_among_the_dead_letters(resources: dict[str, Any]) -> None:
    assert resources["ConsoleEvents"]["Properties"] == {
        "FunctionName": {"Ref": "ConsoleTablesFunction"},
        "EventSourceArn": {"Fn::GetAtt": ["ConsoleQueue", "Arn"]},
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 5},
    }
    queue, dead = resources["ConsoleQueue"]["Properties"], resources["ConsoleDeadLetters"]["Properties"]
    assert queue["VisibilityTimeout"] == 6 * resources["ConsoleTablesFunction"]["Properties"]["Timeout"]
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["ConsoleDeadLetters", "Arn"]},
        "maxReceiveCount": 4,
    }
    assert queue["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == 1_209_600
    rule = resources["EventsForConsole"]["Properties"]
    pattern = {"source": ["tuition"], "detail-type": sorted(published_events.FOR_CONSOLE)}
    assert (rule["EventBusName"], rule["EventPattern"]) == ({"Ref": "EventBus"}, pattern)


def test_the_queue_gets_exactly_the_events_that_an_email_follows(resources: dict[str, Any]) -> None:
    rule = resources["EmailsToSend"]["Properties"]
    pattern = {"source": ["tuition"], "detail-type": sorted(core_emails.EVENT_TYPES)}
    assert (rule["EventBusName"], rule["EventPattern"]) == ({"Ref": "EventBus"}, pattern)


def test_the_emails_of_the_stack_alone_bring_bounces_back(resources: dict[str, Any]) -> None:
    configuration = resources["EmailConfigurationSet"]["Properties"]
    assert configuration["SuppressionOptions"] == {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]}
    assert "TrackingOptions" not in configuration
    destination = resources["EmailEvents"]["Properties"]["EventDestination"]
    assert destination["MatchingEventTypes"] == ["bounce", "complaint"], "neither opens nor clicks"
    pattern = resources["UndeliverableEmails"]["Properties"]["EventPattern"]
    assert pattern["detail-type"] == [emails.BOUNCED, emails.COMPLAINED]
    assert pattern["detail"]["mail"]["tags"] == {"ses:configuration-set": [{"Ref": "EmailConfigurationSet"}]}


def test_emails_are_sent_as_the_identity_that_a_parameter_names(expand: Any, resources: dict[str, Any]) -> None:
    def may_send_as(expanded: dict[str, Any]) -> list[Any]:
        (policy,) = expanded["EmailsFunctionRole"]["Properties"]["Policies"]
        (statement,) = [s for s in policy["PolicyDocument"]["Statement"] if s["Action"] == "ses:SendEmail"]
        return [resource for resource in statement["Resource"] if "configuration-set" not in str(resource)]

    assert may_send_as(resources) == []
    arn = "arn:aws:ses:eu-central-1:123456789012:identity/school.example"
    own = expand(SignInSender="a@school.example", SignInSenderArn=arn)["Resources"]
    assert may_send_as(own) in ([arn], [{"Ref": "SignInSenderArn"}])
    assert "EmailIdentity" not in own
    new = expand(SignInSender="a@school.example", EmailDomain="school.example")["Resources"]
    assert new["EmailIdentity"]["Properties"]["EmailIdentity"] in ("school.example", {"Ref": "EmailDomain"})
    (identity,) = may_send_as(new)
    assert str(identity).endswith("identity/${EmailDomain}'}")


def test_the_reconciler_calls_stripe_below_the_limit_of_one_endpoint(resources: dict[str, Any]) -> None:
    """The limit is 25 per second in live mode: https://docs.stripe.com/rate-limits. Both runs work too."""
    workers = resources["ReconcileTasks"]["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    intervals = {
        resources[name]["Properties"]["Environment"]["Variables"]["STRIPE_CALL_INTERVAL_MS"]
        for name in ("ReconcileFunction", "CollectFunction", "ReconcileWorkerFunction")
    }
    assert intervals == {300}
    assert (workers + 2) * 1000 / 300 < 25


def test_the_local_deployment_omits_only_what_the_emulated_aws_cannot_show(expand: Any) -> None:
    """It enforces bucket policies but has no TLS, ignores partial batch responses, and rejects combined metrics.

    It rejects CodeDeploy, so an alias moves to its new version at once.
    """
    expanded = expand()
    local = deploy.without_unsupported(expanded)
    policies = {f"{name}Policy" for name in BUCKETS}
    alarms = of_type(expanded["Resources"], "AWS::CloudWatch::Alarm")
    combined = {name for name, alarm in alarms.items() if "Metrics" in alarm}
    codedeploy = {name for name, r in expanded["Resources"].items() if r["Type"].startswith("AWS::CodeDeploy::")}
    omitted = set(expanded["Resources"]) - set(local["Resources"])
    composites = {"StudentsCannotBuyAlarm"}  # which the deployment makes by API
    assert omitted == {*policies, "AuditStream", "PublishedRecords", *combined, *composites, *codedeploy}
    assert not [name for name, resource in local["Resources"].items() if "UpdatePolicy" in resource]
    roles = of_type(expanded["Resources"], "AWS::IAM::Role")
    changed = {name for name, role in roles.items() if local["Resources"][name]["Properties"] != role}
    senders = {name for name, role in roles.items() if deploy.SEND_MESSAGE in json.dumps(role)}
    assert "PublishFunctionRole" in senders
    assert changed == {"EmailsFunctionRole", *senders}, (
        "it names no resource of SES, and has an action of its own for SQS"
    )
    tasks = dict(expanded["Resources"]["ReconcileTasks"]["Properties"])
    del tasks["ScalingConfig"]  # a parameter's text, which the emulated AWS would compare with a number
    assert local["Resources"]["ReconcileTasks"]["Properties"] == tasks


@pytest.mark.parametrize(
    "function",
    [
        *("ExportFunction", "ReconcileFunction", "AuditFunction", "RecountFunction", "ArchiveCheckFunction"),
        *("CollectFunction", "EraseFunction"),
    ],
)
def test_an_invocation_without_a_caller_is_retried_once_and_then_kept(resources: dict[str, Any], function: str) -> None:
    (config,) = (
        properties
        for properties in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
        if properties["FunctionName"] == {"Ref": function}
    )
    assert config["MaximumRetryAttempts"] == 1
    assert config["MaximumEventAgeInSeconds"] == 3600
    assert config["DestinationConfig"] == {"OnFailure": {"Destination": {"Fn::GetAtt": ["FailedRuns", "Arn"]}}}


def test_the_webhook_may_have_concurrency_of_its_own(expand: Any, resources: dict[str, Any]) -> None:
    assert "ReservedConcurrentExecutions" not in resources["WebhookFunction"]["Properties"]
    reserved = expand(WebhookConcurrency="20")["Resources"]["WebhookFunction"]["Properties"]
    assert reserved["ReservedConcurrentExecutions"] == "20"


def test_every_function_that_runs_without_a_caller_keeps_its_failures(resources: dict[str, Any]) -> None:
    """Another function has a caller that sees its error: the gateway, Cognito, a stream, a queue or CodeDeploy."""
    configured = {p["FunctionName"]["Ref"] for p in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()}
    with_caller = {*BEHIND_THE_GATEWAY, "StaffGroupsFunction", "ArchiveFunction", "ReleaseCheckFunction"}
    with_caller |= {"ReconcileWorkerFunction", "PublishFunction", "AnalyticsFunction", "EmailsFunction"}
    with_caller |= {"ConsoleTablesFunction"}
    assert configured == set(FILES) - with_caller


def test_a_schedule_that_cannot_start_its_function_is_kept(resources: dict[str, Any]) -> None:
    for name, rule in of_type(resources, "AWS::Events::Rule").items():
        for target in rule["Targets"]:
            of_queue = target["Arn"].get("Fn::GetAtt", [""])[0]
            kept = {"EmailQueue": "EmailDeadLetters", "ConsoleQueue": "ConsoleDeadLetters"}
            queue = kept.get(of_queue, "FailedRuns")
            assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": [queue, "Arn"]}}, name
            if name not in ("EmailsToSend", "EventsForConsole"):
                assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 3600}, name
    (statement,) = resources["FailedRunsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Principal"], statement["Action"]) == ({"Service": "events.amazonaws.com"}, "sqs:SendMessage")
    source = "arn:${AWS::Partition}:events:*:${AWS::AccountId}:rule/${AWS::StackName}-*"
    assert statement["Condition"] == {"ArnLike": {"aws:SourceArn": {"Fn::Sub": source}}}
    queue = resources["FailedRuns"]
    assert queue["Properties"] == {"MessageRetentionPeriod": 1_209_600, "SqsManagedSseEnabled": True}
    assert queue["DeletionPolicy"] == "RetainExceptOnCreate"


def test_every_file_in_functions_is_a_function() -> None:
    assert {file.stem for file in (ROOT / "functions").glob("*.py")} == set(FILES.values())


def test_only_the_webhook_and_the_check_of_its_releases_have_the_arn_of_its_secret(resources: dict[str, Any]) -> None:
    for name, properties in of_type(resources, "AWS::Lambda::Function").items():
        variables = properties["Environment"]["Variables"]
        assert ("STRIPE_WEBHOOK_SECRET_ARN" in variables) == (name in ("WebhookFunction", "ReleaseCheckFunction"))
        assert variables["STRIPE_SECRET_ARN"] == {"Fn::GetAtt": ["StripeSecret", "Id"]}


def test_a_function_uses_the_stripe_key_of_its_group(resources: dict[str, Any]) -> None:
    for name, properties in of_type(resources, "AWS::Lambda::Function").items():
        group = properties["Environment"]["Variables"].get("STRIPE_KEY_GROUP")
        assert group == STRIPE_KEY_GROUPS.get(name), name


def test_the_template_contains_no_secret_values(resources: dict[str, Any], template: dict[str, Any]) -> None:
    secrets = of_type(resources, "AWS::SecretsManager::Secret")
    assert set(secrets) == {"StripeSecret", "StripeWebhookSecret"}
    for name, properties in secrets.items():
        assert not {"SecretString", "GenerateSecretString"} & set(properties)
        assert resources[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert not [name for name in template["Parameters"] if "Secret" in name]


def test_settings_come_from_parameters(expand: Any) -> None:
    resources = expand(Environment="blue", StripeLivemode="true", StripePublishableKey="pk_live_1")["Resources"]
    variables = resources["CreatePaymentFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["TUITION_ENVIRONMENT"] == "blue"
    assert variables["STACK_ID"] == {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}
    own = expand(StackId="stack-1")["Resources"]["CreatePaymentFunction"]["Properties"]["Environment"]["Variables"]
    assert own["STACK_ID"] == "stack-1"
    assert variables["STRIPE_LIVEMODE"] == "true"
    assert variables["STRIPE_API_BASE"] == "https://api.stripe.com"
    assert variables["STRIPE_PUBLISHABLE_KEY"] == "pk_live_1"
    assert variables["PAYMENT_METHOD_TYPES"] == "card,us_bank_account"
    assert str(variables["REFUND_WINDOW_DAYS"]) == "14"
    for name in (
        *("DECLINES_PER_HOUR", "DECLINES_PER_DAY", "PAYMENTS_PER_HOUR", "REFUSED_CODES_PER_TEN_MINUTES"),
        *("STRIPE_REQUESTS_BURST", "STRIPE_REQUESTS_PER_MINUTE"),
    ):
        assert int(variables[name]) == getattr(Settings(), name.lower())
    rules = [str(variables[f"PLAN_{name}_DAYS"]) for name in ("GRACE", "RETRY", "GIVE_UP", "NOTICE")]
    assert rules == ["14", "0,3,7,12", "60", "7"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == "tuition"
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "Tuition"


def test_data_outlives_the_stack(resources: dict[str, Any]) -> None:
    retained = (
        "AWS::DynamoDB::Table",
        "AWS::SecretsManager::Secret",
        "AWS::Cognito::UserPool",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SQS::Queue",
    )
    for name, resource in resources.items():
        if resource["Type"] in retained:
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate", name
            assert resource["UpdateReplacePolicy"] == "Retain", name


FUNCTION_PARTS = {
    f"AWS::Lambda::{name}" for name in ("Permission", "EventSourceMapping", "EventInvokeConfig", "Version", "Alias")
}
"""Resources whose `FunctionName` is the function that they belong to."""


def test_no_resource_has_a_fixed_name(resources: dict[str, Any]) -> None:
    properties = {
        "TableName",
        "FunctionName",
        "BucketName",
        "RoleName",
        "LogGroupName",
        "UserPoolName",
        "AlarmName",
    }
    for name, resource in resources.items():
        if resource["Type"] not in FUNCTION_PARTS:
            fixed = properties & set(resource.get("Properties", {}))
            assert fixed == ({"LogGroupName"} if name == "AccessLogs" else set()), name


def test_the_name_of_the_access_log_is_unique_and_needs_no_policy(resources: dict[str, Any]) -> None:
    """CloudWatch Logs writes other groups into one policy of 5,120 characters per account and region."""
    name, values = resources["AccessLogs"]["Properties"]["LogGroupName"]["Fn::Sub"]
    assert name == "/aws/vendedlogs/${AWS::StackName}/${Id}/access"
    assert values == {"Id": {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}}


def test_the_user_pool_has_staff_groups_and_an_optional_hosted_page(expand: Any, resources: dict[str, Any]) -> None:
    groups = of_type(resources, "AWS::Cognito::UserPoolGroup").values()
    assert {group["GroupName"] for group in groups} == {"admin", "support"}
    pool = resources["UserPool"]["Properties"]
    assert pool["DeletionProtection"] == "ACTIVE"
    assert pool["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]
    assert pool["MfaConfiguration"] == "OPTIONAL"
    assert pool["AutoVerifiedAttributes"] == ["email"]
    assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}
    client = resources["UserPoolClient"]["Properties"]
    assert client["AllowedOAuthFlows"] == ["code"]
    assert client["GenerateSecret"] is False
    # Passwords go to Cognito's page or through SRP. A client that accepts passwords would allow password guessing.
    assert set(client["ExplicitAuthFlows"]) == {"ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    assert "HostedUi" not in resources
    hosted = expand(HostedUiDomainPrefix="tuition")["Resources"]["HostedUi"]["Properties"]
    assert hosted["Domain"] == "tuition"


def test_the_pool_sends_its_emails_through_ses_if_it_has_a_sender(expand: Any, template: dict[str, Any]) -> None:
    pool = expand()["Resources"]["UserPool"]["Properties"]
    assert "EmailConfiguration" not in pool
    assert pool["UserPoolTier"] == "LITE"
    arn = "arn:aws:ses:eu-central-1:123456789012:identity/example.org"
    pool = expand(SignInSenderArn=arn, SignInSender="School <a@example.org>")["Resources"]["UserPool"]["Properties"]
    assert pool["EmailConfiguration"] == {
        "EmailSendingAccount": "DEVELOPER",
        "SourceArn": arn,
        "From": "School <a@example.org>",
    }
    assert rule(template, "ProductionPoolHasASender") == (
        {"Fn::And": [equals("Environment", "production"), equals("JwtIssuer", "")]},
        [{"Fn::Not": [equals("SignInSenderArn", "")]}],
    )
    assert rule(template, "SenderIsWhole")[1] == [{"Fn::Not": [equals("SignInSender", "")]}]


def equals(parameter: str, value: str) -> dict[str, Any]:
    return {"Fn::Equals": [{"Ref": parameter}, value]}


def rule(template: dict[str, Any], name: str) -> tuple[Any, list[Any]]:
    """Return the condition of a rule and its assertions."""
    definition = template["Rules"][name]
    return definition["RuleCondition"], [assertion["Assert"] for assertion in definition["Assertions"]]


def test_every_role_has_the_boundary_that_a_company_requires(expand: Any, resources: dict[str, Any]) -> None:
    arn = "arn:aws:iam::123456789012:policy/boundary"
    roles = of_type(expand(PermissionsBoundaryArn=arn)["Resources"], "AWS::IAM::Role")
    assert {role["PermissionsBoundary"] for role in roles.values()} == {arn}
    assert not [role for role in of_type(resources, "AWS::IAM::Role").values() if "PermissionsBoundary" in role]


def test_tracing_and_its_rights_exist_only_if_a_parameter_asks_for_them(expand: Any, resources: dict[str, Any]) -> None:
    assert "Xray" not in str(resources)
    assert not [f for f in of_type(resources, "AWS::Lambda::Function").values() if "TracingConfig" in f]
    traced = expand(Tracing="Active")["Resources"]
    for function in of_type(traced, "AWS::Lambda::Function").values():
        assert function["TracingConfig"] == {"Mode": "Active"}
    for name, role in of_type(traced, "AWS::IAM::Role").items():
        assert name == "ReleaseRole" or [arn for arn in role["ManagedPolicyArns"] if "Xray" in str(arn)], name


def test_every_parameter_is_described_in_plain_words(template: dict[str, Any]) -> None:
    for name, parameter in template["Parameters"].items():
        assert parameter.get("Description", "").endswith("."), name


def test_the_layer_is_built_for_the_processor_of_production(template: dict[str, Any]) -> None:
    assert template["Resources"]["TuitionLayer"]["Metadata"]["BuildArchitecture"] == "arm64"
    assert template["Parameters"]["Architecture"]["Default"] == "arm64"


def test_the_pool_asks_for_the_second_factor_of_staff_before_each_token(expand: Any, resources: dict[str, Any]) -> None:
    trigger = {"PreTokenGeneration": {"Fn::GetAtt": ["StaffGroupsFunction", "Arn"]}}
    assert resources["UserPool"]["Properties"]["LambdaConfig"] == trigger
    assert resources["StaffGroupsFunction"]["Properties"]["Timeout"] == 5
    permission = resources["StaffGroupsFunctionPermission"]["Properties"]
    assert permission["FunctionName"] == {"Ref": "StaffGroupsFunction"}
    assert permission["Principal"] == "cognito-idp.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": ["UserPool", "Arn"]}
    assert "LambdaConfig" not in deploy.without_unsupported(expand())["Resources"]["UserPool"]["Properties"]
    assert "StaffGroupsFunction" not in expand(JwtIssuer="https://login.example.com", JwtAudience="a")["Resources"]


def route(path: str) -> dict[str, Any]:
    return {"ApiId": {"Ref": "HttpApi"}, "Stage": "$default", "Method": "POST", "Resource": path}


API = {"ApiId": {"Ref": "HttpApi"}}
WEBHOOK = {"FunctionName": {"Ref": "WebhookFunction"}}
ARCHIVE = {"FunctionName": {"Ref": "ArchiveFunction"}}
PUBLISH = {"FunctionName": {"Ref": "PublishFunction"}}
FAILED_RUNS = {"QueueName": {"Fn::GetAtt": ["FailedRuns", "QueueName"]}}


def live(function: str) -> dict[str, Any]:
    return {"FunctionName": {"Ref": function}, "Resource": {"Fn::Sub": f"${{{function}}}:live"}}


OURS = {"environment": "test", "service": "tuition"}
DEAD_LETTERS = {"QueueName": {"Fn::GetAtt": ["ReconcileDeadLetters", "QueueName"]}}
UNCOUNTED = {"QueueName": {"Fn::GetAtt": ["AnalyticsDeadLetters", "QueueName"]}}
UNREAD = {"QueueName": {"Fn::GetAtt": ["AnalyticsQueue", "QueueName"]}}
UNSENT = {"QueueName": {"Fn::GetAtt": ["EmailQueue", "QueueName"]}}
UNSTORED = {"QueueName": {"Fn::GetAtt": ["ConsoleQueue", "QueueName"]}}
DEAD_EVENTS = {"QueueName": {"Fn::GetAtt": ["ConsoleDeadLetters", "QueueName"]}}
DEAD_EMAILS = {"QueueName": {"Fn::GetAtt": ["EmailDeadLetters", "QueueName"]}}
ALARMS: dict[str, tuple[str, str, dict[str, Any], str, int, int, float]] = {
    "ApiServerErrorsAlarm": ("AWS/ApiGateway", "5xx", API, "Sum", 300, 1, 5),
    "ApiSlowAlarm": ("AWS/ApiGateway", "Latency", API, "p95", 300, 3, 10_000),
    "CreatePaymentFailsAlarm": ("AWS/ApiGateway", "5xx", route("/api/payments/create-payment"), "Sum", 300, 1, 3),
    "CreateCheckoutSessionFailsAlarm": (
        "AWS/ApiGateway",
        "5xx",
        route("/api/payments/create-checkout-session"),
        "Sum",
        300,
        1,
        3,
    ),
    "WebhookErrorsAlarm": ("AWS/ApiGateway", "5xx", route("/api/payments/webhook"), "Sum", 300, 1, 1),
    "WebhookRefusalsAlarm": ("AWS/ApiGateway", "4xx", route("/api/payments/webhook"), "Sum", 300, 1, 1),
    "SignatureRefusedAlarm": ("Tuition", "SignatureRefused", OURS, "Sum", 300, 1, 1),
    "MisroutedEventAlarm": ("Tuition", "MisroutedEvent", OURS, "Sum", 300, 1, 1),
    "ForeignEventAlarm": ("Tuition", "ForeignEvent", OURS, "Sum", 300, 1, 1),
    "EventAgeAlarm": ("Tuition", "EventAge", OURS, "Maximum", 7200, 1, 21_600),
    "WebhookSlowAlarm": ("AWS/Lambda", "Duration", WEBHOOK, "p99", 300, 1, 23_200),
    "ConcurrencyAlarm": ("AWS/Lambda", "ConcurrentExecutions", {}, "Maximum", 300, 1, 800),
    "FailedRunsAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", FAILED_RUNS, "Maximum", 300, 1, 1),
    "WebhookThrottlesAlarm": ("AWS/Lambda", "Throttles", WEBHOOK, "Sum", 300, 1, 1),
    "QuarantineAlarm": ("Tuition", "EventQuarantined", OURS, "Sum", 300, 1, 1),
    "AttentionAlarm": ("Tuition", "AttentionRaised", OURS, "Sum", 300, 1, 1),
    "DeclinesAlarm": ("Tuition", "ChargeDeclined", OURS, "Sum", 300, 1, 50),
    "StripeRateLimitedAlarm": ("Tuition", "StripeRateLimited", OURS, "Sum", 300, 1, 10),
    "WithdrawalOverdueAlarm": ("Tuition", "WithdrawalOverdue", OURS, "Maximum", 86_400, 1, 1),
    "ReconcileAgeAlarm": ("Tuition", "ReconcileAge", OURS, "Maximum", 7200, 1, 7200),
    "RefundRequestAgeAlarm": ("Tuition", "RefundRequestAge", OURS, "Maximum", 7200, 1, 3 * 86400),
    "ReconcileFailedAlarm": ("Tuition", "ReconcileFailed", OURS, "Sum", 300, 1, 1),
    "ReconcileBacklogAlarm": ("Tuition", "ReconcileBacklog", OURS, "Maximum", 3600, 3, 1),
    "CollectBacklogAlarm": ("Tuition", "CollectBacklog", OURS, "Maximum", 3600, 3, 1),
    "StripeClockAlarm": ("Tuition", "StripeClockDifference", OURS, "Maximum", 3600, 1, 300),
    "ReconcileDeadLettersAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", DEAD_LETTERS, "Maximum", 300, 1, 1),
    "ReconcileDriftAlarm": ("Tuition", "ReconcileDrift", OURS, "Sum", 300, 1, 1),
    "BooksDifferenceAlarm": ("Tuition", "BooksDifference", OURS, "Sum", 300, 1, 1),
    "AnalyticsDifferenceAlarm": ("Tuition", "AnalyticsDifference", OURS, "Sum", 300, 1, 1),
    "RecountAgeAlarm": ("Tuition", "RecountAge", OURS, "Minimum", 86_400, 2, 86_400),
    "DigestAgeAlarm": ("Tuition", "DigestAge", OURS, "Maximum", 7200, 1, 7200),
    "PaymentsListedAlarm": ("Tuition", "PaymentsListed", OURS, "Sum", 300, 1, 1),
    "RetentionAgeAlarm": ("Tuition", "RetentionAge", OURS, "Minimum", 86_400, 2, 864_000),
    "ExpiredEventAlarm": ("Tuition", "ExpiredEvent", OURS, "Sum", 300, 1, 1),
    "ArchiveCheckAgeAlarm": ("Tuition", "ArchiveCheckAge", OURS, "Minimum", 86_400, 2, 86_400),
    "ArchiveScanAgeAlarm": ("Tuition", "ArchiveScanAge", OURS, "Minimum", 86_400, 2, 1_814_400),
    "ArchiveLockAgeAlarm": ("Tuition", "ArchiveLockAge", OURS, "Minimum", 86_400, 2, 1_209_600),
    "StaffDigestAgeAlarm": ("Tuition", "StaffDigestAge", OURS, "Minimum", 86_400, 2, 86_400),
    "AnalyticsDeadLettersAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", UNCOUNTED, "Maximum", 300, 1, 1),
    "AnalyticsAgeAlarm": ("AWS/SQS", "ApproximateAgeOfOldestMessage", UNREAD, "Maximum", 300, 1, 900),
    "BooksAgeAlarm": ("Tuition", "BooksAge", OURS, "Minimum", 86_400, 2, 86_400),
    "AuditRecordChangedAlarm": ("Tuition", "AuditRecordChanged", OURS, "Sum", 60, 1, 1),
    "ArchiveIncompleteAlarm": ("Tuition", "ArchiveIncomplete", OURS, "Sum", 300, 1, 1),
    "ArchiveLockFailedAlarm": ("Tuition", "ArchiveLockFailed", OURS, "Sum", 300, 1, 1),
    "RecordNotArchivedAlarm": ("Tuition", "RecordNotArchived", OURS, "Sum", 300, 1, 1),
    "AuditStreamFailedAlarm": ("Tuition", "AuditStreamFailed", OURS, "Sum", 300, 1, 1),
    "EmailUnsentAlarm": ("Tuition", "EmailUnsent", OURS, "Sum", 300, 1, 1),
    "EmailDroppedAlarm": ("Tuition", "EmailDropped", OURS, "Sum", 300, 1, 1),
    "EmailBouncedAlarm": ("Tuition", "EmailBounced", OURS, "Sum", 3600, 1, 10),
    "EmailAgeAlarm": ("AWS/SQS", "ApproximateAgeOfOldestMessage", UNSENT, "Maximum", 300, 1, 3600),
    "EmailDeadLettersAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", DEAD_EMAILS, "Maximum", 300, 1, 1),
    "ConsoleTablesErrorsAlarm": (
        "AWS/Lambda",
        "Errors",
        {"FunctionName": {"Ref": "ConsoleTablesFunction"}},
        "Sum",
        300,
        1,
        1,
    ),
    "ConsoleAgeAlarm": ("AWS/SQS", "ApproximateAgeOfOldestMessage", UNSTORED, "Maximum", 300, 1, 900),
    "ConsoleDeadLettersAlarm": ("AWS/SQS", "ApproximateNumberOfMessagesVisible", DEAD_EVENTS, "Maximum", 300, 1, 1),
    "CreatePaymentErrorsAlarm": ("AWS/Lambda", "Errors", live("CreatePaymentFunction"), "Sum", 60, 1, 1),
    "CreateCheckoutSessionErrorsAlarm": (
        "AWS/Lambda",
        "Errors",
        live("CreateCheckoutSessionFunction"),
        "Sum",
        60,
        1,
        1,
    ),
    "PaymentStatusErrorsAlarm": ("AWS/Lambda", "Errors", live("PaymentStatusFunction"), "Sum", 60, 1, 1),
    "MeErrorsAlarm": ("AWS/Lambda", "Errors", live("MeFunction"), "Sum", 60, 1, 1),
    "EraseErrorsAlarm": ("AWS/Lambda", "Errors", live("EraseFunction"), "Sum", 60, 1, 1),
    "ErasureAgeAlarm": ("Tuition", "ErasureAge", OURS, "Maximum", 3600, 1, 86_400),
    "PlansErrorsAlarm": ("AWS/Lambda", "Errors", live("PlansFunction"), "Sum", 60, 1, 1),
    "RequestRefundErrorsAlarm": ("AWS/Lambda", "Errors", live("RequestRefundFunction"), "Sum", 60, 1, 1),
    "MyEmailErrorsAlarm": ("AWS/Lambda", "Errors", live("MyEmailFunction"), "Sum", 60, 1, 1),
    "WebhookFunctionErrorsAlarm": ("AWS/Lambda", "Errors", live("WebhookFunction"), "Sum", 60, 1, 1),
    "AdminErrorsAlarm": ("AWS/Lambda", "Errors", live("AdminFunction"), "Sum", 60, 1, 1),
    "CollectErrorsAlarm": ("AWS/Lambda", "Errors", live("CollectFunction"), "Sum", 60, 1, 1),
    "ReconcileErrorsAlarm": ("AWS/Lambda", "Errors", live("ReconcileFunction"), "Sum", 60, 1, 1),
    "ReconcileWorkerErrorsAlarm": ("AWS/Lambda", "Errors", live("ReconcileWorkerFunction"), "Sum", 60, 1, 1),
    "AuditErrorsAlarm": ("AWS/Lambda", "Errors", live("AuditFunction"), "Sum", 60, 1, 1),
    "ArchiveErrorsAlarm": ("AWS/Lambda", "Errors", ARCHIVE, "Sum", 300, 1, 1),
    "PublishErrorsAlarm": ("AWS/Lambda", "Errors", PUBLISH, "Sum", 300, 1, 1),
    "PublishAgeAlarm": ("AWS/Lambda", "IteratorAge", PUBLISH, "Maximum", 300, 1, 60_000),
    "RecordUnpublishableAlarm": ("Tuition", "RecordUnpublishable", OURS, "Sum", 300, 1, 1),
    "EventNotPublishedAlarm": ("Tuition", "EventNotPublished", OURS, "Sum", 300, 1, 1),
    "ArchiveAgeAlarm": ("AWS/Lambda", "IteratorAge", ARCHIVE, "Maximum", 300, 1, 900_000),
}
"""Namespace, metric, dimensions, statistic, period in seconds, number of periods, threshold."""
AGES_OF_RUNS = (
    *("ReconcileAgeAlarm", "BooksAgeAlarm", "RecountAgeAlarm", "DigestAgeAlarm", "ErasureAgeAlarm"),
    *("RetentionAgeAlarm", "ArchiveCheckAgeAlarm", "ArchiveScanAgeAlarm", "StaffDigestAgeAlarm"),
    *("ArchiveLockAgeAlarm", "StripeClockAlarm"),
)
"""The alarms that also ring without data: then the run on a schedule does not run at all."""


def single_metric_alarms(resources: dict[str, Any]) -> dict[str, Any]:
    """Return the alarms on one metric. `test_alarms.py` has the ones that combine several."""
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")
    return {name: alarm for name, alarm in alarms.items() if "Metrics" not in alarm}


def test_the_template_has_exactly_these_alarms(resources: dict[str, Any]) -> None:
    assert set(single_metric_alarms(resources)) == set(ALARMS) - {"ForeignEventAlarm"}


def test_foreign_events_have_an_alarm_only_if_a_parameter_asks_for_it(expand: Any) -> None:
    assert set(single_metric_alarms(expand(AlarmOnForeignEvents="true")["Resources"])) == set(ALARMS)


@pytest.mark.parametrize("alarm", ALARMS)
def test_an_alarm_watches_its_metric_and_notifies_the_topic(expand: Any, alarm: str) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:oncall"
    properties = expand(AlarmTopicArn=topic, AlarmOnForeignEvents="true")["Resources"][alarm]["Properties"]
    namespace, metric, dimensions, statistic, period, periods, threshold = ALARMS[alarm]
    assert properties.pop("AlarmDescription")
    assert {d["Name"]: d["Value"] for d in properties.pop("Dimensions", [])} == dimensions
    assert properties == {
        "Namespace": namespace,
        "MetricName": metric,
        "ExtendedStatistic" if statistic.startswith("p") else "Statistic": statistic,
        "Period": period,
        "EvaluationPeriods": periods,
        "Threshold": threshold,
        "ComparisonOperator": f"GreaterThan{'' if statistic.startswith('p') else 'OrEqualTo'}Threshold",
        "TreatMissingData": "breaching" if alarm in AGES_OF_RUNS else "notBreaching",
        "AlarmActions": [topic],
        "OKActions": [topic],
    }
    without_topic = expand(AlarmOnForeignEvents="true")["Resources"][alarm]["Properties"]
    assert without_topic["AlarmActions"] == without_topic["OKActions"] == []


def test_every_metric_of_the_code_has_an_alarm(resources: dict[str, Any]) -> None:
    metrics = set()
    for folder in ("functions", "layers/tuition/tuition"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in ("metrics.count", "metrics.age"):
                    metrics.add(ast.literal_eval(node.args[0]))
    alone = {metric for namespace, metric, *_ in ALARMS.values() if namespace == "Tuition"}
    of_several = [
        item["MetricStat"]["Metric"]
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        for item in alarm.get("Metrics", [])
        if "MetricStat" in item
    ]
    assert metrics == alone | {metric["MetricName"] for metric in of_several if metric["Namespace"] == "Tuition"}


@pytest.mark.parametrize("metric", ["5xx", "4xx"])
def test_every_webhook_route_has_an_alarm(resources: dict[str, Any], metric: str) -> None:
    paths = [path for path in resources["HttpApi"]["Properties"]["Body"]["paths"] if "webhook" in path]
    routes = [dimensions for _, name, dimensions, *_ in ALARMS.values() if name == metric and dimensions != API]
    assert {dimensions["Resource"] for dimensions in routes} >= set(paths)
    (stage,) = of_type(resources, "AWS::ApiGatewayV2::Stage").values()
    for dimensions in routes:
        settings = stage["RouteSettings"][f"{dimensions['Method']} {dimensions['Resource']}"]
        assert settings["DetailedMetricsEnabled"] is True


def test_the_eu_requires_a_refund_window_of_fourteen_days(template: dict[str, Any]) -> None:
    parameters = {name: parameter.get("Default", "") for name, parameter in template["Parameters"].items()}
    condition, (assertion,) = rule(template, "WithdrawalPeriodIsLongEnough")
    for region, is_eu in (("US", False), ("EU", True)):
        assert deploy.is_true(condition, {}, {**parameters, "ConsumerRegion": region}) == is_eu
    for days in range(40):
        assert deploy.is_true(assertion, {}, {**parameters, "RefundWindowDays": str(days)}) == (days >= 14)
