"""Lint both templates: cfn-lint with awslabs' serverless rules, SAM's validation, and checkov.

``template.yaml`` is linted as it is written and as SAM expands it, because CloudFormation deploys the expanded one. SAM
validates only ``template.yaml``: in the other two, which have no transform, it would run cfn-lint's rules again.
Exceptions have their reasons in ``tools/checkov.yaml``, and in the Metadata of a template or a resource.
checkov has an environment of its own, because it pins another boto3. It takes ten seconds to start, so ``make check``
does not run it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local import deploy
from local.build import ROOT

BIN = Path(sys.executable).parent
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
EXPANDED = ROOT / ".aws-sam" / "lint" / "template.json"
TEMPLATES = (ROOT / "template.yaml", ROOT / "web.yaml", EXPANDED)
ARTIFACT = {"Bucket": "artifacts", "Key": "artifact.zip"}
"""Where the code would be. The linters do not read it."""


def expanded() -> deploy.Template:
    """Return the template that CloudFormation deploys, with the parameters' defaults."""
    template = deploy.read_template(ROOT / "template.yaml")
    template["Globals"]["Function"]["CodeUri"] = ARTIFACT
    for resource in template["Resources"].values():
        for field in {"CodeUri", "ContentUri"} & set(resource["Properties"]):
            resource["Properties"][field] = ARTIFACT
    defaults = {name: str(parameter.get("Default", "")) for name, parameter in template["Parameters"].items()}
    return deploy.expand(template, defaults)


def commands() -> Iterator[list[str]]:
    """Yield the command of each linter. They begin with the slowest."""
    templates = [str(path) for path in TEMPLATES]
    rules = ["--append-rules", "cfn_lint_serverless.rules", "--regions", "us-east-1", "eu-central-1"]
    yield [str(BIN / "cfn-lint"), "--template", *templates, *rules]
    yield [str(CHECKOV), "--config-file", "tools/checkov.yaml", "--file", *templates]
    yield [str(BIN / "sam"), "validate", "--lint", "--region", "us-east-1", "--template", str(ROOT / "template.yaml")]


def run(command: list[str]) -> str:
    """Run one linter. Return its report, which is empty if the templates are clean."""
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0"}
    result = subprocess.run(  # noqa: S603 (programs of this repository's environments)
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return f"{' '.join(command)}\n{result.stdout}{result.stderr}" if result.returncode else ""


def main() -> int:
    """Run every linter on every template, two at a time. Print the reports, and return 1 if there is one."""
    EXPANDED.parent.mkdir(parents=True, exist_ok=True)
    EXPANDED.write_text(json.dumps(expanded(), indent=1), encoding="utf-8")
    with ThreadPoolExecutor(max_workers=2) as workers:
        reports = [report for report in workers.map(run, commands()) if report]
    print("\n".join(reports), end="")
    return int(bool(reports))


if __name__ == "__main__":
    sys.exit(main())
