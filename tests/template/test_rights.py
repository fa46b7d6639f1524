"""The rights that the installer asks for."""

from collections.abc import Callable
from typing import Any

from installer import rights
from local import deploy
from local.build import ROOT


def test_the_rights_cover_every_type_of_both_templates(expand: Callable[..., Any]) -> None:
    api = expand(DeletionProtection="true", HostedUiDomainPrefix="p")["Resources"]
    pages = deploy.read_template(ROOT / "web.yaml")["Resources"]
    types = {resource["Type"] for resource in [*api.values(), *pages.values()]}
    assert types <= set(rights.RESOURCES), "see installer/rights.py"
