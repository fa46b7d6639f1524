"""The web pages: the certificate of their domain, the stack of web.yaml, and the files with their config.json."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from installer import choices, people
from installer.run import Run
from installer.stack import apply, expanded, is_same_template
from installer.world import GLOBAL_REGION, Stop
from local import build, change_set, pages
from local.web_files import ASSETS, WebFile

CSP_REPORTS = "/csp-reports"
LIST_PAGES = 20
"""The most pages of a list of files or certificates. Each has up to 1,000 entries."""
DELETED_AT_ONCE = 1000


def has_pages(run: Run) -> bool:
    """Return whether the pages are deployed: they need a domain."""
    return bool(run.answers["domain"])


# --- the certificate ---


def look_at_certificate(run: Run) -> Sequence[str]:
    """Check that the domain has an issued certificate where CloudFront reads it."""
    acm = run.world.client("acm", GLOBAL_REGION)
    arn = run.answers["certificate_arn"] or _listed_certificate(run)
    if not arn:
        return [f"{run.answers['domain']} has no certificate in {GLOBAL_REGION}."]
    certificate = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    names = {certificate["DomainName"], *certificate.get("SubjectAlternativeNames", [])}
    wildcard = "*." + run.answers["domain"].partition(".")[2]
    if not names & {run.answers["domain"], wildcard}:
        return [f"The certificate {arn} is for {', '.join(sorted(names))}. Use one for {run.answers['domain']}."]
    if certificate["Status"] == "ISSUED":
        run.facts["certificate"] = arn
        return []
    return [
        f"The certificate of {run.answers['domain']} is {certificate['Status']}. Put these records into the DNS zone "
        "of the domain, wait some minutes, then run this again:",
        *(
            f"  {record['Name']} {record['Type']} {record['Value']}"
            for option in certificate.get("DomainValidationOptions", [])
            if (record := option.get("ResourceRecord"))
        ),
    ]


def _listed_certificate(run: Run) -> str | None:
    """Return the certificate of the domain, an issued one before a pending one."""
    acm = run.world.client("acm", GLOBAL_REGION)
    arns: dict[str, str] = {}
    token: dict[str, str] = {}
    for _ in range(LIST_PAGES):
        page = acm.list_certificates(CertificateStatuses=["ISSUED", "PENDING_VALIDATION"], **token)
        for summary in page["CertificateSummaryList"]:
            if summary["DomainName"] == run.answers["domain"]:
                arns.setdefault(summary.get("Status", "ISSUED"), summary["CertificateArn"])
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    return arns.get("ISSUED") or arns.get("PENDING_VALIDATION")


def request_certificate(run: Run) -> None:
    """Request a certificate, unless one was given or is pending already."""
    if run.answers["certificate_arn"] or _listed_certificate(run):
        return
    token = hashlib.sha256(run.answers["domain"].encode()).hexdigest()[:32]
    run.world.client("acm", GLOBAL_REGION).request_certificate(
        DomainName=run.answers["domain"], ValidationMethod="DNS", IdempotencyToken=token
    )


# --- the stack ---


def parameters(run: Run) -> dict[str, str]:
    """Return the parameters of web.yaml."""
    if change_set.status(run.world.client("cloudformation"), run.web_stack_name) in change_set.READY:
        run.deployed_web()
    return {
        **choices.of(run, choices.PAGES, run.web_stack_name),
        "ApiDomain": urlsplit(run.deployed().outputs["ApiUrl"]).netloc,
        "Domain": run.answers["domain"],
        "CertificateArn": str(run.facts.get("certificate") or run.answers["certificate_arn"]),
        "SignInOrigin": sign_in_origin(run),
        "CspReportUri": f"https://{run.answers['domain']}{CSP_REPORTS}",
    }


def sign_in_origin(run: Run) -> str:
    """Return the origin of Cognito's sign-in page."""
    return f"https://{run.answers['sign_in_prefix']}.auth.{run.world.region}.amazoncognito.com"


def look_at_stack(run: Run) -> Sequence[str]:
    """Compare the deployed stack of the pages with ours."""
    described = change_set.describe_stack(run.world.client("cloudformation"), run.web_stack_name)
    if described is None or described["StackStatus"] not in change_set.READY:
        return [f"The stack {run.web_stack_name} is not deployed. Run python install.py."]
    run.forget_stack(run.web_stack_name)
    before = run.deployed_web().parameters
    differences = [
        f"The parameter {name} of the pages is {before.get(name)!r}, not {value!r}."
        for name, value in parameters(run).items()
        if before.get(name) != value
    ]
    ours, _ = expanded(run, build.ROOT / "web.yaml", parameters(run))
    if not is_same_template(run, run.web_stack_name, ours):
        differences.append("The deployed web.yaml is not that of this folder. Run python install.py --upgrade.")
    return differences


def deploy_stack(run: Run) -> None:
    """Deploy web.yaml after the person has seen its changes."""
    values = parameters(run)
    template, archives = expanded(run, build.ROOT / "web.yaml", values)
    apply(run, run.web_stack_name, template, archives, values)


# --- the files ---


def config(run: Run) -> dict[str, object]:
    """Return the content of config.json, the only file that differs between deployments."""
    simulator = None if run.world.stripe_api_base == "https://api.stripe.com" else run.world.stripe_api_base
    client_id = run.deployed().outputs["UserPoolClientId"]
    sign_in = {"kind": "cognito", "domain": sign_in_origin(run), "client_id": client_id}
    groups = {"admin_group": people.group(run, "AdminGroup"), "support_group": people.group(run, "SupportGroup")}
    sign_in |= {name: group for name, group in groups.items() if name != f"{group}_group"}
    return {"stripe_js": f"{simulator}/endive/stripe.js" if simulator else pages.STRIPE_JS, "sign_in": sign_in}


def files(run: Run, root: Path = build.ROOT / "web") -> dict[str, WebFile]:
    """Return each file by its object key."""
    return pages.Site(root, config(run)).files()


@dataclass(frozen=True)
class Served:
    """An object in the bucket of the pages: the MD5 of its content, and when it was uploaded."""

    md5: str
    uploaded_at: datetime


def _served(run: Run) -> Mapping[str, Served]:
    """Return each object in the bucket of the pages by its key."""
    s3 = run.world.client("s3")
    objects: dict[str, Served] = {}
    token: dict[str, str] = {}
    for _ in range(LIST_PAGES):
        page = s3.list_objects_v2(Bucket=run.deployed_web().outputs["PagesBucket"], **token)
        for item in page.get("Contents", []):
            objects[item["Key"]] = Served(item["ETag"].strip('"'), item["LastModified"])
        if not page.get("NextContinuationToken"):
            return objects
        token = {"ContinuationToken": page["NextContinuationToken"]}
    raise Stop(f"The bucket of the pages has more than {LIST_PAGES * 1000} files. Is it the right one?")


def differences(ours: Mapping[str, WebFile], served: Mapping[str, Served]) -> tuple[list[str], list[str]]:
    """Return the object keys to upload and to delete.

    An asset is uploaded before the pages that name it. The assets of the release before this one stay, because a
    browser may have loaded a page just before the upload.
    """
    upload = [
        key
        for key, file in ours.items()
        if key not in served or served[key].md5 != hashlib.md5(file.content, usedforsecurity=False).hexdigest()
    ]
    foreign = {key: item for key, item in served.items() if key not in ours}
    earlier = {key: item for key, item in foreign.items() if key.startswith(ASSETS)}
    newest = max(earlier, key=lambda key: earlier[key].uploaded_at, default="")
    kept = posixpath.join(*newest.split("/")[:2], "") if newest else ""
    delete = [key for key in foreign if not (kept and key.startswith(kept))]
    return sorted(upload, key=lambda key: not key.startswith(ASSETS)), delete


def _differing(run: Run) -> tuple[list[str], list[str]]:
    return differences(files(run), _served(run))


def look_at_files(run: Run) -> Sequence[str]:
    """Compare the served files with those of this folder."""
    upload, delete = _differing(run)
    names = ", ".join([*upload, *delete][:5])
    return [f"{len(upload) + len(delete)} files of the pages differ: {names}. Run python install.py."] if names else []


def upload_files(run: Run) -> None:
    """Upload the files that differ, delete foreign ones, and have CloudFront read them again."""
    s3 = run.world.client("s3")
    bucket = run.deployed_web().outputs["PagesBucket"]
    ours = files(run)
    upload, delete = differences(ours, _served(run))
    for key in upload:
        file = ours[key]
        s3.put_object(
            Bucket=bucket, Key=key, Body=file.content, ContentType=file.media_type, CacheControl=file.cache_control
        )
    if delete:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in delete[:DELETED_AT_ONCE]]})
    run.world.client("cloudfront").create_invalidation(
        DistributionId=run.deployed_web().outputs["DistributionId"],
        InvalidationBatch={
            "Paths": {"Quantity": 1, "Items": ["/*"]},
            "CallerReference": hashlib.sha256(repr(sorted(ours.items())).encode()).hexdigest()[:32],
        },
    )
