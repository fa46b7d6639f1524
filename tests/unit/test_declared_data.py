"""The declaration of all data is complete, and docs/privacy.md is generated from it."""

import ast
import string
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from pynamodb.attributes import UnicodeAttribute

from local.build import ROOT
from local.deploy import read_template
from tests.emails import CASES
from tests.stored_data import plain_item
from tools import declared_data, privacy
from tools import published_events as reference
from tools.declared_data import (
    CATEGORIES,
    NONE,
    NOT_PERSONAL,
    PSEUDONYM,
    Undeclared,
    attributes,
    stores,
    undeclared,
)
from tuition.storage import items

PRODUCT = [*(ROOT / "layers" / "tuition" / "tuition").rglob("*.py"), *(ROOT / "functions").glob("*.py")]
OF_RENDERING = {
    "school",
    "support",
    "code",
    "symbol",
    "number",
    "day",
    "month",
    "year",
    "hour12",
    "half",
    "minute",
    "zone",
}
"""The placeholders in texts of emails that rendering fills from settings or from a format."""


def test_the_page_has_the_tables_that_the_declaration_produces() -> None:
    page = privacy.PAGE.read_text(encoding="utf-8")
    assert privacy.updated(page, privacy.record(), "record") == page, "run python -m tools.privacy"


def test_every_model_of_a_table_is_declared() -> None:
    declared = {model for models, *_ in declared_data._TABLES.values() for model in models}
    assert declared == set(items.MODELS)


@pytest.mark.parametrize("type_", ["AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::Logs::LogGroup"])
def test_every_resource_that_keeps_data_is_a_store(type_: str) -> None:
    resources = read_template(ROOT / "template.yaml")["Resources"]
    named = {name for name, resource in resources.items() if resource["Type"] == type_}
    assert named
    assert named - {store.resource for store in stores().values()} == set()


def test_every_resource_of_a_store_exists() -> None:
    resources = read_template(ROOT / "template.yaml")["Resources"]
    assert {store.resource for store in stores().values() if store.resource} <= set(resources)


def test_every_line_of_the_declaration_is_used() -> None:
    """A line whose attribute was removed or renamed is removed too."""
    used = set()
    for store in stores().values():
        for path, _ in attributes(store.shape):
            names = [name for name in f"{store.name}.{path}".split(".") if name not in ("*", "")]
            if names[-1].endswith("_decimal"):
                names[-1] = names[-1].removesuffix("_decimal")
            ends = [".".join(names[start:]) for start in range(len(names))]
            used |= {next((end for end in ends if end in NOT_PERSONAL or end in CATEGORIES), "")}
    assert (NOT_PERSONAL | set(CATEGORIES)) - used == set()


def test_records_archive_and_events_have_no_personal_data_but_pseudonyms() -> None:
    for name in ("audit", "archive_records", "archive_final", "digests", "heads", "event", "log", "analytics_queue"):
        assert {category for _, category in attributes(stores()[name].shape)} <= {NONE, PSEUDONYM}, name


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("audit", {"shoe_size": "44"}, "audit.shoe_size"),
        ("audit", {"facts": {"charges": {"ch_1": {"last4": "4242"}}}}, "audit.facts.charges.*.last4"),
        ("payments", {"facts": {"charges": {"ch_1": {"cvc": "1"}}}}, "payments.facts.charges.*.cvc"),
        ("payments", {"terms": {"gift": True}}, "payments.terms.gift"),
        ("payments", {"refund_requests": [{"mood": "sad"}]}, "payments.refund_requests.mood"),
        ("payments", {"facts": "text"}, "payments.facts"),
        ("payments", {"email": {"home": "text"}}, "payments.email"),
        ("enrollments", {"steps": {"step": {"grade": 1}}}, "enrollments.steps.*.grade"),
        ("event", {"transition": {"refunds": {"re_1": {"note": "text"}}}}, "event.transition.refunds.*.note"),
        ("email", {"age": "44"}, "email.age"),
        ("log", {"body": "text"}, "log.body"),
        ("archive_records", {"transition": {"note": "text"}}, "archive_records.transition.note"),
        ("archive_final", {"email": "text"}, "archive_final.email"),
        ("exports", {"searcher": "text"}, "exports.searcher"),
        ("export_files", {"phone": "1"}, "export_files.phone"),
        ("digests", {"objects": [{"owner": "text"}]}, "digests.objects.owner"),
        ("analytics_queue", {"user_id": "u"}, "analytics_queue.user_id"),
    ],
)
def test_an_undeclared_attribute_is_found_and_the_error_says_where_to_declare_it(
    name: str, value: dict[str, Any], path: str
) -> None:
    (problem,) = undeclared(name, value)
    assert problem.startswith(f"{path} is not declared: ")
    assert ".py" in problem


def test_declared_attributes_are_accepted() -> None:
    for event in reference.samples().values():
        assert undeclared("event", dict(event.detail)) == []
    item = {
        "payment_id": {"S": "pay_1"},
        "facts": {"S": '{"charges": {"ch_1": {"last4": "4242"}}, "unknown": {"re_1.status": "new"}}'},
        "refund_requests": {"S": '[{"id": "rr_1", "reason": "text"}]'},
    }
    assert undeclared("payments", plain_item("payments", item)) == []
    progress = {"user_id": {"S": "u"}, "sort_key": {"S": "DP#1"}, "unlocked": {"BOOL": True}}
    progress |= {"steps": {"M": {"read": {"M": {"done": {"BOOL": False}}}}}}
    assert undeclared("enrollments", plain_item("enrollments", progress)) == []


def test_an_undeclared_part_of_an_item_is_found() -> None:
    (problem,) = undeclared("payments", plain_item("payments", {"terms": {"S": '{"gift": true}'}}))
    assert problem.startswith("payments.terms.gift ")
    (problem,) = undeclared("enrollments", plain_item("enrollments", {"shoe_size": {"N": "44"}}))
    assert problem.startswith("enrollments.shoe_size ")


def test_a_personal_attribute_without_a_category_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    added = items.personal(UnicodeAttribute(null=True))
    shapes = {**items.PaymentItem.get_attributes(), "phone": added}
    monkeypatch.setattr(items.PaymentItem, "get_attributes", lambda: shapes)
    shape = declared_data._table("payments", items.PaymentItem)
    with pytest.raises(Undeclared, match=r'payments\.phone is personal.* Add "phone" to CATEGORIES in tools/'):
        declared_data._resolved(shape, ("payments",))


def test_a_category_that_the_code_contradicts_is_refused() -> None:
    with pytest.raises(Undeclared, match="declares it as not personal"):
        declared_data.category_of(("audit", "email"), personal=False)


# --- emails and log lines ---


def placeholders(value: Any) -> Iterator[str]:
    """Yield the placeholders of all texts of a catalogue."""
    if isinstance(value, str):
        yield from (name for _, name, _, _ in string.Formatter().parse(value) if name)
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from placeholders(part)


def test_every_value_that_a_text_of_an_email_has_is_declared() -> None:
    source = (ROOT / "layers" / "tuition" / "tuition" / "outbox" / "en.toml").read_text(encoding="utf-8")
    names = set(placeholders(tomllib.loads(source)))
    assert {"track", "last4"} <= names
    assert names - OF_RENDERING - set(declared_data.EMAIL_VALUES) == set()


def test_the_values_of_every_example_of_an_email_are_declared() -> None:
    for email in CASES.values():
        assert undeclared("email", dict.fromkeys(email.values, "text")) == []


def logged_fields() -> set[str]:
    """Return the names of the fields that calls of the logger write."""
    names = set()
    sources = [path.read_text(encoding="utf-8") for path in PRODUCT]
    for source in (source for source in sources if "logger." in source):
        for node in ast.walk(ast.parse(source)):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_call and ast.unparse(node.func.value) in ("logger", "log.logger"):
                names |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return names


def test_every_field_that_a_log_line_has_is_declared() -> None:
    names = logged_fields()
    assert {"user_id", "outcome", "stack_trace"} - names == {"stack_trace"}
    assert undeclared("log", dict.fromkeys(names, "text")) == []
