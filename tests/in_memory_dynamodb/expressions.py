"""DynamoDB's expressions: a parser for those that Tuition sends, and functions that evaluate them.

Each expression is parsed once per process. An expression outside this grammar raises `NotImplementedError`, so a new
kind of expression fails here before it is compared with DynamoDB Local.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from tests.in_memory_dynamodb.errors import invalid

Item = dict[str, Any]
Names = Mapping[str, str]
Path = tuple[str, ...]
"""The steps of a document path; a step that starts with # is an expression attribute name."""
Node = tuple[Any, ...]
Evaluate = Callable[[Item, Names, Item], Any]
MISSING: Any = object()
"""The value of a path that the item does not have."""
KEYWORDS = {"AND", "OR", "NOT", "BETWEEN", "SET", "REMOVE", "ADD", "DELETE"}
_TOKEN = re.compile(r"\s*(?:([#:]?\w+)|(<=|>=|<>|[=<>(),.+-]))")


@dataclass
class Expression:
    """A parsed expression, with the names and values that it uses and the path that DynamoDB refuses, if any."""

    node: Node
    names: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    plain_names: list[str] = field(default_factory=list)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = []
        self.position = 0
        self.parsed = Expression(())
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.unknown()
            self.tokens.append(match[1] or match[2])
            at = match.end()

    def unknown(self) -> NotImplementedError:
        return NotImplementedError(f"expression {self.text!r}")

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def accept(self, *tokens: str) -> str:
        """Read the next token if it is one of these. Keywords have any case."""
        token = self.peek()
        if token in tokens or (token.upper() in KEYWORDS and token.upper() in tokens):
            self.position += 1
            return token.upper()
        return ""

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise self.unknown()

    def path(self) -> Path:
        steps = [self._step()]
        while self.accept("."):
            steps.append(self._step())
        return tuple(steps)

    def _step(self) -> str:
        token = self.peek()
        if not re.fullmatch(r"#\w+|[A-Za-z_]\w*", token) or token.upper() in KEYWORDS:
            raise self.unknown()
        self.position += 1
        if token.startswith("#"):
            self.parsed.names.add(token)
        else:
            self.parsed.plain_names.append(token)
        return token

    def value(self) -> str:
        token = self.peek()
        if not token.startswith(":"):
            raise self.unknown()
        self.position += 1
        self.parsed.values.add(token)
        return token

    def operand(self) -> Node:
        return ("value", self.value()) if self.peek().startswith(":") else ("path", self.path())

    # --- conditions ---

    def condition(self) -> Node:
        parts = [self._conjunction()]
        while self.accept("OR"):
            parts.append(self._conjunction())
        return ("or", *parts) if len(parts) > 1 else parts[0]

    def _conjunction(self) -> Node:
        parts = [self._negation()]
        while self.accept("AND"):
            parts.append(self._negation())
        return ("and", *parts) if len(parts) > 1 else parts[0]

    def _negation(self) -> Node:
        return ("not", self._negation()) if self.accept("NOT") else self._primary()

    def _primary(self) -> Node:
        if self.accept("("):
            inner = self.condition()
            self.expect(")")
            return inner
        following = self.tokens[self.position + 1 : self.position + 2]
        if following == ["("]:
            return self._function()
        first = self.operand()
        if self.accept("BETWEEN"):
            low = self.operand()
            self.expect("AND")
            return "between", first, low, self.operand()
        operator = self.accept("=", "<", "<=", ">", ">=")
        if not operator:
            raise self.unknown()
        return operator, first, self.operand()

    def _function(self) -> Node:
        name = self.peek()
        self.position += 2
        if name in ("attribute_exists", "attribute_not_exists"):
            node: Node = (name, self.path())
        elif name == "begins_with":
            first = self.operand()
            self.expect(",")
            node = (name, first, self.operand())
        else:
            raise self.unknown()
        self.expect(")")
        return node

    # --- updates ---

    def update(self) -> Node:
        clauses: dict[str, list[Node]] = {}
        while clause := self.accept("SET", "REMOVE", "ADD", "DELETE"):
            if clause in clauses:
                raise self.unknown()
            clauses[clause] = [self._change(clause)]
            while self.accept(","):
                clauses[clause].append(self._change(clause))
        return ("update", clauses)

    def _change(self, clause: str) -> Node:
        path = self.path()
        if clause == "REMOVE":
            return (path,)
        if clause in ("ADD", "DELETE"):
            return path, self.value()
        self.expect("=")
        first = self._set_operand()
        operator = self.accept("+", "-")
        return (path, (operator, first, self._set_operand()) if operator else first)

    def _set_operand(self) -> Node:
        if self.peek() != "if_not_exists":
            return self.operand()
        self.position += 1
        self.expect("(")
        path = self.path()
        self.expect(",")
        fallback = self._set_operand()
        self.expect(")")
        return "if_not_exists", path, fallback

    def projection(self) -> Node:
        paths = [self.path()]
        while self.accept(","):
            paths.append(self.path())
        return ("projection", *paths)

    def finish(self, node: Node) -> Expression:
        if self.position != len(self.tokens) or not self.tokens:
            raise self.unknown()
        self.parsed.node = node
        return self.parsed


# --- values ---


def comparable(typed: Any) -> Any:
    """Return what a type and its value compare by; None if they are in no order."""
    ((kind, value),) = typed.items()
    if kind == "N":
        return kind, Decimal(value)
    return (kind, value) if kind in ("S", "B") else None


def _equal(first: Any, right: Any) -> bool:
    if "N" in first and "N" in right:
        return Decimal(first["N"]) == Decimal(right["N"])
    return bool(first == right)  # stored numbers have one form, and sets one order


def _in_order(first: Any, right: Any, *, strict: bool) -> bool:
    low, high = comparable(first), comparable(right)
    if low is None or high is None:
        raise NotImplementedError(f"{first} compared with {right}")
    if low[0] != high[0]:
        return False
    return bool(low[1] < high[1] if strict else low[1] <= high[1])


def resolve(path: Path, names: Names) -> Path:
    """Return the path with its expression attribute names replaced."""
    return tuple(names[step] if step[0] == "#" else step for step in path)


def _read_path(path: Path) -> Evaluate:
    if len(path) == 1:
        (name,) = path
        if name[0] == "#":
            return lambda item, names, _: item.get(names[name], MISSING)
        return lambda item, *_: item.get(name, MISSING)

    def read(item: Item, names: Names, _: Item) -> Any:
        *parents, last = resolve(path, names)
        for step in parents:
            item = item.get(step, {}).get("M", {})
        return item.get(last, MISSING)

    return read


def _read_operand(node: Node) -> Evaluate:
    kind, operand = node
    if kind == "value":
        return lambda _item, _names, values: values[operand]
    return _read_path(operand)


# --- conditions ---


def _compare(operator: str, first: Evaluate, right: Evaluate) -> Evaluate:
    def compare(item: Item, names: Names, values: Item) -> bool:
        one, other = first(item, names, values), right(item, names, values)
        if one is MISSING or other is MISSING:
            return False
        if operator == "=":
            return _equal(one, other)
        if operator in (">", ">="):
            one, other = other, one
        return _in_order(one, other, strict=len(operator) == 1)

    return compare


def _compiled(node: Node) -> Evaluate:
    kind, *parts = node
    if kind in ("or", "and"):
        inner = [_compiled(part) for part in parts]
        join = any if kind == "or" else all
        return lambda *context: join(part(*context) for part in inner)
    if kind == "not":
        negated = _compiled(parts[0])
        return lambda *context: not negated(*context)
    if kind in ("attribute_exists", "attribute_not_exists"):
        read, must_exist = _read_path(parts[0]), kind == "attribute_exists"
        return lambda *context: (read(*context) is not MISSING) is must_exist
    operands = [_read_operand(part) for part in parts]
    if kind == "between":
        value, low, high = operands
        at_least, at_most = _compare(">=", value, low), _compare("<=", value, high)
        return lambda *context: at_least(*context) and at_most(*context)
    if kind == "begins_with":
        return lambda *context: _begins_with(*(operand(*context) for operand in operands))
    return _compare(kind, *operands)


def _begins_with(whole: Any, start: Any) -> bool:
    if whole is MISSING or "S" not in whole or "S" not in start:
        raise NotImplementedError("begins_with of anything but a text")
    return bool(whole["S"].startswith(start["S"]))


@cache
def condition(text: str) -> tuple[Expression, Evaluate]:
    """Parse a condition, key condition or filter. Return it with a function that evaluates it."""
    parser = _Parser(text)
    parsed = parser.finish(parser.condition())
    return parsed, _compiled(parsed.node)


@cache
def projection(text: str) -> Expression:
    """Parse a projection."""
    parser = _Parser(text)
    return parser.finish(parser.projection())


@cache
def update(text: str) -> Expression:
    """Parse an update."""
    parser = _Parser(text)
    return parser.finish(parser.update())


def project(parsed: Expression, item: Item, names: Names) -> Item:
    """Return the item with the projected attributes only."""
    projected: Item = {}
    for path in parsed.node[1:]:
        if len(path) > 1:
            raise NotImplementedError("a projection of a nested attribute")
        (name,) = resolve(path, names)
        if name in item:
            projected[name] = item[name]
    return projected


# --- updates ---


def apply(parsed: Expression, item: Item, names: Names, values: Item, keys: tuple[str, ...]) -> Item:
    """Return a new item after the update; its right sides read the item before it.

    Raises ClientError for an update that DynamoDB refuses. Neither the item nor what it contains is changed.
    """
    after = dict(item)
    paths: list[Path] = []
    for clause, changes in parsed.node[1].items():
        for unresolved, *right in changes:
            path = resolve(unresolved, names)
            _check_path(path, paths, keys)
            paths.append(path)
            if clause == "SET":
                _set(after, path, _set_value(right[0], item, names, values))
            elif clause == "REMOVE":
                _remove(after, path)
            else:
                _add_or_delete(clause, after, path, values[right[0]])
    return after


def _check_path(path: Path, others: list[Path], keys: tuple[str, ...]) -> None:
    if path[0] in keys:
        raise invalid(
            f"One or more parameter values were invalid: Cannot update attribute {path[0]}. "
            "This attribute is part of the key"
        )
    for other in others:
        shared = min(len(path), len(other))
        if path[:shared] == other[:shared]:
            raise NotImplementedError(f"an update of {path} and {other}")


def _set_value(node: Node, item: Item, names: Names, values: Item) -> Any:
    kind = node[0]
    if kind == "if_not_exists":
        existing = _read_path(node[1])(item, names, values)
        return _set_value(node[2], item, names, values) if existing is MISSING else existing
    if kind in ("+", "-"):
        first, right = (_set_value(part, item, names, values) for part in node[1:])
        return _sum(first, right, 1 if kind == "+" else -1)
    value = _read_operand(node)(item, names, values)
    if value is MISSING:
        raise invalid("The provided expression refers to an attribute that does not exist in the item")
    return value


def _sum(first: Any, right: Any, sign: int) -> Any:
    if "N" not in first or "N" not in right:
        raise invalid("An operand in the update expression has an incorrect data type")
    try:
        return {"N": str(int(first["N"]) + sign * int(right["N"]))}
    except ValueError:
        raise NotImplementedError(f"the sum of {first} and {right}") from None


def _parent(after: Item, path: Path) -> Item:
    """Return the map that has the last step of the path, after copying every map on the way."""
    for step in path[:-1]:
        if step not in after or "M" not in after[step]:
            raise invalid("The document path provided in the update expression is invalid for update")
        after[step] = {"M": dict(after[step]["M"])}
        after = after[step]["M"]
    return after


def _set(after: Item, path: Path, value: Any) -> None:
    _parent(after, path)[path[-1]] = value


def _remove(after: Item, path: Path) -> None:
    _parent(after, path).pop(path[-1], None)


def _add_or_delete(clause: str, after: Item, path: Path, value: Any) -> None:
    """Add to a number or a set of texts, or delete texts from a set."""
    if len(path) > 1:
        raise NotImplementedError(f"{clause} of a nested attribute")
    (name,) = path
    existing = after.get(name)
    if clause == "ADD" and "N" in value:
        after[name] = _sum(existing or {"N": "0"}, value, 1)
        return
    if "SS" not in value:
        raise NotImplementedError(f"{clause} {value}")
    if existing is not None and "SS" not in existing:
        raise invalid("An operand in the update expression has an incorrect data type")
    members, operand = set(existing["SS"] if existing else ()), set(value["SS"])
    members = members | operand if clause == "ADD" else members - operand
    if members:
        after[name] = {"SS": sorted(members)}
    else:
        after.pop(name, None)


# --- references ---


def check_references(
    expressions: Mapping[str, Expression], names: Names | None, values: Item | None, reserved: frozenset[str]
) -> None:
    """Refuse reserved words, and names and values that are undefined or unused. The expressions are by parameter."""
    for parameter, parsed in expressions.items():
        for name in parsed.plain_names:
            if name.upper() in reserved:
                raise invalid(f"Invalid {parameter}: Attribute name is a reserved keyword; reserved keyword: {name}")
        if undefined := parsed.names - (names or {}).keys():
            raise invalid(
                f"Invalid {parameter}: An expression attribute name used in the document path is not defined; "
                f"attribute name: {min(undefined)}"
            )
        if undefined := parsed.values - (values or {}).keys():
            raise invalid(
                f"Invalid {parameter}: An expression attribute value used in expression is not defined; "
                f"attribute value: {min(undefined)}"
            )
    for kind, names_or_values, used in (
        ("Names", names or {}, [parsed.names for parsed in expressions.values()]),
        ("Values", values or {}, [parsed.values for parsed in expressions.values()]),
    ):
        if unused := names_or_values.keys() - set[str]().union(*used):
            raise invalid(f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{min(unused)}}}")
