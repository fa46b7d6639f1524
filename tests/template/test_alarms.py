"""Every alarm and every graph of the dashboard reads a metric that exists, and the runbook explains every alarm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from local import deploy
from local.build import ROOT
from tests.template.conftest import of_type
from tuition import metrics

Metric = tuple[str, str, frozenset[str]]
"""A namespace, a name, and the names of the dimensions."""

LAMBDA = [{"FunctionName"}, set(), {"FunctionName", "Resource"}]
API = [{"ApiId"}, {"ApiId", "Stage", "Method", "Resource"}]
INDEX = {"TableName", "GlobalSecondaryIndexName"}
POOL = [{"UserPool", "UserPoolClient"}]
DOCUMENTED: dict[tuple[str, str], list[set[str]]] = {
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): LAMBDA,
    ("AWS/Lambda", "Throttles"): LAMBDA,
    ("AWS/Lambda", "Invocations"): LAMBDA,
    ("AWS/Lambda", "Duration"): LAMBDA,
    ("AWS/Lambda", "IteratorAge"): LAMBDA,
    ("AWS/Lambda", "DestinationDeliveryFailures"): LAMBDA,
    ("AWS/Lambda", "ConcurrentExecutions"): LAMBDA,
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html
    ("AWS/ApiGateway", "Count"): API,
    ("AWS/ApiGateway", "4xx"): API,
    ("AWS/ApiGateway", "5xx"): API,
    ("AWS/ApiGateway", "Latency"): API,
    # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    ("AWS/DynamoDB", "ReadThrottleEvents"): [{"TableName"}, INDEX],
    ("AWS/DynamoDB", "WriteThrottleEvents"): [{"TableName"}, INDEX],
    ("AWS/DynamoDB", "OnlineIndexThrottleEvents"): [INDEX],
    ("AWS/DynamoDB", "ConsumedWriteCapacityUnits"): [{"TableName"}, INDEX],
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html: with the bus unless it is the default
    ("AWS/Events", "InvocationsFailedToBeSentToDlq"): [{"RuleName"}, {"EventBusName", "RuleName"}],
    ("AWS/Events", "Invocations"): [{"RuleName"}, {"EventBusName", "RuleName"}],
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): [{"QueueName"}],
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): [{"QueueName"}],
    # https://docs.aws.amazon.com/cognito/latest/developerguide/metrics-for-cognito-user-pools.html
    ("AWS/Cognito", "SignInThrottles"): POOL,
    ("AWS/Cognito", "SignUpThrottles"): POOL,
    ("AWS/Cognito", "TokenRefreshThrottles"): POOL,
    # https://docs.aws.amazon.com/ses/latest/dg/event-publishing-add-event-destination-cloudwatch.html: of the account
    ("AWS/SES", "Send"): [set()],
    ("AWS/SES", "Bounce"): [set()],
}
LARGEST_SUM = 10
"""https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-limits.html"""
QUERY = re.compile(r'SELECT SUM\((\w+)\) FROM SCHEMA\("([\w/]+)", ([\w, ]+)\)( WHERE TableName = \'\$\{(\w+)\}\')?')
TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def emitted() -> set[Metric]:
    """The metrics that the code can emit, as its library writes them."""
    names = {name for kind in (metrics.count, metrics.age) for name in get_args(get_type_hints(kind)["name"])}
    return {("Tuition", name, frozenset({"environment", "service"})) for name in names}


def alarms(expand: Any) -> dict[str, Any]:
    return of_type(expand(AlarmOnForeignEvents="true", AlarmTopicArn=TOPIC)["Resources"], "AWS::CloudWatch::Alarm")


def of_alarm(alarm: dict[str, Any]) -> Iterator[Metric]:
    """Yield the metrics of an alarm on one metric, on a sum, or on a query."""
    stats = [item["MetricStat"]["Metric"] for item in alarm.get("Metrics", []) if "MetricStat" in item]
    for metric in [alarm] if "MetricName" in alarm else stats:
        dimensions = frozenset(dimension["Name"] for dimension in metric.get("Dimensions", []))
        yield metric["Namespace"], metric["MetricName"], dimensions
    for item in alarm.get("Metrics", []):
        if query := sql(item):
            match = QUERY.fullmatch(query)
            assert match, query
            yield match[2], match[1], frozenset(match[3].split(", "))


def sql(item: dict[str, Any]) -> str | None:
    """Return the query of a part of an alarm, if it is one."""
    expression = item.get("Expression", "")
    text = expression["Fn::Sub"] if isinstance(expression, dict) else expression
    return text if text.startswith("SELECT") else None


def exists(metric: Metric) -> bool:
    namespace, name, dimensions = metric
    return metric in emitted() or set(dimensions) in DOCUMENTED.get((namespace, name), [])


def test_the_code_emits_its_metrics_with_the_dimensions_that_alarms_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, resources: dict[str, Any]
) -> None:
    variables = resources["WebhookFunction"]["Properties"]["Environment"]["Variables"]
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", variables["POWERTOOLS_SERVICE_NAME"])
    metrics.count("AttentionRaised")
    metrics.age("EventAge", 1.0)
    for line in capsys.readouterr().out.splitlines():
        (written,) = json.loads(line)["_aws"]["CloudWatchMetrics"]
        name = written["Metrics"][0]["Name"]
        assert (written["Namespace"], name, frozenset(written["Dimensions"][0])) in emitted()


def test_every_alarm_watches_a_metric_that_exists(expand: Any) -> None:
    for name, alarm in alarms(expand).items():
        watched = list(of_alarm(alarm))
        assert watched, name
        for metric in watched:
            assert exists(metric), f"{name}: {metric}"


def test_an_alarm_on_a_metric_that_does_not_exist_is_refused() -> None:
    assert not exists(("Tuition", "PaymentsMade", frozenset({"environment", "service"})))
    assert not exists(("AWS/Lambda", "Errors", frozenset({"Function"})))
    assert not exists(("AWS/DynamoDB", "WriteThrottleEvents", frozenset({"Table"})))


STOPPED = {"AuditStream": "ArchiveStoppedAlarm", "PublishedRecords": "PublishStoppedAlarm"}
"""The alarm that rings if a mapping of the audit table's stream delivers nothing."""
RULES_STOPPED = {
    "EmailsStoppedAlarm": ("EmailsToSend", "EmailEventPublished"),
    "ConsoleStoppedAlarm": ("EventsForConsole", "ConsoleEventPublished"),
}
"""The alarm that rings if a rule queues nothing, with the rule, and the count of the events that it should queue."""
AGES = {"AnalyticsRecords": "AnalyticsAgeAlarm", "EmailMessages": "EmailAgeAlarm", "ConsoleEvents": "ConsoleAgeAlarm"}
"""The alarm that rings if a mapping of a queue delivers nothing: a queue has an age without any reader."""
WITHOUT_ALARM = {"ReconcileTasks"}
"""Its workers only help: the hourly run does their tasks itself, or rings `ReconcileBacklogAlarm`."""


def combined(expand: Any) -> dict[str, Any]:
    """Return the alarms on several metrics, but for those on what has stopped, which have tests of their own."""
    own = {*STOPPED.values(), *RULES_STOPPED}
    return {name: alarm for name, alarm in alarms(expand).items() if "Metrics" in alarm and name not in own}


def test_a_combined_alarm_returns_one_result_of_at_most_ten_metrics(expand: Any) -> None:
    assert len(combined(expand)) == 21
    for name, alarm in combined(expand).items():
        results = [item for item in alarm["Metrics"] if item["ReturnData"]]
        stats = [item for item in alarm["Metrics"] if "MetricStat" in item]
        assert len(results) == 1, name
        assert len(stats) <= LARGEST_SUM, name
        assert len({item["Id"] for item in alarm["Metrics"]}) == len(alarm["Metrics"]), name
        assert all(re.fullmatch(r"[a-z]\w*", item["Id"]) for item in alarm["Metrics"]), name
        assert sql(results[0]) or results[0]["Expression"] in ("SUM(METRICS())", "MAX(METRICS())"), name
        assert {item["MetricStat"]["Period"] for item in stats} <= {300}, name


@pytest.mark.parametrize("topic", ["", "arn:aws:sns:us-east-1:123456789012:oncall"])
def test_every_combined_alarm_notifies_the_topic_of_its_start_and_end(expand: Any, topic: str) -> None:
    resources = expand(AlarmTopicArn=topic)["Resources"]
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == ([topic] if topic else []), name
        if "Metrics" in alarm:
            assert alarm["TreatMissingData"] == "notBreaching", name
            periods = {**dict.fromkeys(STOPPED.values(), 24), **dict.fromkeys(RULES_STOPPED, 3)}
            assert alarm["EvaluationPeriods"] == periods.get(name, 1), name


COMPOSITE = "AWS::CloudWatch::CompositeAlarm"
OPERAND = re.compile(r'ALARM\("\$\{(\w+)\}"\)')
BUYING_FAILS = [
    {"CreatePaymentFailsAlarm"},
    {"CreateCheckoutSessionFailsAlarm"},
    {"WebhookErrorsAlarm", "ApiServerErrorsAlarm"},
]
"""The least sets of alarms with which students cannot buy, or pay without effect."""


def rule_of(expand: Any) -> str:
    rule: str = of_type(expand()["Resources"], COMPOSITE)["StudentsCannotBuyAlarm"]["AlarmRule"]["Fn::Sub"]
    return rule


def rings(rule: str, ringing: set[str]) -> bool:
    """Evaluate a rule of `ALARM`, `AND`, `OR` and parentheses while these alarms ring."""
    text = OPERAND.sub(lambda match: str(match[1] in ringing), rule).replace("AND", "and").replace("OR", "or")
    assert re.fullmatch(r"(True|False|and|or|[() \n])+", text), text
    return bool(eval(text))  # noqa: S307 (nothing but the words above)


def test_students_cannot_buy_names_alarms_that_the_local_stack_has_too(expand: Any) -> None:
    names = OPERAND.findall(rule_of(expand))
    assert len(names) == 4
    assert all("Metrics" not in alarms(expand)[name] for name in names)


def test_students_cannot_buy_rings_for_exactly_these_alarms(expand: Any) -> None:
    rule, names = rule_of(expand), sorted(alarms(expand))
    for least in BUYING_FAILS:
        assert rings(rule, least)
        assert not any(rings(rule, least - {name}) for name in least)
    silent = set(names) - {"CreatePaymentFailsAlarm", "CreateCheckoutSessionFailsAlarm"}
    assert not rings(rule, silent - {"WebhookErrorsAlarm"})
    assert not rings(rule, silent - {"ApiServerErrorsAlarm"})


def test_students_cannot_buy_notifies_the_topic_of_its_start_and_end(expand: Any) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:oncall"
    for parameters, actions in (({"AlarmTopicArn": topic}, [topic]), ({}, [])):
        (alarm,) = of_type(expand(**parameters)["Resources"], COMPOSITE).values()
        assert alarm["AlarmActions"] == alarm["OKActions"] == actions


def references(expand: Any, metric: str, dimension: str) -> list[str]:
    """Return the resources whose figures of this metric some alarm watches, each as often as it is watched."""
    result = []
    for alarm in alarms(expand).values():
        stats = [item["MetricStat"]["Metric"] for item in alarm.get("Metrics", []) if "MetricStat" in item]
        for watched in [*stats, *([alarm] if "MetricName" in alarm else [])]:
            if watched["MetricName"] == metric:
                values = [d["Value"] for d in watched.get("Dimensions", []) if d["Name"] == dimension]
                result += [re.findall(r'"Ref": "(\w+)"', json.dumps(value))[0] for value in values]
    return sorted(result)


def test_the_errors_of_every_function_raise_an_alarm(expand: Any, resources: dict[str, Any]) -> None:
    """A failure of the release check fails the release itself."""
    watched = set(references(expand, "Errors", "FunctionName"))
    assert watched == set(of_type(resources, "AWS::Lambda::Function")) - {"ReleaseCheckFunction"}


def test_every_function_that_may_run_for_minutes_raises_an_alarm_before_its_timeout(
    expand: Any, resources: dict[str, Any]
) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    long = {name for name, function in functions.items() if function["Timeout"] >= 300}
    assert set(references(expand, "Duration", "FunctionName")) == long | {"WebhookFunction"}
    assert alarms(expand)["LongRunAlarm"]["Threshold"] == 900_000 * 80 // 100
    assert {functions[name]["Timeout"] for name in long} == {900}
    assert alarms(expand)["WebhookSlowAlarm"]["Threshold"] == functions["WebhookFunction"]["Timeout"] * 1000 * 80 // 100


def test_every_reader_of_a_queue_or_stream_rings_an_alarm_if_it_stops(expand: Any) -> None:
    """Also if its mapping is disabled or lost, when a function has no errors and no age."""
    mappings = of_type(expand()["Resources"], "AWS::Lambda::EventSourceMapping")
    assert set(mappings) == {*STOPPED, *AGES, *WITHOUT_ALARM}
    for mapping, name in AGES.items():
        alarm = alarms(expand)[name]
        (dimension,) = alarm["Dimensions"]
        queue = mappings[mapping]["EventSourceArn"]["Fn::GetAtt"][0]
        assert (alarm["MetricName"], dimension["Value"]["Fn::GetAtt"][0]) == ("ApproximateAgeOfOldestMessage", queue)
    for mapping, name in STOPPED.items():
        alarm = alarms(expand)[name]
        watched = {item["Id"]: item["MetricStat"] for item in alarm["Metrics"] if "MetricStat" in item}
        values = {key: stat["Metric"]["Dimensions"][0]["Value"]["Ref"] for key, stat in watched.items()}
        table = mappings[mapping]["EventSourceArn"]["Fn::GetAtt"][0]
        assert values == {"written": table, "runs": mappings[mapping]["FunctionName"]["Ref"]}
        assert {stat["Period"] for stat in watched.values()} == {3600}


@pytest.mark.parametrize(
    ("written", "runs", "rings_within"),
    [
        ([0] * 24, [0] * 24, 0),  # nothing to read
        ([5] * 24, [3] * 24, 0),
        ([0] * 20 + [5, 0, 0, 0], [0] * 21 + [1, 0, 0], 0),  # the last record of an hour, read in the next
        ([0] * 20 + [5, 0, 0, 5], [0] * 24, 24),
        ([5] * 24, [3] * 22 + [0, 0], 24),
    ],
)
def test_a_reader_has_stopped_if_two_hours_with_writes_have_no_run(
    expand: Any, written: list[int], runs: list[int], rings_within: int
) -> None:
    """The expression in Python: `FILL` makes 0 of an hour without data."""
    for name in STOPPED.values():
        alarm = alarms(expand)[name]
        (expression,) = [item["Expression"] for item in alarm["Metrics"] if item["ReturnData"]]
        assert expression == "IF(FILL(written, 0) > 0 AND FILL(runs, 0) == 0, 1, 0)"
        breaching = sum(w > 0 and r == 0 for w, r in zip(written, runs, strict=True))
        assert (breaching >= alarm["DatapointsToAlarm"]) == bool(rings_within)


@pytest.mark.parametrize(
    ("published", "invocations", "first"),
    [
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], None),  # a quiet hour
        ([0, 3, 0, 0, 2], [0, 3, 0, 0, 2], None),
        ([0, 1, 0, 0, 0], [0, 0, 1, 0, 0], None),  # published at the end of a period, and queued in the next
        ([0, 1, 0, 0, 0], [0, 0, 0, 0, 0], 2),
        ([4, 1, 0, 0, 0], [4, 0, 0, 0, 0], 2),  # disabled after the first period
        ([4, 1, 5, 2, 3], [4, 0, 0, 0, 0], 2),
        ([1, 1, 1, 1, 1], [0, 0, 0, 0, 0], 1),  # disabled for long, so that AWS has no count at all
    ],
)
def test_a_rule_has_stopped_if_it_queues_nothing_in_the_period_of_an_event_and_the_next(
    expand: Any, published: list[int], invocations: list[int], first: int | None
) -> None:
    """The expressions in Python. `DIFF` is the difference to the period before. The first period has none.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
    """
    for name in RULES_STOPPED:
        alarm = alarms(expand)[name]
        assert {item["Id"]: item["Expression"] for item in alarm["Metrics"] if "Expression" in item} == {
            "result": "IF(asked - DIFF(asked) > 0 AND 2 * queued - DIFF(queued) == 0, 1, 0)",
            "asked": "SUM([published, TIME_SERIES(0)])",
            "queued": "SUM([invocations, TIME_SERIES(0)])",
        }
        assert alarm["DatapointsToAlarm"] == alarm["Threshold"] == 1

    def breaches(period: int) -> bool:
        asked_diff, queued_diff = (series[period] - series[period - 1] for series in (published, invocations))
        return published[period] - asked_diff > 0 and 2 * invocations[period] - queued_diff == 0

    breaching = [period for period in range(1, len(published)) if breaches(period)]
    assert breaching[:1] == ([] if first is None else [first])


DELAY_OF_METRICS_S = 900
"""AWS's metrics are complete by then."""


@pytest.mark.parametrize("alarm", RULES_STOPPED)
def test_a_stopped_rule_is_noticed_within_an_hour(expand: Any, alarm: str) -> None:
    resources, (name, published) = expand()["Resources"], RULES_STOPPED[alarm]
    stats = {item["Id"]: item["MetricStat"] for item in alarms(expand)[alarm]["Metrics"] if "MetricStat" in item}
    ((statistic, period_s),) = {(stat["Stat"], stat["Period"]) for stat in stats.values()}
    assert statistic == "Sum"
    assert 2 * period_s + DELAY_OF_METRICS_S <= 3600
    dimensions = {one["Name"]: one["Value"] for one in stats["invocations"]["Metric"]["Dimensions"]}
    of_arn = {"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": [name, "Arn"]}]}]}
    assert dimensions == {"EventBusName": {"Ref": "EventBus"}, "RuleName": of_arn}
    rule = resources[name]["Properties"]
    assert rule["EventBusName"] == dimensions["EventBusName"] and rule.get("State", "ENABLED") == "ENABLED"
    assert stats["published"]["Metric"]["MetricName"] == published


TOPIC = "arn:aws:sns:us-east-1:123456789012:oncall"


def test_a_failure_that_cannot_be_kept_raises_an_alarm(expand: Any) -> None:
    """The destination of a mapping of a stream, and of an invocation without a caller.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    resources = expand()["Resources"]
    parts = [*of_type(resources, "AWS::Lambda::EventSourceMapping").values()]
    parts += of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
    kept = [part["FunctionName"]["Ref"] for part in parts if "OnFailure" in part.get("DestinationConfig", {})]
    assert len(kept) == 12
    assert references(expand, "DestinationDeliveryFailures", "FunctionName") == sorted(kept)


def test_an_event_that_cannot_be_kept_raises_an_alarm(expand: Any) -> None:
    """Each rule keeps what its targets did not take. The ARN of a rule of the stack's own bus ends in `bus/rule`."""
    resources = expand(AlarmTopicArn=TOPIC)["Resources"]
    rules = of_type(resources, "AWS::Events::Rule")
    assert all("DeadLetterConfig" in target for rule in rules.values() for target in rule["Targets"])
    watched = [
        {one["Name"]: one["Value"] for one in item["MetricStat"]["Metric"]["Dimensions"]}
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        for item in alarm.get("Metrics", [])
        if item.get("MetricStat", {}).get("Metric", {}).get("MetricName") == "InvocationsFailedToBeSentToDlq"
    ]
    for name, rule in rules.items():
        expected: dict[str, Any] = {"RuleName": {"Ref": name}}
        if "EventBusName" in rule:
            of_arn = {"Fn::Select": [2, {"Fn::Split": ["/", {"Fn::GetAtt": [name, "Arn"]}]}]}
            expected = {"EventBusName": rule["EventBusName"], "RuleName": of_arn}
        assert expected in watched, name
    assert len(watched) == len(rules)


def test_the_alarm_on_a_rule_that_needs_a_topic_exists_with_it_only(expand: Any) -> None:
    sources = [item["Id"] for item in expand()["Resources"]["RunsNotKeptAlarm"]["Properties"]["Metrics"]]
    assert "tableProtectionChanged" not in sources


@pytest.mark.parametrize("metric", ["ReadThrottleEvents", "WriteThrottleEvents"])
def test_the_throttles_of_every_table_raise_an_alarm(expand: Any, resources: dict[str, Any], metric: str) -> None:
    assert references(expand, metric, "TableName") == sorted(of_type(resources, "AWS::DynamoDB::Table"))


def test_the_throttles_of_every_index_raise_an_alarm(expand: Any, resources: dict[str, Any]) -> None:
    queries = [sql(item) for alarm in alarms(expand).values() for item in alarm.get("Metrics", [])]
    watched = {match[5] for query in queries if query and (match := QUERY.fullmatch(query)) and match[5]}
    tables = of_type(resources, "AWS::DynamoDB::Table")
    assert {name for name, table in tables.items() if "GlobalSecondaryIndexes" in table} <= watched
    assert [query for query in queries if query and "OnlineIndexThrottleEvents" in query]


def test_alarms_on_sign_in_exist_with_the_templates_pool_only(expand: Any) -> None:
    outside = expand(JwtIssuer="https://login.example.com", JwtAudience="tuition")["Resources"]
    assert "SignInThrottlesAlarm" not in outside
    sources = [item.get("Id") for item in outside["StaffFunctionErrorsAlarm"]["Properties"]["Metrics"]]
    assert "staffGroups" not in sources


def test_every_graph_of_the_dashboard_shows_a_metric_that_exists(resources: dict[str, Any]) -> None:
    body = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    shown = 0
    for widget in body["widgets"]:
        for entry in widget["properties"]["metrics"]:
            namespace, name, *rest = [part for part in entry if isinstance(part, str)]
            assert exists((namespace, name, frozenset(rest[::2]))), entry
            for reference in re.findall(r"\$\{(\w+)\}", " ".join(rest)):
                assert reference in resources or reference == "Environment", reference
            shown += 1
    assert shown > 20


def test_the_dashboard_shows_what_became_of_emails(resources: dict[str, Any]) -> None:
    body = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    names = {entry[1] for widget in body["widgets"] for entry in widget["properties"]["metrics"]}
    assert {"Send", "EmailUnsent", "EmailDropped", "EmailBounced"} <= names


def rows() -> dict[str, list[str]]:
    """The runbook's row of each alarm."""
    section = TEXT.split("## Alarms\n")[1].split("\n## ")[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name: cells for cells in table for name in re.findall(r"`(\w+Alarm)`", cells[0])}


def test_the_runbook_explains_every_alarm_and_says_whether_it_wakes_someone(expand: Any) -> None:
    assert set(rows()) | {"ForeignEventAlarm"} == {*alarms(expand), *of_type(expand()["Resources"], COMPOSITE)}
    for name, cells in rows().items():
        assert len(cells) == 5, name
        assert re.match(r"\w+", cells[4])[0] in ("yes", "no"), name  # type: ignore[index]


def test_the_page_lists_every_schedule_and_mapping_and_the_alarm_that_rings_if_it_stops(expand: Any) -> None:
    section = TEXT.split("## Schedules and queues\n")[1].split("\n## ")[0]
    resources = expand()["Resources"]
    rules = of_type(resources, "AWS::Events::Rule").values()
    schedules = {rule["ScheduleExpression"] for rule in rules if "ScheduleExpression" in rule}
    written = set(re.findall(r"`([^`]+)`", section))
    assert {name for name in written if re.match(r"(rate|cron)\(", name)} == schedules
    assert written >= set(of_type(resources, "AWS::Lambda::EventSourceMapping"))
    assert {name for name in written if name.endswith("Alarm")} <= set(alarms(expand))
    for mapping, name in (STOPPED | AGES).items():
        (row,) = [line for line in section.splitlines() if f"`{mapping}`" in line]
        assert f"`{name}`" in row


def test_the_alarms_exist_in_the_raw_template_too() -> None:
    template = deploy.read_template(ROOT / "template.yaml")
    types = {"AWS::CloudWatch::Alarm", COMPOSITE}
    names = {name for name, resource in template["Resources"].items() if resource["Type"] in types}
    assert names >= set(rows())
