"""The templates and the example of docs/events.md."""

import os
import re
from typing import Any

from local import deploy
from local.ministack import REGION
from tools.published_events import PAGE


def blocks(language: str) -> list[str]:
    """Return the blocks of a language in docs/events.md."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def consumer_file() -> str:
    (text,) = blocks("python")
    return text


def consumer_template(code: Any) -> dict[str, Any]:
    """Return the example consumer's template as SAM expands it, with its code at this place."""
    from samtranslator.translator.transform import transform  # slow to import, and only one worker needs it
    from samtranslator.yaml_helper import yaml_parse

    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)  # the only variable that the transform reads
    template = yaml_parse(blocks("yaml")[0])
    template["Resources"]["SettledFunction"]["Properties"]["CodeUri"] = code
    expanded: dict[str, Any] = transform(template, {}, deploy._ManagedPolicies())
    return expanded


def outside_template() -> dict[str, Any]:
    from samtranslator.yaml_helper import yaml_parse

    template: dict[str, Any] = yaml_parse(blocks("yaml")[1])
    return template
