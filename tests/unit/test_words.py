"""The words of the project: plain English in prose, and the names of the glossary in code.

Each rule has a name, a pattern, the plain alternative, one example that it reports and one that it accepts. A report
has the form `file:line: rule: "match": suggestion`. `python -m tests.unit.test_words [path…]` prints all reports,
or those of the files and folders given.

Prose is the text of Markdown and HTML files, comments, docstrings, string literals of three words or more, and the
names of test functions. Code is everything else.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from tools import structure

ROOT = Path(__file__).parents[2]
SUFFIXES = {".py", ".js", ".md", ".yaml", ".toml", ".html", ".css", ".in"}
NAMES = {"Makefile", "run"}
THIRD_PARTY = "web/console/vendor/"
THIS_FILE = "tests/unit/test_words.py"
Kind = Literal["prose", "code", "name"]

RENAMED = "the changelog names what was renamed"
SEED = "the word is part of a seed: another word would draw other schedules"
ALLOWED: dict[tuple[str, str], str] = {
    ("CHANGELOG.md", "DifferenceFound"): RENAMED,
    ("CHANGELOG.md", "EventForeign"): RENAMED,
    ("CHANGELOG.md", "payment.forgotten"): RENAMED,
    ("CHANGELOG.md", "refund.ordered"): RENAMED,
    ("CHANGELOG.md", "`left`"): RENAMED,
    ("tests/chaos/flows.py", "told"): SEED,
    ("tests/chaos/flows.py", "nobody"): SEED,
    ("tests/chaos/flows.py", "is gone"): SEED,
}
"""Accepted reports: a file and the matched text, with the reason why it stays."""


class Block(NamedTuple):
    """A piece of a file and its first line. The `kind` says which rules apply to it: prose, code, or a single name."""

    line: int
    text: str
    kind: Kind = "prose"


@dataclass(frozen=True)
class Rule:
    """A pattern to reject, its plain alternative, and an example of each as a line of a Python file."""

    name: str
    pattern: str
    instead: str
    bad: str
    good: str
    kind: Kind = "prose"
    except_questions: bool = False

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern, 0 if self.kind == "code" or self.except_questions else re.IGNORECASE)


# The start of a sentence: of a block, after a full stop, or of a Markdown paragraph, heading, list item or table cell.
START = r"(?:\A[\W_]*|(?<=[.!?|])\s+[*_(]*|\n\s*\n[\s#*_>-]*|\n\s*(?:[-*#]+|\d+\.)\s+)"
BLOCK_START = r"\A[\W_]*"
PARTICIPLES = "found|asked|known|told|made|wanted|given|said|seen"
UNITS = "user|student|person|payment|track|month|day|hour|minute|second|week|year"
NUMBERS = r"\d+(?:[,.]\d+)*|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|thirty|hundred|thousand|million"

PROSE_RULES = [
    Rule(
        "e-mail",
        r"\be-mail",
        "write email",
        "# sends an e-mail",
        "# sends an email",
    ),
    Rule(
        "who as subject",
        rf"(?:{START}Whom?|{BLOCK_START}whom?)\b [a-z]+",
        'name the actor: "A student who has paid …"',
        '"""Who has paid is refunded."""',
        '"""Return the students who have paid."""',
        except_questions=True,
    ),
    Rule(
        "whoever",
        r"\bwhom?ever\b",
        'name the actor: "any code path that …", "the caller"',
        "# whoever sees it closes it",
        "# any code path that sees it closes it",
    ),
    Rule(
        "what as subject",
        rf"(?:{START}What(?:ever)?|{BLOCK_START}what(?:ever)?)\b (?!to\b)[a-z]+",
        'name the thing: "A missing object …", "The settings of …"',
        "def test_what_is_gone_may_come_back() -> None: ...",
        "def test_a_missing_object_may_reappear() -> None: ...",
        except_questions=True,
    ),
    Rule(
        "anew",
        r"\banew\b",
        "write again",
        "# is created anew",
        "# is created again",
    ),
    Rule(
        "by itself",
        r"\bby (?:itself|themselves)\b",
        "write automatically, or name the actor",
        "# the lease ends by itself",
        "# the lease expires automatically",
    ),
    Rule(
        "comes again",
        r"\b(?:comes?|came|coming) again\b",
        "write is retried, is redelivered, or retry",
        "# the event comes again",
        "# Stripe redelivers the event",
    ),
    Rule(
        "drives on",
        r"\b(?:drives?|drove|driven|driving)\s+(?:\w+\s+){1,3}on\b",
        "write resume or continue",
        "# the reconciler drives it on",
        "# the reconciler resumes it",
    ),
    Rule(
        "goes on",
        r"\b(?:goes?|went) on\b(?! to the\b)",
        "write continue, or describe the next step",
        "# the walk goes on at the cursor",
        "# the walk continues at the cursor",
    ),
    Rule(
        "is over",
        r"\b(?:is|are|was|were|be|been) over\b(?!-|\s+(?:\d|an? |the |one|two|three))",
        "write has ended, has expired, or is closed",
        "# the dispute is over",
        "# a line is over 120 characters",
    ),
    Rule(
        "learns of",
        r"\blearn(?:s|ed|t|ing)?\s+(?:of|that)\b|\b(?:is|are|was|were|be) learn(?:ed|t)\b",
        "write sees, receives, or detects",
        "# the reconciler learns of it",
        "# the reconciler detects it",
    ),
    Rule(
        "told",
        r"\btold\b|\btells? of\b|\btelling of\b|\btellings?\b(?= (?:become|of))",
        "write reported, sent, or delivered",
        "# the webhook has not told of it",
        "# the webhook has not arrived",
    ),
    Rule(
        "once more again",
        r"\bonce (?:more )?again\b|\bover again\b",
        "write again",
        "# once more again",
        "# again",
    ),
    Rule(
        "holds to",
        r"\b(?:holds?|held|holding)\s+(?:\S+\s+){0,5}?(?:to what|against|to account)\b|\b(?:is|are|be|was) held to\b",
        "write checks, compares with, or enforces",
        "# holds the shapes against the simulator",
        "# compares the shapes with the simulator",
    ),
    Rule(
        "a for per",
        rf"\b(?:{NUMBERS})\s+(?:(?!in\b|of\b|within\b|after\b)[\w/$%-]+\s+){{0,3}}an?\s+(?:{UNITS})\b"
        r"(?!\s+(?:can|is|has|may|must|cannot|who|that|with|in|of|and|for|was|gets|sees|to)\b)",
        'write "per user", "per month"',
        "# at most ten creates a user",
        "# at most ten creates per user",
    ),
    Rule(
        "nobody",
        r"\b(?:nobody|somebody)\b(?!')|\b(?:nobody|somebody)'s\b",
        'name the actor: "no role", "no student", "another student", "someone"',
        "# nobody can pay it",
        "# it cannot be paid",
    ),
    Rule(
        "stands",
        r"\bstands? (?:beside|here|there|where|at|as|alone|in(?! for\b))\b|\bas (?:it|they|things) (?:stood|stands?)\b"
        r"|\b(?:where|how) (?:it|they|each|everything|one|an? \w+ \w+) stands?\b",
        "write is, or describe the state",
        "# where an open one stands",
        "# the status of an open payment",
    ),
    Rule(
        "dear",
        r"\bdear(?:er|est|ly)?\b",
        "write expensive or slow",
        "# a client is the dear part",
        "# creating a client is the slow part",
    ),
    Rule(
        "needs a person",
        r"\bneeds? (?:a person|somebody|nobody)\b|\bperson is needed\b|\bis for a person\b|\bneeded by a person\b",
        "write needs attention",
        "# the payment needs a person",
        "# the payment needs attention",
    ),
    Rule(
        "money is in",
        r"\bmoney (?:that )?is in\b(?! (?:minor|the|a|cents))",
        "write is settled",
        "# once the money is in",
        "# once the payment is settled",
    ),
    Rule(
        "given back",
        r"\b(?:given|gives?|gave|giving) back\b|\bgives? (?:it|money|them) back\b",
        "write refund",
        "# the rest is given back",
        "# the rest is refunded",
    ),
    Rule(
        "is gone",
        r"\b(?:is|are|was|were|be) gone\b",
        "write is missing, was deleted, or has expired",
        "# the intent is gone",
        "# the intent is missing at Stripe",
    ),
]
CODE_RULES = [
    Rule(
        "retired class",
        r"(?<![\w'-])(?<!# )(?<!// )(?<![\"'.]\s)(?<!\"\"\")(?:Wish|Offer|Notice|Loaded|Cause)\b(?=[\s(),:\]|.=`]|$)",
        "Wish is PurchaseRequest, Offer is OpenedPayment, Notice is ParsedEvent, Loaded is PaymentState, Cause is "
        "AttentionReason",
        "def read(event: object) -> Notice: ...",
        "def read(event: object) -> ParsedEvent: ...",
        kind="code",
    ),
    Rule(
        "retired name",
        r"\b(?:keeps_money|at_rest|bound_to)\b|\bwhose(?=\()|(?<=[.\"'])whose\b|\bimport (?:\w+, )*whose\b",
        "keeps_money is holds_funds, at_rest is is_final, bound_to is stripe_object_id, whose is resolve",
        "payment.bound_to = 1",
        "payment.stripe_object_id = 1",
        kind="code",
    ),
    Rule(
        "retired module",
        r"\bstripe_facts\b|\bimport (?:\w+, )*pulls\b|\bpulls\.\w|\bownership\.\w|\bimport (?:\w+, )*ownership\b",
        "stripe_facts is facts or stripe_json, pulls is sync, ownership is resolve",
        "from tuition import pulls",
        "from tuition.stripe_gateway import sync",
        kind="code",
    ),
    Rule(
        "retired metric or audit type",
        r"\b(?:DifferenceFound|EventForeign|refund\.ordered|payment\.forgotten)\b",
        "use ReconcileDrift, ForeignEvent, refund.created_by_staff, payment.dropped",
        'count("DifferenceFound")',
        'count("ReconcileDrift")',
        kind="code",
    ),
    Rule(
        "retired field left",
        r"""["'`]left["'`]|\b(?:payment|money)\.left\b|(?<=[(, ])left=(?!=)|(?<=[{,] )left(?=:|,| \})""",
        "use refundable_amount, expected_refundable_amount in the body of a refund, or the webhook outcome not_found",
        'body = {"left": 49900}',
        'body = {"expected_refundable_amount": 49900}',
        kind="code",
    ),
    Rule(
        "retired refund state",
        r"""["']calling["']""",
        "use submitting",
        'state = "calling"',
        'state = "submitting"',
        kind="code",
    ),
]
PARTICIPLE_RULE = Rule(
    "participle as a name",
    rf"\A(?:{PARTICIPLES})\Z",
    "name the value by what it is: payment, items, params, response",
    "def read(told: int) -> None: ...",
    "def read(event: int) -> None: ...",
    kind="name",
)
RETIRED_VARIABLE_RULE = Rule(
    "retired variable",
    r"\A(?:begun|wish|drive|_drive)\Z",
    "begun is attempt_times or created, wish is request, drive is resume",
    "def drive(refund: int) -> None: ...",
    "def resume(refund: int) -> None: ...",
    kind="name",
)
RULES = [*PROSE_RULES, *CODE_RULES, PARTICIPLE_RULE, RETIRED_VARIABLE_RULE]


# --- from files to blocks ---


def comments(source: str) -> Iterator[Block]:
    """Yield the comments of a Python file. Comments on consecutive lines are one block."""
    start, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if lines and token.start[0] != start + len(lines):
                yield Block(start, "\n".join(lines))
                lines = []
            start = start if lines else token.start[0]
            lines.append(token.string.lstrip("#!: "))
    if lines:
        yield Block(start, "\n".join(lines))


def python_blocks(source: str, nodes: Iterable[ast.AST] | None = None) -> Iterator[Block]:
    """Yield a Python file as code, its comments, strings and test names as prose, and its assigned names.

    `nodes` are those of its syntax tree, if the caller has them. There are a million in all files, so a node is
    selected by its class alone.
    """
    yield Block(1, source, "code")
    yield from comments(source)
    for node in ast.walk(ast.parse(source)) if nodes is None else nodes:
        kind = type(node)
        if kind is ast.Name or kind is ast.Attribute:
            if type(node.ctx) is ast.Store:
                yield Block(node.lineno, node.id if kind is ast.Name else node.attr, "name")
        elif kind is ast.Constant:
            if isinstance(node.value, str) and len(node.value.split()) > 2:
                yield Block(node.lineno, node.value)
        elif kind is ast.arg:
            yield Block(node.lineno, node.arg, "name")
        elif kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
            yield Block(node.lineno, node.name, "name")
            if node.name.startswith("test_"):
                yield Block(node.lineno, node.name.removeprefix("test_").replace("_", " "))


def script_blocks(source: str) -> Iterator[Block]:
    """Yield a JavaScript file as code, its comments and longer strings as prose, and its assigned names."""
    yield Block(1, source, "code")
    assigned = r"\b(?:const|let|var)\s+(?:(\w+)|[{[]([^=;]*)[}\]] =)|\(([\w\s,{}]*)\)\s*=>|\b(\w+)\s*=>"
    for match in re.finditer(assigned, source):
        for name in re.findall(r"\w+", " ".join(group for group in match.groups() if group)):
            yield Block(source.count("\n", 0, match.start()) + 1, name, "name")
    pattern = r"""/\*(.*?)\*/|((?:^[ \t]*//[^\n]*\n)+)|//([^\n]*)|"([^"\n]*)"|'([^'\n]*)'|`([^`]*)`"""
    for match in re.finditer(pattern, source, re.DOTALL | re.MULTILINE):
        text = next(group for group in match.groups() if group is not None)
        if len(text.split()) > 2:
            yield Block(source.count("\n", 0, match.start()) + 1, re.sub(r"(?m)^[ \t]*(?://|\*)", "", text))


def style_blocks(source: str) -> Iterator[Block]:
    """Yield the comments of a CSS file as prose."""
    for match in re.finditer(r"/\*(.*?)\*/", source, re.DOTALL):
        yield Block(source.count("\n", 0, match.start()) + 1, match.group(1))


def markdown_blocks(source: str) -> Iterator[Block]:
    """Yield a Markdown file as prose without its code and quotations, and its code as code."""
    for match in re.finditer(r"```.*?```|`[^`\n]*`", source, re.DOTALL):
        yield Block(source.count("\n", 0, match.start()) + 1, match.group(), "code")
    prose = re.sub(
        r"```.*?```|^>[^\n]*", lambda match: "\n" * match.group().count("\n"), source, flags=re.DOTALL | re.M
    )
    yield Block(1, re.sub(r"`[^`\n]*`", "code", prose))


def plain_blocks(source: str) -> Iterator[Block]:
    """Yield a YAML, TOML, HTML or Make file as both prose and code, with its comment signs and tags removed."""
    yield Block(1, source, "code")
    yield Block(1, re.sub(r"<[^<>\n]*>", "|", re.sub(r"(?m)^[ \t]*#+ ?", "", source)))


READERS: dict[str, Callable[[str], Iterator[Block]]] = {
    ".py": python_blocks,
    ".js": script_blocks,
    ".css": style_blocks,
    ".md": markdown_blocks,
}


@cache
def files() -> list[str]:
    """Return the tracked text files, without third-party files."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [path for path in listing.stdout.split("\0") if path and (ROOT / path).is_file()]
    readable = [path for path in paths if Path(path).suffix in SUFFIXES or Path(path).name in NAMES]
    return [path for path in readable if not path.startswith(THIRD_PARTY) and path != THIS_FILE]


def blocks(path: str, source: str | None = None) -> dict[Kind, list[Block]]:
    """Return the blocks of a file, or of a source in its place, by kind. The name of a test file is prose too."""
    name = [Block(1, Path(path).stem.removeprefix("test_").replace("_", " "))] if "/test_" in path else []
    groups: dict[Kind, list[Block]] = {"prose": name, "code": [], "name": []}
    text = (ROOT / path).read_text(encoding="utf-8") if source is None else source
    if source is None and path.endswith(".py"):
        each = python_blocks(text, structure.nodes(ROOT / path))
    else:
        each = READERS.get(Path(path).suffix, plain_blocks)(text)
    for block in each:
        groups[block.kind].append(block)
    return groups


# --- reports ---


def matches(rule: Rule, block: Block) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each match of a rule in a block."""
    for match in rule.regex.finditer(block.text):
        sentence = re.match(r"[^.!?\n]*(?:\n[^.!?\n]+)*\S", block.text[match.start() :].lstrip("\n.| "))
        if rule.except_questions and sentence and sentence.group().endswith("?"):
            continue
        text = match.group().lstrip(" \n\t#*_>|-(")
        start = match.end() - len(text)
        yield block.line + block.text.count("\n", 0, start), " ".join(text.split())


def all_matches(path: str, source: str | None = None) -> Iterator[tuple[Rule, int, str]]:
    """Yield each rule that matches in a file, or in a source in its place, with the line and the text of the match."""
    groups = blocks(path, source)
    for rule in RULES:
        for line, text in sorted({match for block in groups[rule.kind] for match in matches(rule, block)}):
            yield rule, line, text


def reports(path: str) -> Iterator[str]:
    """Yield a line for each match in a file that is not allowed."""
    for rule, line, text in all_matches(path):
        if (path, text) not in ALLOWED:
            yield f'{path}:{line}: {rule.name}: "{text}": {rule.instead}'


def is_reported(rule: Rule, source: str) -> bool:
    """Return whether a rule reports a piece of Python."""
    return any(block.kind == rule.kind and any(matches(rule, block)) for block in python_blocks(source))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_reports_its_bad_example_and_accepts_its_good_one(rule: Rule) -> None:
    assert is_reported(rule, rule.bad)
    assert not is_reported(rule, rule.good)


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("a.md", "# Title\n\nThe lease ends\nby itself.\n", [(4, "by itself")]),
        ("a.md", "```\nby itself\n```\n> It ends by itself.\n`by itself`\n", []),
        (
            "a.md",
            "# Who may refund a payment?\n\n## Who may refund\n\n- What is missing.\n",
            [(3, "Who may"), (5, "What is")],
        ),
        ("a.md", "Set `bound_to` here.\n", [(1, "bound_to")]),
        ("a.js", 'const found = 1; // it ends\nlink("It ends by itself");\n', [(2, "by itself"), (1, "found")]),
        ("a.js", "const { rows, asked } = page;\nlist((told) => told.id);\n", [(1, "asked"), (2, "told")]),
        ("a.yaml", "# The lease\n# ends by itself.\nName: x\n", [(2, "by itself")]),
        ("a.css", "/* It ends by itself. */\na { left: 0 }\n", [(1, "by itself")]),
        ("a.html", "<p>\n<b>Nobody</b> pays.</p>\n", [(2, "Nobody")]),
        ("tests/test_what_is_sent.py", '"""A test."""\n', [(1, "what is")]),
        ("a.py", '"""A module."""\n\n# Who pays\n# twice.\nx = 1  # is told\n', [(3, "Who pays"), (5, "told")]),
    ],
)
def test_a_match_has_its_line_in_each_kind_of_file(path: str, source: str, expected: list[tuple[int, str]]) -> None:
    assert [(line, text) for _, line, text in all_matches(path, source)] == expected


def test_every_file_follows_the_rules_of_words() -> None:
    lines = [line for path in files() for line in reports(path)]
    assert not lines, "\n" + "\n".join(lines)


def test_every_allowed_report_still_occurs() -> None:
    for path, text in ALLOWED:
        assert text in [match for _, _, match in all_matches(path)], path


if __name__ == "__main__":
    chosen = tuple(sys.argv[1:]) or ("",)
    for each in files():
        if each.startswith(chosen):
            print("".join(f"{report}\n" for report in reports(each)), end="")
