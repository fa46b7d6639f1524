"""The installer's answers to bad input, and what it may use. `tests/stack/test_install.py` runs it whole."""

import argparse
import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stripe
from botocore.exceptions import ClientError, NoCredentialsError

from installer import __main__ as command_line
from installer import account, choices, live_aws, people, questions, rights, smoke, stack, stripe_account, web
from installer.account import Lock
from installer.questions import QUESTIONS, Interview, read_answers
from installer.run import Run, Step, check, install
from installer.state import State
from installer.world import Stop, World
from local import audit_policy, change_set
from local.change_set import DeployedStack
from stripe_simulator.server import Stripe
from tests.permissions import STRIPE_PERMISSIONS
from tuition.intake.stripe_events import API_VERSION, SUBSCRIBED

ROOT = Path(__file__).parents[2]
ANSWERS = {
    "environment": "test",
    "stack_name": "tuition-test",
    "region": "eu-central-1",
    "keep": "no",
    "domain": "",
    "certificate_arn": "",
    "sign_in_prefix": "tuition-test",
    "sign_in_sender": "",
    "school_name": "School of Data",
    "support_contact": "help@example.org",
    "terms_version": "2026-11",
    "terms_url": "https://example.org/terms",
    "privacy_url": "https://example.org/privacy",
    "reply_to": "",
    "time_zone": "Europe/Berlin",
    "consumer_region": "EU",
    "alert_email": "owner@example.org",
    "staff_emails": "owner@example.org, grace@example.org",
    "budget": "50",
    "admin_email": "owner@example.org",
    "publishable_key": "pk_test_1234",
}
DEPLOYED = DeployedStack(
    {"HttpApi": "abc", "AuditTable": "tuition-test-AuditTable-1", "PaymentsTable": "p"},
    {
        "ApiUrl": "https://abc.execute-api.eu-central-1.amazonaws.com",
        "StripeSecretArn": "stripe",
        "StripeWebhookSecretArn": "webhook",
        "UserPoolId": "pool",
        "AuditTableName": "tuition-test-AuditTable-1",
    },
    {"DeletionProtection": "false", "FirstDeployment": "true", "BreakGlassRoleArn": "arn:aws:iam::1:role/b"},
)


def error(code: str, operation: str = "Call", message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message or f"{code} happened"}}, operation)


class InProcess(stripe.HTTPClient):
    """Stripe's HTTP client that calls a simulator in this process."""

    name = "in-process"

    def __init__(self, simulator: Stripe) -> None:
        super().__init__()
        self.simulator = simulator

    def request(self, method: str, url: str, headers: Any, post_data: Any = None) -> Any:
        body = post_data.encode() if isinstance(post_data, str) else b""
        response = self.simulator.handle(method.upper(), "/" + url.split("/", 3)[3], headers or {}, body)
        return response.body, response.status, {name.lower(): value for name, value in response.headers.items()}

    def close(self) -> None:
        pass


class FakeWorld(World):
    """A world whose AWS answers as the test says, by `service operation`. Secrets and objects are kept."""

    def __init__(self, **answers: Any) -> None:
        super().__init__("eu-central-1")
        self.answers: dict[str, Any] = {name.replace("__", " "): value for name, value in answers.items()}
        self.simulator = Stripe(seed=1)
        self.secrets: dict[str, str] = {}
        self.objects: dict[str, bytes] = {}
        self.typed: list[str] = []
        self.lines: list[str] = []
        self.calls: list[str] = []

    def call(self, service: str, region: str, operation: str, params: Mapping[str, Any]) -> Any:
        self.calls.append(f"{service} {operation}")
        answer = self.answers.get(f"{service} {operation}")
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return answer(params) if callable(answer) else answer
        if operation == "get_caller_identity":
            return {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ada"}
        if service == "secretsmanager":
            return self._secret(operation, params)
        if service == "s3":
            return self._object(operation, params)
        raise AssertionError(f"{service} {operation} was called")

    def _secret(self, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "put_secret_value":
            self.secrets[params["SecretId"]] = params["SecretString"]
        elif params["SecretId"] not in self.secrets:
            raise error("ResourceNotFoundException")
        return {"SecretString": self.secrets[params["SecretId"]]}

    def _object(self, operation: str, params: Mapping[str, Any]) -> Any:
        if operation == "put_object":
            if params.get("IfNoneMatch") and params["Key"] in self.objects:
                raise error("PreconditionFailed")
            self.objects[params["Key"]] = params["Body"]
        elif operation == "delete_object":
            self.objects.pop(params["Key"], None)
        elif params["Key"] not in self.objects:
            raise error("404")
        return {"Body": self.objects.get(params["Key"], b"")}

    def stripe(self, key: str, method: str, path: str, **params: Any) -> dict[str, Any]:
        client = stripe.StripeClient(key, http_client=InProcess(self.simulator), max_network_retries=0)
        return dict(client.raw_request(method, path, **params).data)

    def ask(self, text: str, *, secret: bool = False) -> str:
        return self.typed.pop(0)

    def say(self, text: str) -> None:
        self.lines.append(text)


def make_run(tmp_path: Path, world: FakeWorld, *, explicit: Mapping[str, str] | None = None, **answers: str) -> Run:
    state = State(tmp_path / "state.json")
    run = Run(world, state, Interview(world, state, explicit or {}, use_defaults=True), ANSWERS | answers, yes=True)
    run.facts[run.stack_name] = DEPLOYED
    run.delay_s = 0
    return run


def take(run: Run, look: Any, change: Any = None) -> None:
    install(run, [Step("step", "The step", look, change)])


# --- modules, rights and versions of the installer ---

PORTABLE = [ROOT / "install.py", *sorted((ROOT / "installer").glob("*.py"))]
PORTABLE += [
    ROOT / "local" / f"{name}.py" for name in ("audit_policy", "build", "change_set", "deploy", "pages", "table_names")
]
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "select", "syslog", "termios", "tty"}
POSIX_NAMES = {
    *(
        "fork",
        "forkpty",
        "killpg",
        "setsid",
        "setpgrp",
        "chmod",
        "chown",
        "getuid",
        "geteuid",
        "umask",
        "mkfifo",
        "uname",
    ),
    *("symlink", "symlink_to", "execv", "execve", "execvp", "SIGKILL", "SIGHUP", "SIGALRM", "add_signal_handler"),
}
POSIX_ARGUMENTS = {"shell", "preexec_fn", "start_new_session", "process_group", "user", "group", "umask"}


@pytest.mark.parametrize("path", PORTABLE, ids=lambda path: path.name)
def test_nothing_of_the_installer_needs_posix(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & POSIX_MODULES
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in POSIX_MODULES
        elif isinstance(node, ast.Attribute):
            assert node.attr not in POSIX_NAMES, f"line {node.lineno}"
        elif isinstance(node, ast.Call):
            is_subprocess = ast.unparse(node.func).startswith("subprocess.")
            assert not (is_subprocess and {k.arg for k in node.keywords} & POSIX_ARGUMENTS), f"line {node.lineno}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith(("/tmp", "/dev/", "/bin/", "/usr/", "/etc/", "~/")), node.lineno  # noqa: S108


def test_install_py_starts_with_the_standard_library_of_python_3_8() -> None:
    tree = ast.parse((ROOT / "install.py").read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert imported <= set(sys.stdlib_module_names)


def test_the_installer_has_the_versions_of_the_tests() -> None:
    def pinned(name: str) -> dict[str, str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        pairs = (line.split(" ")[0].split("==") for line in lines if "==" in line and not line.startswith((" ", "#")))
        return dict(pairs)

    tested = pinned("requirements-dev.txt")
    ours = pinned("requirements-install.txt")
    assert {"boto3", "aws-sam-translator", "stripe", "pip"} <= set(ours)
    assert {name: version for name, version in ours.items() if tested.get(name) != version} == {}


def test_the_printed_policy_is_valid_json_and_grants_no_service_whole() -> None:
    statements = json.loads(rights.policy())["Statement"]
    actions = [action for statement in statements for action in statement["Action"]]
    assert "lambda:InvokeFunction" in actions
    assert [action for action in actions if action.endswith(":*")] == ["apigateway:*"]
    assert all(":" in action for action in actions)


def test_the_printed_permissions_of_stripe_are_those_of_all_groups_together() -> None:
    needed: dict[str, str] = {}
    for group in STRIPE_PERMISSIONS.values():
        for resource, access in group.items():
            needed[resource] = "write" if "write" in (access, needed.get(resource)) else "read"
    printed = {name: access for access, (_, names) in stripe_account.PERMISSIONS.items() for name in names}
    assert printed == needed


# --- wrong answers ---


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("environment", "Test", "lower-case"),
        ("environment", "9lives", "begin with a letter"),
        ("environment", "", "begin with a letter"),
        ("stack_name", "a b", "begin with a letter"),
        ("region", "frankfurt", "eu-central-1"),
        ("keep", "maybe", "yes or no"),
        ("domain", "https://learn.example.org", "without https"),
        ("domain", "localhost", "learn.example.org"),
        ("certificate_arn", "arn:aws:acm:eu-central-1:123456789012:certificate/x", "us-east-1"),
        ("sign_in_prefix", "-school", "hyphen"),
        ("sign_in_prefix", "my-cognito", "Cognito refuses"),
        ("sign_in_sender", "School", "use an address"),
        ("school_name", "", "1 to 60"),
        ("support_contact", "x" * 201, "up to 200"),
        ("terms_version", "November 2026", "up to 40 letters"),
        ("terms_url", "", "both terms_version and terms_url"),
        ("terms_url", "http://example.org/terms", "begins with https"),
        ("privacy_url", "example.org/privacy", "begins with https"),
        ("reply_to", "help", "not an email address"),
        ("time_zone", "Berlin", "Europe/Berlin"),
        ("consumer_region", "CH", "US or EU"),
        ("alert_email", "owner", "not an email address"),
        ("staff_emails", "owner@example.org, grace", "not an email address"),
        ("staff_emails", ",".join(["a@example.org"] * 21), "at most 20"),
        ("budget", "0", "whole US dollars"),
        ("budget", "49.90", "whole US dollars"),
        ("admin_email", "a@b", "not an email address"),
        ("publishable_key", "sk_test_1234", "pk_test_"),
        ("publishable_key", "pk_live_1234", "live mode"),
    ],
)
def test_a_wrong_answer_says_what_is_wrong_and_the_next_run_asks_again(
    tmp_path: Path, name: str, value: str, reason: str
) -> None:
    state = State(tmp_path / "state.json")
    with pytest.raises(Stop, match=reason) as stop:
        Interview(FakeWorld(), state, ANSWERS | {name: value}, use_defaults=True).answers()
    assert str(stop.value).startswith(name)
    assert Interview(FakeWorld(), State(state.file), ANSWERS, use_defaults=True).answers() == ANSWERS


@pytest.mark.parametrize(
    ("environment", "key", "reason"),
    [
        ("test", "rk_live_1234", "key of Stripe's live mode, and the environment test uses test mode"),
        ("production", "rk_test_1234", "key of Stripe's test mode, and the environment production uses live mode"),
        ("test", "pk_test_1234", "must begin with rk_test_ or sk_test_"),
        ("test", "whsec_1234", "must begin with"),
    ],
)
def test_a_key_of_the_wrong_mode_or_kind_is_refused_and_not_shown(
    tmp_path: Path, environment: str, key: str, reason: str
) -> None:
    run = make_run(tmp_path, FakeWorld(), explicit={"secret_key": key}, environment=environment)
    with pytest.raises(Stop, match=reason) as stop:
        stripe_account.store_key(run)
    assert key not in str(stop.value)


def test_production_is_always_kept_and_has_pages() -> None:
    production = {"environment": "production"}
    checks = {question.name: question.check for question in QUESTIONS}
    assert "answer yes" in (checks["keep"]("no", production) or "")
    assert "needs a domain" in (checks["domain"]("", production) or "")


def test_production_needs_a_sender_unless_another_issuer_signs_users_in() -> None:
    checks = {question.name: question.check for question in QUESTIONS}
    production = {"environment": "production"}
    assert "production needs a sender" in (checks["sign_in_sender"]("", production) or "")
    other = {**production, "JwtIssuer": "https://login.example.org"}
    assert checks["sign_in_sender"]("", other) is None
    assert checks["domain"]("", other) is None
    assert "with Cognito only" in (checks["domain"]("learn.example.org", other) or "")


def test_an_invalid_answer_of_a_person_is_asked_again_a_bounded_number_of_times(tmp_path: Path) -> None:
    world = FakeWorld()
    world.typed = ["no address", "owner@example.org"]
    state = State(tmp_path / "state.json")
    question = next(question for question in QUESTIONS if question.name == "alert_email")
    interview = Interview(world, state, {}, use_defaults=False)
    assert interview._ask(question, {}) == "owner@example.org"
    world.typed = ["x"] * questions.ATTEMPTS
    with pytest.raises(Stop, match="no valid answer"):
        interview._ask(question, {})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "one JSON object of texts"),
        ('{"budget": 5}', "texts"),
        ('{"colour": "red"}', "colour"),
    ],
)
def test_a_broken_file_of_answers_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "answers.json"
    file.write_text(content)
    with pytest.raises(Stop, match=reason):
        read_answers(file)


def test_a_missing_file_of_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stop, match="cannot be read"):
        read_answers(tmp_path / "none.json")


def test_a_secret_is_not_accepted_on_the_command_line() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="a shell would remember"):
        command_line._pair("secret_key=rk_test_1234")
    assert command_line._pair("budget=5") == ("budget", "5")


def test_an_answer_that_payments_depend_on_cannot_change_after_the_first_deployment(tmp_path: Path) -> None:
    state = State(tmp_path / "state.json")
    state.put("answers", ANSWERS)
    state.put("deployed", True)
    with pytest.raises(Stop, match="region is eu-central-1 and cannot become us-east-1"):
        Interview(FakeWorld(), state, {"region": "us-east-1"}, use_defaults=True).answers()


def test_a_broken_state_is_reported(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(Stop, match="Remove it and run this again"):
        State(tmp_path / "state.json")


def test_check_and_upgrade_need_an_environment_that_was_set_up(tmp_path: Path, capsys: Any) -> None:
    for mode in ("--check", "--upgrade"):
        assert command_line.main([mode, "--environment", "none", "--state", str(tmp_path)]) == 1
        assert "has not been set up from this folder" in capsys.readouterr().out


# --- parameters of the templates ---


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Tracin", "Active", "Did you mean Tracing"),
        ("Zzz", "1", "The parameters: AccessLog"),
        ("Tracing", "on", "one of Disabled, PassThrough, Active"),
        ("WebhookConcurrency", "many", "whole number"),
        ("ReconcileConcurrency", "1", "at least 2"),
        ("StripeCallIntervalMs", "10001", "at most 10000"),
        ("ApiCertificateArn", "arn:aws:iam::1:role/x", "match"),
        ("PaymentsTableName", "a b", "match"),
        ("WebAclArn", "arn:aws:wafv2:eu-central-1:123456789012:global/webacl/x/1", "match"),
        ("HstsPreload", "yes", "one of true, false"),
        ("DeletionProtection", "false", "Change keep instead"),
        ("SignInSenderArn", "arn:aws:ses:eu-central-1:123456789012:identity/x", "Change sign_in_sender instead"),
    ],
)
def test_a_parameter_that_the_template_refuses_is_refused_before_anything_is_done(
    tmp_path: Path, name: str, value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--environment", "test", "--state", str(tmp_path), "--set", f"{name}={value}"]
    assert command_line.main(arguments) == 1
    assert reason in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_every_parameter_is_chosen_or_computed_and_has_one_meaning() -> None:
    api, pages = choices.declared(choices.API), choices.declared(choices.PAGES)
    assert not api.keys() & pages.keys()
    assert choices.COMPUTED.keys() <= api.keys() | pages.keys()
    assert {*api, *pages} == choices.COMPUTED.keys() | set(choices.open_names())
    assert api.keys() >= choices.DERIVED


def test_every_default_is_accepted() -> None:
    for name in choices.open_names():
        rule = choices.declared(choices.API).get(name) or choices.declared(choices.PAGES)[name]
        assert choices.check({name: str(rule["Default"])}) == {name: str(rule["Default"])}


def test_a_chosen_parameter_is_deployed_and_remembered_until_it_is_given_empty(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld(cloudformation__get_template={"TemplateBody": {}}))
    run.state.put("parameters", {"Tracing": "Active", "ReconcileConcurrency": "9", "HstsPreload": "true"})
    values = stack.parameters(run)
    assert (values["Tracing"], values["ReconcileConcurrency"]) == ("Active", "9")
    assert "HstsPreload" not in values
    assert choices.of(run, choices.PAGES, run.web_stack_name) == {"HstsPreload": "true"}
    run.state.put("parameters", {"Tracing": ""})
    assert stack.parameters(run)["Tracing"] == "Disabled"


def test_another_person_s_run_keeps_what_was_chosen_and_takes_a_new_default(tmp_path: Path) -> None:
    theirs = {"PaymentsTableName": {"Default": ""}, "MemorySize": {"Default": 512}, "WebOrigin": {"Default": "x"}}
    body = {"TemplateBody": json.dumps({"Parameters": {**theirs, "Gone": {"Default": ""}}})}
    run = make_run(tmp_path, FakeWorld(cloudformation__get_template=body), domain="learn.example.org")
    deployed = {"PaymentsTableName": "restored", "MemorySize": "512", "WebOrigin": "https://old.org", "Gone": "1"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, DEPLOYED.outputs, deployed)
    values = stack.parameters(run)
    assert values["PaymentsTableName"] == "restored"
    assert "MemorySize" not in values
    assert "Gone" not in values
    assert values["WebOrigin"] == "https://learn.example.org"


@pytest.mark.parametrize("claim", ["email", "upn", "preferred_username"])
def test_a_claim_that_names_a_person_cannot_be_the_user_id(claim: str) -> None:
    with pytest.raises(Stop, match="must not be an email address"):
        choices.check({"ClaimUserId": claim})


def test_the_user_id_is_not_the_claim_that_has_the_address(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld(cloudformation__get_template={"TemplateBody": {}}))
    run.state.put("parameters", {"ClaimUserId": "login", "ClaimEmail": "login"})
    with pytest.raises(Stop, match="ClaimUserId must not be ClaimEmail"):
        stack.deploy_stack(run)


def test_the_id_of_a_stack_can_be_chosen_once(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld(cloudformation__get_template={"TemplateBody": {}}))
    run.state.put("parameters", {"StackId": "old-stack"})
    assert stack.parameters(run)["StackId"] == "old-stack"
    deployed = {"StackId": "other"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, DEPLOYED.outputs, deployed)
    with pytest.raises(Stop, match="StackId is other and cannot become old-stack"):
        stack.parameters(run)


def test_parameters_that_belong_together_are_checked_before_the_deployment(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld(cloudformation__get_template={"TemplateBody": {}}), environment="production")
    chosen = {"ApiDomainName": "api.example.org", "PaymentsTableName": "restored", "PlanGraceDays": "12"}
    run.state.put("parameters", chosen)
    with pytest.raises(Stop) as stop:
        stack.deploy_stack(run)
    for reason in ("ApiDomainName requires ApiCertificateArn", "requires SignInSenderArn", "restored together"):
        assert reason in str(stop.value)
    assert "PlanRetryDays is 0,3,7,12, and it must end before the grace of 12 days does." in str(stop.value)
    run.state.put("parameters", {})
    values = stack.parameters(make_run(tmp_path, run.world))  # type: ignore[arg-type]
    assert choices.broken_rules(values) == []


def test_a_domain_of_the_api_is_that_of_the_webhook_and_the_pages_and_its_record_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld(cloudformation__describe_stacks={"Stacks": []}), domain="learn.example.org")
    outputs = {**DEPLOYED.outputs, "ApiUrl": "https://api.example.org", "ApiDomainTarget": "d-1.example.com"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, outputs, DEPLOYED.parameters)
    assert stripe_account.webhook_url(run) == "https://api.example.org/api/payments/webhook"
    assert web.parameters(run)["ApiDomain"] == "api.example.org"
    run.world.get = lambda _: 0  # type: ignore[method-assign]
    assert "Point the DNS name api.example.org at d-1.example.com" in smoke.look_at_api(run)[-1]


def test_a_boundary_holds_for_the_role_for_emergencies_too(tmp_path: Path) -> None:
    roles: list[Any] = []
    world = FakeWorld(iam__create_role=roles.append, iam__put_role_policy={})
    run = make_run(tmp_path, world)
    run.state.put("parameters", {"PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/limit"})
    world.answers["iam create_role"] = lambda params: roles.append(params) or {}
    stack.make_break_glass_role(run)
    assert roles[0]["PermissionsBoundary"] == "arn:aws:iam::123456789012:policy/limit"


def test_another_issuer_of_the_deployed_stack_is_known_without_the_state(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld())
    assert run.has_pool
    deployed = {"JwtIssuer": "https://login.example.org"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, DEPLOYED.outputs, deployed)
    assert not run.has_pool
    run.state.put("parameters", {"JwtIssuer": ""})
    assert run.has_pool


def test_a_renamed_group_of_staff_is_that_of_the_administrator_and_of_the_console(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld())
    outputs = {**DEPLOYED.outputs, "UserPoolClientId": "client"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, outputs, {"AdminGroup": "heads"})
    assert (people.group(run, "AdminGroup"), people.group(run, "SupportGroup")) == ("heads", "support")
    sign_in: Any = web.config(run)["sign_in"]
    assert sign_in["admin_group"] == "heads"
    assert "support_group" not in sign_in


def test_the_stacks_are_tagged_with_project_and_stage(tmp_path: Path) -> None:
    assert make_run(tmp_path, FakeWorld()).tags == {"project": "tuition", "stage": "test"}


# --- the sender of the sign-in emails ---


def sender_run(tmp_path: Path, **identities: bool) -> Run:
    def answer(params: Mapping[str, Any]) -> Any:
        name = params["EmailIdentity"]
        if name not in identities_of_ses:
            raise error("NotFoundException")
        return {"VerifiedForSendingStatus": identities_of_ses[name]}

    identities_of_ses = {name.replace("_at_", "@").replace("__", "."): value for name, value in identities.items()}
    world = FakeWorld(sesv2__get_email_identity=answer)
    return make_run(tmp_path, world, sign_in_sender="School <mail@example.org>")


@pytest.mark.parametrize(
    ("identities", "identity"),
    [
        ({"example__org": True}, "example.org"),
        ({"mail_at_example__org": True, "example__org": True}, "mail@example.org"),
        ({"mail_at_example__org": False, "example__org": True}, "example.org"),
    ],
)
def test_the_sender_is_the_verified_identity_of_its_address_or_domain(
    tmp_path: Path, identities: dict[str, bool], identity: str
) -> None:
    run = sender_run(tmp_path, **identities)
    take(run, account.look_at_sender)
    run.world.answers["cloudformation get_template"] = {"TemplateBody": {}}  # type: ignore[attr-defined]
    values = stack.parameters(run)
    assert values["SignInSender"] == "School <mail@example.org>"
    assert values["SignInSenderArn"] == f"arn:aws:ses:eu-central-1:123456789012:identity/{identity}"


def test_a_sender_that_ses_does_not_know_or_has_not_verified_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"knows no identity for mail@example\.org in eu-central-1.*Identities"):
        take(sender_run(tmp_path), account.look_at_sender)
    with pytest.raises(Stop, match=r"not yet verified example\.org in eu-central-1.*DNS records"):
        take(sender_run(tmp_path, example__org=False), account.look_at_sender)


@pytest.mark.parametrize(
    ("sender", "sandbox", "reason"),
    [
        ("", False, "50 emails per day"),
        ("mail@example.org", True, "in its sandbox, so emails reach only addresses"),
        ("mail@example.org", False, ""),
    ],
)
def test_limits_of_the_emails_are_named(tmp_path: Path, sender: str, sandbox: bool, reason: str) -> None:
    world = FakeWorld(
        lambda__get_account_settings={"AccountLimit": {"ConcurrentExecutions": 1000}},
        sesv2__get_account={"ProductionAccessEnabled": not sandbox},
    )
    assert account.look_at_quotas(make_run(tmp_path, world, sign_in_sender=sender)) == []
    assert reason in "".join(world.lines)
    assert bool(world.lines) == bool(reason)


# --- the account ---


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (error("AccessDenied", "CreateTopic"), r"may not call CreateTopic.*\n.*--rights"),
        (error("ExpiredToken"), "Sign in again"),
        (error("Throttling", "CreateTopic"), "CreateTopic with Throttling"),
        (NoCredentialsError(), "There are no AWS credentials"),
    ],
)
def test_a_refusal_of_aws_says_what_to_do(tmp_path: Path, failure: Exception, reason: str) -> None:
    def look(_: Run) -> list[str]:
        raise failure

    with pytest.raises(Stop, match=reason):
        take(make_run(tmp_path, FakeWorld()), look)


def test_credentials_of_another_account_are_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path, FakeWorld())
    run.state.put("account", "999999999999")
    with pytest.raises(Stop, match="belong to account 123456789012"):
        take(run, account.look_at_credentials)


def test_a_low_quota_is_a_note_during_the_set_up_and_a_problem_of_production(tmp_path: Path) -> None:
    limits = {"AccountLimit": {"ConcurrentExecutions": 10}}
    world = FakeWorld(lambda__get_account_settings=limits, sesv2__get_account={"ProductionAccessEnabled": False})
    run = make_run(tmp_path, world, environment="production")
    assert account.look_at_quotas(run) == []
    assert "at most 10 functions" in world.lines[0]
    assert "50 emails" in world.lines[1]
    run.checks_only = True
    assert len(account.look_at_quotas(run)) == 2


def test_a_taken_prefix_is_reported_unless_it_is_ours(tmp_path: Path) -> None:
    world = FakeWorld(**{"cognito-idp__describe_user_pool_domain": {"DomainDescription": {"UserPoolId": "other"}}})
    with pytest.raises(Stop, match="is taken in this region"):
        take(make_run(tmp_path, world), account.look_at_prefix)
    world.answers["cognito-idp describe_user_pool_domain"] = {"DomainDescription": {"UserPoolId": "pool"}}
    take(make_run(tmp_path, world), account.look_at_prefix)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"s3__head_bucket": error("403")}, "belongs to another account"),
        ({"s3__head_bucket": error("404"), "s3__create_bucket": error("BucketAlreadyExists")}, "is taken by another"),
    ],
)
def test_a_taken_bucket_is_reported(tmp_path: Path, answers: dict[str, Any], reason: str) -> None:
    with pytest.raises(Stop, match=reason):
        take(make_run(tmp_path, FakeWorld(**answers)), account.look_at_bucket, account.make_bucket)


def test_a_bucket_that_was_created_and_not_closed_is_closed_by_the_next_run(tmp_path: Path) -> None:
    blocks: list[Any] = []

    def read(_: Any) -> Any:
        if not blocks:
            raise error("NoSuchPublicAccessBlockConfiguration")
        return {"PublicAccessBlockConfiguration": blocks[-1]}

    world = FakeWorld(
        s3__head_bucket={},
        s3__create_bucket=error("BucketAlreadyOwnedByYou"),
        s3__get_public_access_block=read,
        s3__put_public_access_block=lambda params: blocks.append(params["PublicAccessBlockConfiguration"]),
    )
    take(make_run(tmp_path, world), account.look_at_bucket, account.make_bucket)
    assert len(blocks[0]) == 4
    assert all(blocks[0].values())


def test_a_role_that_was_created_without_its_policy_gets_it_from_the_next_run(tmp_path: Path) -> None:
    policies: list[str] = []

    def read(_: Any) -> Any:
        if not policies:
            raise error("NoSuchEntity")
        return {}

    world = FakeWorld(
        iam__get_role={"Role": {"Arn": "arn:aws:iam::123456789012:role/tuition-test-break-glass"}},
        iam__create_role=error("EntityAlreadyExists"),
        iam__get_role_policy=read,
        iam__put_role_policy=lambda params: policies.append(params["PolicyDocument"]),
    )
    run = make_run(tmp_path, world)
    take(run, stack.look_at_break_glass_role, stack.make_break_glass_role)
    assert run.state.get("break_glass_role").endswith("tuition-test-break-glass")


@pytest.mark.parametrize("subscribed", [0, 1])
def test_a_topic_that_was_not_finished_is_finished_by_the_next_run(tmp_path: Path, subscribed: int) -> None:
    """EventBridge may publish only if the policy has a statement for it, without a condition."""
    topic = "arn:aws:sns:eu-central-1:123456789012:tuition-test-alarms"
    policies: list[str] = ["{}"]
    entries = [{"Endpoint": ANSWERS["alert_email"], "SubscriptionArn": f"{topic}:1"}] * subscribed
    world = FakeWorld(
        sns__list_subscriptions_by_topic=lambda _: {"Subscriptions": entries},
        sns__get_topic_attributes=lambda _: {"Attributes": {"Policy": policies[-1]}},
        sns__create_topic={"TopicArn": topic},
        sns__set_topic_attributes=lambda params: policies.append(params["AttributeValue"]),
        sns__subscribe=lambda p: entries.append({"Endpoint": p["Endpoint"], "SubscriptionArn": f"{topic}:2"}),
    )
    take(make_run(tmp_path, world), stack.look_at_topic, stack.make_topic)
    (statement,) = [s for s in json.loads(policies[-1])["Statement"] if "events" in s["Principal"]["Service"]]
    assert (statement["Action"], statement["Resource"]) == ("sns:Publish", topic)
    assert "Condition" not in statement


def test_an_administrator_who_was_created_without_a_group_is_added_by_the_next_run(tmp_path: Path) -> None:
    groups: list[Any] = []
    world = FakeWorld(
        **{
            "cognito-idp__list_users": {"Users": [{"Username": "u-1"}]},
            "cognito-idp__admin_list_groups_for_user": lambda _: {"Groups": groups},
            "cognito-idp__admin_add_user_to_group": groups.append,
        }
    )
    take(make_run(tmp_path, world), people.look_at_admin, people.make_admin)
    assert groups[0]["GroupName"] == "admin"


def test_a_second_person_learns_who_is_at_work(tmp_path: Path) -> None:
    world = FakeWorld()
    first, second = Lock(make_run(tmp_path, world)), Lock(make_run(tmp_path, world))
    first.take()
    with pytest.raises(Stop, match=r"user/ada has been setting up tuition-test.*--take-over"):
        second.take()
    second.release()
    assert world.objects, "a run that does not hold the lock must not remove it"
    first.release()
    second.take()


def test_the_lock_of_a_run_that_was_cut_off_can_be_taken_over(tmp_path: Path) -> None:
    world = FakeWorld()
    Lock(make_run(tmp_path, world)).take()
    other = Lock(make_run(tmp_path, world))
    other.take_over()
    other.take()


def test_a_pending_certificate_names_the_records_that_a_person_must_set(tmp_path: Path) -> None:
    record = {"Name": "_a.learn.example.org.", "Type": "CNAME", "Value": "_b.acm-validations.aws."}
    pending = {
        "DomainName": "learn.example.org",
        "Status": "PENDING_VALIDATION",
        "DomainValidationOptions": [{"ResourceRecord": record}],
    }
    listed = {"CertificateSummaryList": [{"DomainName": "learn.example.org", "CertificateArn": "arn"}]}
    world = FakeWorld(acm__list_certificates=listed, acm__describe_certificate={"Certificate": pending})
    run = make_run(tmp_path, world, domain="learn.example.org")
    with pytest.raises(Stop, match=r"_a\.learn\.example\.org\. CNAME _b\.acm-validations\.aws\."):
        take(run, web.look_at_certificate, web.request_certificate)
    world.answers["acm describe_certificate"] = {"Certificate": pending | {"Status": "ISSUED"}}
    take(run, web.look_at_certificate)
    world.answers["acm describe_certificate"] = {"Certificate": pending | {"DomainName": "other.org"}}
    with pytest.raises(Stop, match=r"is for other\.org"):
        take(run, web.look_at_certificate)


# --- a stack half made ---


def test_a_stack_that_was_never_created_whole_is_deleted_and_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[str] = []

    def create(*_: Any, **__: Any) -> change_set.ChangeSet:
        attempts.append("create")
        if len(attempts) == 1:
            raise change_set.NeedsDeletion("the stack tuition-test is ROLLBACK_COMPLETE")
        return change_set.ChangeSet("tuition-test", "c", [change_set.Change("Add", "T", "AWS::SNS::Topic", "")])

    monkeypatch.setattr(change_set, "create", create)
    monkeypatch.setattr(change_set, "wait", lambda *_, **__: None)
    monkeypatch.setattr(change_set, "execute", lambda *_, **__: attempts.append("execute"))
    world = FakeWorld(cloudformation__delete_stack={})
    stack.apply(make_run(tmp_path, world), "tuition-test", {}, {}, {})
    assert attempts == ["create", "create", "execute"]
    assert world.calls.count("cloudformation delete_stack") == 1


def test_nothing_is_deployed_without_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = change_set.ChangeSet("tuition-test", "c", [change_set.Change("Remove", "Table", "AWS::X", "")])
    monkeypatch.setattr(change_set, "create", lambda *_, **__: changes)
    world = FakeWorld()
    world.typed = ["no"]
    run = make_run(tmp_path, world)
    run.yes = False
    with pytest.raises(Stop, match="Nothing was deployed"):
        stack.apply(run, "tuition-test", {}, {}, {})
    assert "  remove Table (AWS::X)" in world.lines


def test_a_rolled_back_deployment_is_reported_with_its_reasons(tmp_path: Path) -> None:
    def change(_: Run) -> None:
        raise change_set.DeployFailed("the stack is UPDATE_ROLLBACK_COMPLETE:\nHttpApi: taken")

    with pytest.raises(Stop, match=r"HttpApi: taken\nRun this again"):
        take(make_run(tmp_path, FakeWorld()), lambda _: ["differs"], change)


def test_check_refuses_a_kept_stack_without_deletion_protection(tmp_path: Path) -> None:
    def describe(_: Any) -> Any:
        return {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "EnableTerminationProtection": False}]}

    world = FakeWorld(
        cloudformation__describe_stacks=describe,
        cloudformation__get_stack_policy={},
        dynamodb__get_resource_policy=error("PolicyNotFoundException"),
    )
    run = make_run(tmp_path, world, environment="production", keep="yes")
    problems = check(run, [Step("protection", "Protection", stack.look_at_protection)])
    assert "protection: Deletion protection is off. Run python install.py." in problems
    assert len(problems) == 4


def audit_table(policy: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of a DynamoDB whose audit table has this policy and keeps what is put."""
    kept = {"Policy": json.dumps(policy), "RevisionId": "r-1"}

    def put(params: Mapping[str, Any]) -> Any:
        assert params["ExpectedRevisionId"] == kept["RevisionId"]
        assert params["ConfirmRemoveSelfResourceAccess"] is True
        kept["Policy"] = params["Policy"]
        return {}

    return {"dynamodb__get_resource_policy": lambda _: kept, "dynamodb__put_resource_policy": put}


def protected_world(policy: Mapping[str, Any]) -> FakeWorld:
    described = {"Stacks": [{"StackStatus": "CREATE_COMPLETE", "EnableTerminationProtection": True}]}
    return FakeWorld(
        cloudformation__describe_stacks=described,
        cloudformation__get_stack_policy={"StackPolicyBody": json.dumps(stack.STACK_POLICY)},
        cloudformation__update_termination_protection={},
        cloudformation__set_stack_policy={},
        **audit_table(policy),
    )


def protected_run(tmp_path: Path, world: FakeWorld) -> Run:
    run = make_run(tmp_path, world, keep="yes")
    parameters = {**DEPLOYED.parameters, "DeletionProtection": "true", "FirstDeployment": "false"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, DEPLOYED.outputs, parameters)
    return run


def test_the_audit_table_gets_the_statement_of_the_break_glass_role_beside_those_of_the_template(
    tmp_path: Path,
) -> None:
    statements = [{"Sid": sid} for sid in sorted(audit_policy.TEMPLATE_STATEMENTS)]
    world = protected_world({"Statement": statements})
    take(protected_run(tmp_path, world), stack.look_at_protection, stack.protect)
    arn = "arn:aws:dynamodb:eu-central-1:123456789012:table/tuition-test-AuditTable-1"
    policy = json.loads(world.answers["dynamodb get_resource_policy"]({})["Policy"])
    assert policy["Statement"] == [*statements, audit_policy.statement(arn, "arn:aws:iam::1:role/b")]


def test_an_audit_table_whose_policy_was_changed_by_hand_is_reported(tmp_path: Path) -> None:
    run = protected_run(tmp_path, protected_world({"Statement": [{"Sid": "DenyRecordChanges"}]}))
    with pytest.raises(Stop, match="has no DenyPutOutsideTransaction"):
        take(run, stack.look_at_protection, stack.protect)


def test_the_first_deployment_of_a_kept_stack_is_unprotected_and_the_next_ones_keep_what_is_deployed(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path, FakeWorld(cloudformation__get_template={"TemplateBody": {}}), keep="yes")
    first = stack.parameters(run)
    assert (first["DeletionProtection"], first["FirstDeployment"]) == ("false", "true")
    protected = {"DeletionProtection": "true", "FirstDeployment": "false", "StackId": "s-1"}
    run.facts[run.stack_name] = DeployedStack(DEPLOYED.resources, DEPLOYED.outputs, protected)
    later = stack.parameters(run)
    assert {name: later[name] for name in protected} == protected


# --- the test payment ---


@pytest.mark.parametrize(
    ("resources", "qualifier"), [({}, {}), ({"CreatePaymentFunctionAliaslive": "f-1:live"}, {"Qualifier": "live"})]
)
def test_the_test_payment_invokes_the_version_that_students_call(
    tmp_path: Path, resources: dict[str, str], qualifier: dict[str, str]
) -> None:
    calls: list[Any] = []

    def answer(params: Any) -> Any:
        calls.append(params)
        return {"Payload": json.dumps({"statusCode": 200, "body": "{}"})}

    run = make_run(tmp_path, FakeWorld(lambda__invoke=answer))
    run.facts[run.stack_name] = DeployedStack({"CreatePaymentFunction": "f-1", **resources}, {}, {})
    assert smoke.invoke(run, "CreatePaymentFunction", "ada", {}) == {}
    del calls[0]["Payload"]
    assert calls == [{"FunctionName": "f-1", **qualifier}]


# --- Stripe ---


def test_a_wrong_key_is_reported_and_not_stored(tmp_path: Path) -> None:
    world = FakeWorld()
    with pytest.raises(Stop, match="Stripe does not know this key"):
        take(
            make_run(tmp_path, world, explicit={"secret_key": "sk_test_wrong"}),
            stripe_account.look_at_key,
            stripe_account.store_key,
        )
    assert world.secrets == {}


def test_a_key_without_a_permission_is_reported(tmp_path: Path) -> None:
    def look(_: Run) -> list[str]:
        raise stripe.PermissionError("This key lacks rak_charge_read.", None)

    with pytest.raises(Stop, match="lacks a permission"):
        take(make_run(tmp_path, FakeWorld()), look)


def test_the_key_is_stored_beside_the_keys_of_other_groups_and_in_no_file(tmp_path: Path) -> None:
    world = FakeWorld()
    key = world.simulator.secret_key
    world.secrets["stripe"] = json.dumps({"default": "rk_test_old1", "refunds": "rk_test_refunds"})
    run = make_run(tmp_path, world, explicit={"secret_key": key})
    take(run, stripe_account.look_at_key, stripe_account.store_key)
    assert json.loads(world.secrets["stripe"]) == {"default": key, "refunds": "rk_test_refunds"}
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert key not in written + "".join(world.lines)


def test_a_stored_key_is_not_asked_for_again(tmp_path: Path) -> None:
    world = FakeWorld()
    world.secrets["stripe"] = json.dumps({"secret_key": world.simulator.secret_key})
    take(make_run(tmp_path, world), stripe_account.look_at_key, stripe_account.store_key)


def test_a_secret_that_was_changed_by_hand_to_something_else_is_reported(tmp_path: Path) -> None:
    world = FakeWorld()
    world.secrets["stripe"] = "sk_test_pasted"
    with pytest.raises(Stop, match="changed by hand") as stop:
        take(make_run(tmp_path, world), stripe_account.look_at_key, stripe_account.store_key)
    assert "sk_test_pasted" not in str(stop.value)


URL = "https://abc.execute-api.eu-central-1.amazonaws.com/api/payments/webhook"


@pytest.fixture
def registered(tmp_path: Path) -> SimpleNamespace:
    """A run whose endpoint is registered."""
    world = FakeWorld()
    world.secrets["stripe"] = json.dumps({"secret_key": world.simulator.secret_key})
    run = make_run(tmp_path, world)
    register(run)
    return SimpleNamespace(run=run, world=world)


def register(run: Run) -> None:
    take(run, stripe_account.look_at_webhook, stripe_account.register_webhook)


def endpoints(world: FakeWorld) -> list[dict[str, Any]]:
    return list(world.stripe(world.simulator.secret_key, "get", "/v1/webhook_endpoints")["data"])


def signing_secrets(world: FakeWorld) -> list[str]:
    return list(json.loads(world.secrets["webhook"])["signing_secrets"])


def test_the_endpoint_has_our_events_and_version_and_a_second_run_changes_nothing(registered: Any) -> None:
    (endpoint,) = endpoints(registered.world)
    assert endpoint["url"] == URL
    assert set(endpoint["enabled_events"]) == set(SUBSCRIBED)
    assert endpoint["api_version"] == API_VERSION
    before = dict(registered.world.secrets)
    register(registered.run)
    assert (len(endpoints(registered.world)), registered.world.secrets) == (1, before)


def test_an_endpoint_whose_events_were_changed_is_updated_and_keeps_its_secret(registered: Any) -> None:
    (endpoint,) = endpoints(registered.world)
    key = registered.world.simulator.secret_key
    registered.world.stripe(key, "post", f"/v1/webhook_endpoints/{endpoint['id']}", enabled_events=["charge.failed"])
    before = signing_secrets(registered.world)
    with pytest.raises(Stop, match="enabled_events was changed at Stripe"):
        take(registered.run, stripe_account.look_at_webhook)
    register(registered.run)
    (after,) = endpoints(registered.world)
    assert (after["id"], set(after["enabled_events"])) == (endpoint["id"], set(SUBSCRIBED))
    assert signing_secrets(registered.world) == before


@pytest.mark.parametrize("url", [URL, URL + "/"])
def test_an_endpoint_at_our_address_that_we_did_not_register_is_replaced(tmp_path: Path, url: str) -> None:
    """Its secret is unknown, and its API version cannot be changed. A stop after its creation leaves one like it."""
    world = FakeWorld()
    key = world.simulator.secret_key
    world.secrets["stripe"] = json.dumps({"secret_key": key})
    old = world.stripe(key, "post", "/v1/webhook_endpoints", url=url, enabled_events=["*"])
    other = world.stripe(key, "post", "/v1/webhook_endpoints", url="https://other.example.org/", enabled_events=["*"])
    register(make_run(tmp_path, world))
    listed = {endpoint["id"]: endpoint for endpoint in endpoints(world)}
    assert old["id"] not in listed
    assert other["id"] in listed
    assert len(listed) == 2
    assert len(signing_secrets(world)) == 1


def test_an_endpoint_that_was_deleted_at_stripe_is_made_again(registered: Any) -> None:
    (endpoint,) = endpoints(registered.world)
    registered.world.stripe(registered.world.simulator.secret_key, "delete", f"/v1/webhook_endpoints/{endpoint['id']}")
    before = signing_secrets(registered.world)
    register(registered.run)
    assert len(endpoints(registered.world)) == 1
    assert signing_secrets(registered.world)[1:] == before


def test_a_disabled_endpoint_is_enabled(registered: Any) -> None:
    (endpoint,) = endpoints(registered.world)
    key = registered.world.simulator.secret_key
    registered.world.stripe(key, "post", f"/v1/webhook_endpoints/{endpoint['id']}", disabled=True)
    register(registered.run)
    assert endpoints(registered.world)[0]["status"] == "enabled"


def test_a_secret_that_was_rolled_by_hand_is_replaced_on_request_and_both_are_accepted(registered: Any) -> None:
    (old,) = endpoints(registered.world)
    before = signing_secrets(registered.world)
    registered.run.new_webhook = True
    register(registered.run)
    (new,) = endpoints(registered.world)
    assert new["id"] != old["id"]
    assert signing_secrets(registered.world)[1:] == before


def test_check_reports_deliveries_that_are_refused_because_a_secret_was_rolled(registered: Any) -> None:
    resources = {**DEPLOYED.resources, "SignatureRefusedAlarm": "alarm-1"}
    registered.run.facts[registered.run.stack_name] = DeployedStack(resources, DEPLOYED.outputs, DEPLOYED.parameters)
    registered.run.checks_only = True
    step = Step("webhook", "Webhook", stripe_account.look_at_webhook)
    registered.world.answers["cloudwatch describe_alarms"] = {"MetricAlarms": [{"StateValue": "OK"}]}
    assert check(registered.run, [step]) == []
    registered.world.answers["cloudwatch describe_alarms"] = {"MetricAlarms": [{"StateValue": "ALARM"}]}
    (problem,) = check(registered.run, [step])
    assert "run python install.py --new-webhook" in problem


def test_a_webhook_key_is_used_once_and_stored_nowhere(tmp_path: Path) -> None:
    world = FakeWorld()
    world.secrets["stripe"] = json.dumps({"secret_key": "rk_test_functions"})
    key = world.simulator.secret_key
    run = make_run(tmp_path, world, explicit={"webhook_key": key})
    register(run)
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file())
    assert key not in written + "".join(world.lines) + "".join(world.secrets.values())


def test_the_state_and_the_environment_of_the_installer_are_outside_of_git() -> None:
    assert {".install/", ".venv-install/"} <= set((ROOT / ".gitignore").read_text(encoding="utf-8").splitlines())


# --- make live-aws ---


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, "needs AWS_REGION, STRIPE_SECRET_KEY, STRIPE_PUBLISHABLE_KEY, ALERT_EMAIL"),
        ({"STRIPE_SECRET_KEY": "sk_live_1234"}, "must be a test-mode key"),
    ],
)
def test_live_aws_does_nothing_without_its_variables_or_with_a_live_key(
    variables: dict[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rest = {"AWS_REGION": "eu-central-1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1234", "ALERT_EMAIL": "a@example.org"}
    assert live_aws.main(rest | variables if variables else {}) == 1
    assert reason in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (error("AccessDeniedException", message="with an explicit deny in a resource-based policy"), 0),
        (error("AccessDeniedException", message="because no identity-based policy allows it"), 3),
        (error("ValidationException"), 3),
        ({}, 3),
    ],
)
def test_live_aws_reports_every_change_of_a_record_that_the_policy_does_not_deny(answer: Any, count: int) -> None:
    calls = {f"dynamodb__{name}": answer for name in ("put_item", "update_item", "delete_item")}
    assert len(live_aws._policy_problems(FakeWorld(**calls), "audit")) == count
