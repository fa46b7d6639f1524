"""Writes `stripe_simulator/params.json` from the typed parameters and objects of the `stripe` package.

The simulator never imports `stripe`; it checks requests against this file. `test_package_types.py` checks that the
file matches the installed package.

    python -m tests.stripe.make_params
"""

import ast
import importlib
import json
import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NotRequired, Required, Union

import stripe
from stripe._object_classes import OBJECT_CLASSES, get_object_class
from stripe._request_options import RequestOptions
from typing_extensions import is_typeddict

TARGET = Path(__file__).parents[2] / "stripe_simulator" / "params.json"
SERVICES = [
    "_customer_service",
    "_customer_payment_method_service",
    "_customer_tax_id_service",
    "_invoice_service",
    "_invoice_line_item_service",
    "_credit_note_service",
    "_credit_note_line_item_service",
    "_credit_note_preview_lines_service",
    "_payment_intent_service",
    "_payment_method_service",
    "_charge_service",
    "_refund_service",
    "_event_service",
    "_webhook_endpoint_service",
    "_dispute_service",
    "_balance_service",
    "_balance_transaction_service",
    "_payout_service",
    "_product_service",
    "_price_service",
    "_coupon_service",
    "_promotion_code_service",
    "_setup_intent_service",
    "_token_service",
    "_mandate_service",
    "_account_service",
    "checkout._session_service",
    "checkout._session_line_item_service",
    "_confirmation_token_service",
    "test_helpers._confirmation_token_service",
    "test_helpers._refund_service",
    "radar._early_fraud_warning_service",
]
OPERATION = re.compile(r'"(get|post|delete)",\s*"(/v1/[^"]+)"')
EXCLUDED_PATHS = ("/v1/account/", "/v1/accounts")
EXTRA_NAMES = vars(stripe._request_options) | {"StripeContext": Any}
"""Names that the annotations need and their modules do not import: every class inherits from RequestOptions."""

Alternative = str | dict[str, Any]


def calls(service: str) -> Iterator[tuple[ast.FunctionDef, str, str]]:
    """Yield each method of a service that calls the API, the HTTP method, and the path with named parameters."""
    path = Path(stripe.__file__).parent / (service.replace(".", "/") + ".py")
    for node in ast.walk(ast.parse(path.read_text())):
        call = OPERATION.search(ast.unparse(node).replace("'", '"')) if isinstance(node, ast.FunctionDef) else None
        if isinstance(node, ast.FunctionDef) and call is not None and not call[2].startswith(EXCLUDED_PATHS):
            yield node, call[1].upper(), call[2]


def path_params(service: str) -> dict[str, list[str]]:
    """Return the names of the parameters in the path of each operation, which errors name in `param`.

    For example `{"GET /v1/coupons/*": ["coupon"]}`.
    """
    return {
        f"{method} {re.sub(r'\{[^}]*\}', '*', path)}": names
        for _, method, path in calls(service)
        if (names := re.findall(r"\{([^}]*)\}", path))
    }


def operations(service: str) -> dict[str, str]:
    """Return the parameter class of each operation of a service, empty if it takes no parameters.

    For example `{"POST /v1/refunds": "stripe.params._refund_create_params:RefundCreateParams"}`.
    """
    path = Path(stripe.__file__).parent / (service.replace(".", "/") + ".py")
    table: dict[str, str] = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef):
            continue
        call = OPERATION.search(ast.unparse(node).replace("'", '"'))
        if call is None or call[2].startswith(EXCLUDED_PATHS):
            continue
        annotation = next((a.annotation for a in node.args.args if a.arg == "params"), None)
        name = re.search(r"\w+Params", ast.unparse(annotation)) if annotation is not None else None
        imports = re.search(rf"from (stripe\.params\.\S+) import \(?\s*{name[0]}\b", path.read_text()) if name else None
        template = re.sub(r"\{[^}]*\}", "*", call[2])
        table[f"{call[1].upper()} {template}"] = f"{imports[1]}:{name[0]}" if imports and name else ""
    return table


class Schema:
    """Collects parameter classes and stores equal classes once."""

    def __init__(self) -> None:
        self.classes: dict[str, dict[str, list[Alternative]]] = {}
        self._by_shape: dict[str, str] = {}
        self._names: dict[type, str] = {}

    def add(self, cls: type) -> str:
        """Add a class and return the name that its fields are stored under; required fields end with `!`."""
        if cls in self._names:
            return self._names[cls]
        self._names[cls] = cls.__name__
        module = sys.modules[cls.__module__].__dict__
        fields: dict[str, list[Alternative]] = {}
        for field, hint in typing.get_type_hints(cls, module, EXTRA_NAMES, include_extras=True).items():
            if field in RequestOptions.__annotations__ and cls.__name__.endswith("Params"):
                continue
            optional = typing.get_origin(hint) is NotRequired
            if typing.get_origin(hint) in (NotRequired, Required):
                hint = typing.get_args(hint)[0]
            fields[field + ("" if optional else "!")] = self.alternatives(hint)
        shape = json.dumps(fields, sort_keys=True)
        name = self._by_shape.setdefault(shape, cls.__name__)
        self._names[cls] = name
        self.classes.setdefault(name, fields)
        return name

    def alternatives(self, hint: Any) -> list[Alternative]:
        """Return what a value may be: `int`, `str`, …, `""`, an enum, a list, an object or a map."""
        if isinstance(hint, str):
            raise TypeError(hint)
        hints = typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)
        options: list[Alternative] = []
        for each in hints:
            options += [option for option in self._alternative(each) if option not in options]
        enums = [value for option in options if isinstance(option, dict) for value in option.get("enum", [])]
        if enums:  # `Literal[...] | str` is an enum with room for new values; Stripe refuses unknown ones
            options = [o for o in options if o != "str" and not (isinstance(o, dict) and "enum" in o)]
            options.append({"enum": enums})
        return options

    def _alternative(self, hint: Any) -> list[Alternative]:
        """Return the alternatives of a hint that is not a union."""
        origin = typing.get_origin(hint)
        if origin is Literal:
            values = list(typing.get_args(hint))
            rest = [v for v in values if v != ""]
            return ([""] if "" in values else []) + ([{"enum": rest}] if rest else [])
        if origin is list:
            return [{"list": self.alternatives(typing.get_args(hint)[0])}]
        if origin is dict or "UntypedStripeObject" in str(hint):
            value = typing.get_args(hint)[-1:]
            if value and is_typeddict(value[0]):
                return [{"map": self.alternatives(value[0])}]
            return ["map"] if value == (str,) else ["any"]
        if is_typeddict(hint):
            return [{"object": self.add(hint)}]
        if hint is typing.Any:
            return ["any"]
        plain = {int: "int", str: "str", bool: "bool", float: "float"}.get(hint, hint.__name__.lower())
        return [plain if plain in {"int", "str", "bool", "float", "decimal"} else "any"]


MAX_EXPAND_DEPTH = 4
NAMESPACED_FIRST = sorted(
    OBJECT_CLASSES, key=lambda kind: "." not in kind
)  # so `Dispute` is `dispute`, not `issuing.…`
KINDS = {get_object_class("V1", kind).__name__: kind for kind in NAMESPACED_FIRST} | {"Session": "checkout.session"}


def response_kinds(service: str) -> dict[str, str]:
    """Return the kind of object in the response of each operation of a service, where `expand` begins.

    For example `{"POST /v1/refunds": "refund", "GET /v1/refunds": "data.refund"}`.
    """
    path = Path(stripe.__file__).parent / (service.replace(".", "/") + ".py")
    kinds = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.FunctionDef) or node.returns is None:
            continue
        call = OPERATION.search(ast.unparse(node).replace("'", '"'))
        if call is None or call[2].startswith(EXCLUDED_PATHS):
            continue
        wrapper, name = re.fullmatch(r"(?:(\w+)\[)?(\w+)\]?", str(ast.literal_eval(node.returns))).groups()  # type: ignore[union-attr]
        template = re.sub(r"\{[^}]*\}", "*", call[2])
        kinds[f"{call[1].upper()} {template}"] = ("data." if wrapper else "") + KINDS[name]
    return kinds


def expandable(cls: type, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield each path that `expand` may name or pass through, with the kinds of objects at it."""
    for field, hint in vars(cls).get("__annotations__", {}).items():
        path = prefix + field
        class_names = re.findall(r"ForwardRef\('(\w+)'\)", str(hint))
        kinds = [KINDS.get(name.removesuffix("Resource"), name) for name in class_names]
        if "ListObject" in str(hint):
            yield path, []
            yield f"{path}.data", kinds
        elif class_names:
            yield path, kinds
        inner = [each for each in _classes(hint) if each.__qualname__.startswith(f"{cls.__qualname__}.")]
        deeper = path.count(".") < MAX_EXPAND_DEPTH - 1
        below = [entry for each in inner if deeper for entry in expandable(each, f"{path}.")]
        if inner and (below or path.count(".") < 2):
            yield path, []
        yield from below


def _classes(hint: Any) -> list[type]:
    if isinstance(hint, type):
        return [hint]
    return [cls for argument in typing.get_args(hint) for cls in _classes(argument)]


def build() -> dict[str, Any]:
    """Return the content of the file."""
    schema = Schema()
    table: dict[str, str] = {}
    kinds: dict[str, str] = {}
    names: dict[str, list[str]] = {}
    for service in SERVICES:
        importlib.import_module(f"stripe.{service}")
        names |= path_params(service)
        kinds |= response_kinds(service)
        for operation, reference in operations(service).items():
            if not reference:
                table[operation] = ""
                continue
            module, name = reference.split(":")
            table[operation] = schema.add(getattr(importlib.import_module(module), name))
    return {
        "stripe": stripe.VERSION,
        "api_version": stripe.api_version,
        "operations": dict(sorted(table.items())),
        "answers": dict(sorted(kinds.items())),
        "path_params": dict(sorted(names.items())),
        "expandable": {
            kind: dict(expandable(get_object_class("V1", kind)))
            for kind in sorted({kind.removeprefix("data.") for kind in kinds.values()} | {"item"})
        },
        "classes": dict(sorted(schema.classes.items())),
    }


def text(schema: dict[str, Any]) -> str:
    """Return the text of the file."""
    return json.dumps(schema, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(build()))
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
