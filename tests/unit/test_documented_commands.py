"""Every command in the documents is run by a test, or the document says what it needs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "events/README.md")),
    ROOT / "stripe_simulator" / "README.md",
    ROOT / "verifier" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
LANGUAGES = {"sh", "text", "json", "diff", "python", "yaml", "toml", "sql", "js"}
NOT_RUN = {"ruby": "# not run here", "go": "// not run here", "php": "// not run here"}
"""The languages of no test, by the first line of a block."""
NEEDS = re.compile(r"# (?:.*; )?needs (an AWS account|a Stripe account|Docker|hours)$")
CI = ".ci/run"
TESTS = {
    r"make test( .*)?": CI,
    r"make build": "tests/template/test_build.py",
    r"make run( .*)?": "tests/stack/test_run.py",
    r"make check": "tests/unit/test_house_rules.py",
    r"make lint": "tests/template/test_lint.py",
    r"AWS_\w+=local .* python install\.py .*": "tests/stack/test_install.py",
    r"(pip install )?openapi-python-client.*|npx openapi-typescript .*": "tests/stack/test_generated_clients.py",
    r"make reconcile( .*)?": "tests/stack/test_stories.py",
    r"make collect( .*)?": "tests/stack/test_plans.py",
    r"make recount( .*)?": "tests/stack/test_analytics.py",
    r"make check-archive( .*)?": "tests/stack/test_archive.py",
    r"make extend-locks( .*)?": "tests/stack/test_archive_locks.py",
    r"make verify( .*)?": "tests/tables/test_verify.py",
    r"make audit( .*)?": "tests/stack/test_stories.py",
    r"make replay( .*)?": "tests/stack/test_events.py",
    r"(\w+=.* )?curl -s .*": "tests/stack/test_documented_commands.py",
    r"(API|SK|PI|TOKEN|STAFF|AUTH)=.*": "tests/stack/test_documented_commands.py",
    r"(\w+=\S+ )?python -m pytest tests/(model|chaos)": CI,
    r"\S+ python -m tests\.model\.search .*": "tests/model/test_search.py",
    r"\S+ \S+ python -m tests\.model\.test_planted_defects": "tests/model/test_planted_defects.py",
    r"pip install cryptography|python tuition_verify\.py .*|openssl dgst .*": "tests/unit/test_tuition_verify.py",
    r"pip install \./stripe_simulator|stripe_simulator( .*)?": "tests/stripe/test_distribution.py",
    r"curl http://127\.0\.0\.1:12111/.*": "tests/stripe/test_simulator_readme.py",
    r"python -m stripe_simulator( .*)?": "tests/stripe/test_simulator_server.py",
    r"stripe (trigger|listen|events resend|payment_intents list) .*": "tests/stripe/test_simulator_cli.py",
}
"""Which test, or the CI script, runs the commands of a kind."""


def blocks(document: Path) -> list[tuple[str, str]]:
    """Return the fenced blocks of a document: the language, and the lines."""
    text = document.read_text(encoding="utf-8")
    return [(language, lines) for language, lines in re.findall(r"^ *```([^\n]*)\n(.*?)^ *```", text, re.M | re.S)]


def commands(lines: str) -> list[str]:
    """Return the commands of a block without comments, leaving out those that say what they need."""
    result, needed = [], False
    for line in re.sub(r"\\\n *", "", lines).splitlines():
        needed = needed or bool(re.fullmatch(NEEDS, line.strip()))  # a comment of its own covers the rest of the block
        command = re.sub(r"(^|\s+)# .*$", "", line.strip())
        if command and not needed and not NEEDS.search(line):
            result.append(command)
    return result


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_command_is_run_by_a_test_or_says_what_it_needs(document: Path) -> None:
    for language, lines in blocks(document):
        assert language in LANGUAGES | NOT_RUN.keys(), f"name the language of the block that begins {lines[:60]!r}"
        assert lines.startswith(NOT_RUN.get(language, "")), f"no test runs {language}: say so in the first line"
        for command in commands(lines) if language == "sh" else []:
            assert any(re.fullmatch(pattern, command) for pattern in TESTS), command


def test_every_kind_of_command_is_in_a_document_and_its_test_exists() -> None:
    documented = [
        command
        for document in DOCUMENTS
        for language, lines in blocks(document)
        if language == "sh"
        for command in commands(lines)
    ]
    for pattern, test in TESTS.items():
        assert any(re.fullmatch(pattern, command) for command in documented), pattern
        assert (ROOT / test).exists(), test


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", document.read_text(encoding="utf-8"))) <= targets


def test_a_command_that_no_test_runs_is_found() -> None:
    assert commands("make new-thing # says nothing\n") == ["make new-thing"]
    assert commands("# needs an AWS account\naws s3 ls \\\n  --x\n") == []
    assert commands("make audit ARGS=--aws   # the deployed stack; needs an AWS account\nmake demo\n") == ["make demo"]
