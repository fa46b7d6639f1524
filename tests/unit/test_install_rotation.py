"""`install.py --rotate`: both secrets while it lasts, a stop before any of its calls, and keys that are refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import stripe

from installer import __main__ as command_line
from installer import rotation, stripe_account
from installer.questions import SECRETS
from installer.run import Run, Step, check
from installer.world import Stop
from stripe_simulator.server import Stripe
from tests.permissions import STRIPE_PERMISSIONS
from tests.unit.test_install import FakeWorld, InProcess, make_run, register, take

NEW = "rk_test_newkey0000"


class Stopped(Exception):
    """The process was stopped before a call."""


class RotatingWorld(FakeWorld):
    """A world with two accounts at Stripe, whose deliveries arrive while the installer waits."""

    def __init__(self, delivers: bool = True) -> None:
        super().__init__()
        self.delivers = delivers
        self.other = Stripe(seed=2)
        self.calls_left: int | None = None
        self.count = 0
        self.secrets["stripe"] = json.dumps({"secret_key": self.simulator.secret_key})

    def _count(self) -> None:
        self.count += 1
        if self.calls_left is not None:
            if not self.calls_left:
                raise Stopped
            self.calls_left -= 1

    def call(self, service: str, region: str, operation: str, params: Mapping[str, Any]) -> Any:
        self._count()
        return super().call(service, region, operation, params)

    def stripe(self, key: str, method: str, path: str, **params: Any) -> dict[str, Any]:
        self._count()
        simulator = self.other if key == self.other.secret_key else self.simulator
        client = stripe.StripeClient(key, http_client=InProcess(simulator), max_network_retries=0)
        return dict(client.raw_request(method, path, **params).data)

    def sleep(self, seconds: float) -> None:
        webhooks = self.simulator.webhooks
        while self.delivers and (delivery := webhooks.pop_due()) is not None:
            accepted = set(delivery.secrets) & set(self.stored("webhook")["signing_secrets"])
            webhooks.record_try(delivery, 200 if accepted else 400, None)

    def stored(self, secret: str) -> dict[str, Any]:
        return dict(json.loads(self.secrets[secret]))

    def add_key(self, key: str) -> None:
        self.simulator.handle("POST", "/_sim/keys", {}, json.dumps({"secret_key": key}).encode())

    def expire_key(self, key: str) -> None:
        self.simulator.handle("DELETE", "/_sim/keys", {}, json.dumps({"secret_key": key}).encode())

    def endpoints(self) -> list[dict[str, Any]]:
        return list(self.simulator.account.store.objects.get("webhook_endpoint", {}).values())


def run_in(folder: Path, world: RotatingWorld, **explicit: str) -> Run:
    key = world.simulator.secret_key
    keys = {"webhook_key": key, **explicit}
    return make_run(folder, world, explicit=keys, publishable_key=world.simulator.publishable_key)


def registered(folder: Path, world: RotatingWorld) -> Run:
    run = run_in(folder, world)
    register(run)
    return run


def accepted_endpoints(world: RotatingWorld) -> list[dict[str, Any]]:
    """The enabled endpoints whose signatures the functions accept, of this release and of an older one."""
    secrets = world.stored("webhook")["signing_secrets"]
    assert all(isinstance(secret, str) for secret in secrets)
    return [one for one in world.endpoints() if one["status"] == "enabled" and set(one["_secrets"]) & set(secrets)]


def stopped_before_each_call(
    tmp_path: Path, make: Callable[[Path], RotatingWorld], act: Callable[[Path, RotatingWorld], None]
) -> list[RotatingWorld]:
    """Stop a run before each of its calls; return the worlds as the stop has left them."""
    whole = make(tmp_path / "whole")
    before = whole.count
    act(tmp_path / "whole", whole)
    worlds = []
    for number in range(whole.count - before):
        folder = tmp_path / str(number)
        world = make(folder)
        world.calls_left = number
        with pytest.raises(Stopped):
            act(folder, world)
        world.calls_left = None
        worlds.append(world)
    return worlds


# --- the webhook ---


def test_the_webhook_has_a_new_endpoint_with_the_same_events_and_version_and_one_secret(tmp_path: Path) -> None:
    world = RotatingWorld()
    run = registered(tmp_path, world)
    (old,) = world.endpoints()
    rotation.rotate_webhook(run)
    (new,) = world.endpoints()
    assert new["id"] != old["id"]
    assert all(new[name] == old[name] for name in ("url", "enabled_events", "api_version", "description"))
    assert world.stored("webhook")["signing_secrets"] == new["_secrets"] != old["_secrets"]
    take(run, stripe_account.look_at_webhook)
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file()) + "".join(world.lines)
    assert "whsec_" not in written
    assert world.simulator.secret_key not in written


def test_the_old_endpoint_stays_with_its_secret_until_the_new_one_has_delivered(tmp_path: Path) -> None:
    world = RotatingWorld(delivers=False)
    run = registered(tmp_path, world)
    (old,) = world.endpoints()
    with pytest.raises(Stop, match="Both endpoints stay"):
        rotation.rotate_webhook(run)
    assert len(accepted_endpoints(world)) == 2
    assert world.stored("webhook")["signing_secrets"][0] == old["_secrets"][0]
    assert world.stored("webhook")["endpoint"]["id"] == old["id"]
    run.checks_only = True
    (problem,) = check(run, [Step("webhook", "Webhook", stripe_account.look_at_webhook)])
    assert "--rotate webhook" in problem
    run.checks_only = False
    world.delivers = True
    rotation.rotate_webhook(run)
    assert len(world.endpoints()) == len(accepted_endpoints(world)) == 1


def test_another_endpoint_of_the_account_that_fails_is_named_and_not_touched(tmp_path: Path) -> None:
    world = RotatingWorld()
    run = registered(tmp_path, world)
    key = world.simulator.secret_key
    shop = world.stripe(key, "post", "/v1/webhook_endpoints", url="https://shop.example.org/", enabled_events=["*"])
    with pytest.raises(Stop, match=r"other endpoints of the account: https://shop\.example\.org/"):
        rotation.rotate_webhook(run)
    world.stripe(key, "post", f"/v1/webhook_endpoints/{shop['id']}", disabled=True)
    rotation.rotate_webhook(run)
    assert shop["id"] in {one["id"] for one in world.endpoints()}


def test_a_rotation_of_the_webhook_that_is_stopped_before_any_call_loses_no_event_and_continues(
    tmp_path: Path,
) -> None:
    def make(folder: Path) -> RotatingWorld:
        folder.mkdir()
        world = RotatingWorld()
        registered(folder, world)
        return world

    def act(folder: Path, world: RotatingWorld) -> None:
        rotation.rotate_webhook(run_in(folder, world))

    worlds = stopped_before_each_call(tmp_path, make, act)
    assert len(worlds) > 12
    for number, world in enumerate(worlds):
        assert accepted_endpoints(world), f"stopped before call {number}"
        ids = {one["id"] for one in world.endpoints()}
        act(tmp_path / str(number), world)
        assert len(world.endpoints()) == len(accepted_endpoints(world)) == 1, f"stopped before call {number}"
        assert len(world.stored("webhook")["signing_secrets"]) == 1
        assert "rotation" not in world.stored("webhook")
        assert len(ids | {one["id"] for one in world.endpoints()}) <= 2, "a stop makes no third endpoint"


def test_a_new_endpoint_that_was_deleted_or_changed_meanwhile_is_made_again(tmp_path: Path) -> None:
    world = RotatingWorld(delivers=False)
    run = registered(tmp_path, world)
    (old,) = world.endpoints()
    with pytest.raises(Stop):
        rotation.rotate_webhook(run)
    (new,) = [one for one in world.endpoints() if one["id"] != old["id"]]
    key = world.simulator.secret_key
    world.stripe(key, "post", f"/v1/webhook_endpoints/{new['id']}", enabled_events=["charge.failed"])
    world.delivers = True
    rotation.rotate_webhook(run)
    (last,) = world.endpoints()
    assert last["id"] not in (old["id"], new["id"])
    assert world.stored("webhook")["signing_secrets"] == last["_secrets"]


@pytest.mark.parametrize("change", ["deleted", "disabled"])
def test_the_old_endpoint_stays_if_the_new_one_is_lost_after_it_has_delivered(tmp_path: Path, change: str) -> None:
    world = RotatingWorld()
    run = registered(tmp_path, world)
    (old,) = world.endpoints()
    key = world.simulator.secret_key
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rotation, "_remove_other_endpoints", stop)
        with pytest.raises(Stopped):
            rotation.rotate_webhook(run)
    (new,) = [one for one in world.endpoints() if one["id"] != old["id"]]
    if change == "deleted":
        world.stripe(key, "delete", f"/v1/webhook_endpoints/{new['id']}")
    else:
        world.stripe(key, "post", f"/v1/webhook_endpoints/{new['id']}", disabled=True)
    with pytest.raises(Stop, match=r"python install\.py --new-webhook"):
        rotation.rotate_webhook(run)
    assert [one["id"] for one in accepted_endpoints(world)] == [old["id"]]
    run.new_webhook = True
    register(run)
    (replaced,) = accepted_endpoints(world)
    assert "rotation" not in world.stored("webhook")
    rotation.rotate_webhook(run)
    (last,) = accepted_endpoints(world)
    assert last["id"] != replaced["id"], "the next rotation makes an endpoint again"


def stop(*_: object) -> None:
    raise Stopped


def test_there_is_nothing_to_rotate_before_an_endpoint_is_registered(tmp_path: Path) -> None:
    with pytest.raises(Stop, match=r"Run python install\.py"):
        rotation.rotate_webhook(run_in(tmp_path, RotatingWorld()))


# --- the key ---


def test_a_new_key_is_stored_beside_the_old_one_which_is_removed_when_stripe_refuses_it(tmp_path: Path) -> None:
    world = RotatingWorld()
    old = world.simulator.secret_key
    world.add_key(NEW)
    rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "default")
    stored = world.stored("stripe")
    assert (stored["secret_key"], stored["replaced_keys"]["secret_key"]["key"]) == (NEW, old)
    assert any("Delete the old key" in line and " UTC on" in line for line in world.lines)
    run = run_in(tmp_path, world)
    run.checks_only = True
    (problem,) = check(run, [Step("key", "Key", stripe_account.look_at_key)])
    assert "--rotate key" in problem
    rotation.rotate_key(run_in(tmp_path, world), "default")
    assert world.stored("stripe") == stored, "Stripe still accepts the old key"
    world.expire_key(old)
    rotation.rotate_key(run_in(tmp_path, world), "default")
    assert world.stored("stripe") == {"secret_key": NEW}
    written = "".join(file.read_text() for file in tmp_path.rglob("*") if file.is_file()) + "".join(world.lines)
    assert old not in written
    assert NEW not in written


def test_an_old_release_reads_the_new_key_where_its_key_always_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the group's text, else `default`, else `secret_key`, and knows nothing else of the secret."""
    world = RotatingWorld()
    world.secrets["stripe"] = json.dumps({"default": world.simulator.secret_key, "refunds": "rk_test_refunds"})
    world.add_key(NEW)
    rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "default")
    stored = world.stored("stripe")
    assert next(stored[name] for name in ("reconcile", "default", "secret_key") if stored.get(name)) == NEW
    assert next(stored[name] for name in ("refunds", "default", "secret_key") if stored.get(name)) == "rk_test_refunds"


def test_the_key_of_one_group_is_rotated_alone(tmp_path: Path) -> None:
    world = RotatingWorld()
    keys = {"default": world.simulator.secret_key, "refunds": "rk_test_refunds"}
    world.secrets["stripe"] = json.dumps(keys)
    world.add_key(NEW)
    rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "refunds")
    stored = world.stored("stripe")
    assert (stored["default"], stored["refunds"]) == (keys["default"], NEW)
    with pytest.raises(Stop, match="has no key of its own"):
        rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "webhook")


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("other account", "is of another account than the pages' key"),
        ("rk_test_unknown0000", "Invalid API Key"),
        ("rk_live_12345678", "key of Stripe's live mode"),
        ("pk_test_12345678", "must begin with rk_test_"),
        ("stored", "stored already"),
    ],
)
def test_a_wrong_new_key_is_refused_and_nothing_is_lost(tmp_path: Path, key: str, reason: str) -> None:
    world = RotatingWorld()
    value = {"other account": world.other.secret_key, "stored": world.simulator.secret_key}.get(key, key)
    before = dict(world.secrets)
    with pytest.raises((Stop, stripe.AuthenticationError), match=reason) as refusal:
        rotation.rotate_key(run_in(tmp_path, world, new_key=value), "default")
    assert value not in str(refusal.value)
    assert world.secrets == before


def test_a_new_key_that_lacks_a_permission_is_refused_with_its_name(tmp_path: Path) -> None:
    class Restricted(RotatingWorld):
        def stripe(self, key: str, method: str, path: str, **params: Any) -> dict[str, Any]:
            if key == NEW and path == "/v1/disputes":
                raise stripe.PermissionError("This key lacks rak_dispute_read.", None)
            return super().stripe(key, method, path, **params)

    world = Restricted()
    world.add_key(NEW)
    before = dict(world.secrets)
    with pytest.raises(Stop, match="may not read disputes, so it was not stored"):
        rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "default")
    assert world.secrets == before


def test_a_rotation_of_the_key_that_is_stopped_before_any_call_keeps_a_key_that_works_and_continues(
    tmp_path: Path,
) -> None:
    def make(folder: Path) -> RotatingWorld:
        folder.mkdir()
        world = RotatingWorld()
        world.add_key(NEW)
        return world

    def act(folder: Path, world: RotatingWorld) -> None:
        rotation.rotate_key(run_in(folder, world, new_key=NEW), "default")
        world.expire_key(world.simulator.secret_key)
        rotation.rotate_key(run_in(folder, world, new_key=NEW), "default")

    for number, world in enumerate(stopped_before_each_call(tmp_path, make, act)):
        key = world.stored("stripe")["secret_key"]
        world.calls_left = None
        world.stripe(key, "get", "/v1/payment_intents")
        if "replaced_keys" not in world.stored("stripe"):
            rotation.rotate_key(run_in(tmp_path / str(number), world, new_key=NEW), "default")
        world.expire_key(world.simulator.secret_key)
        rotation.rotate_key(run_in(tmp_path / str(number), world), "default")
        assert world.stored("stripe") == {"secret_key": NEW}, f"stopped before call {number}"


def test_a_key_that_was_deleted_before_its_rotation_is_replaced(tmp_path: Path) -> None:
    world = RotatingWorld()
    world.add_key(NEW)
    world.expire_key(world.simulator.secret_key)
    rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "default")
    assert world.stored("stripe")["secret_key"] == NEW
    rotation.rotate_key(run_in(tmp_path, world), "default")
    assert world.stored("stripe") == {"secret_key": NEW}


def test_a_new_key_that_was_deleted_instead_of_the_old_one_is_taken_back(tmp_path: Path) -> None:
    world = RotatingWorld()
    old = world.simulator.secret_key
    world.add_key(NEW)
    rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "default")
    world.expire_key(NEW)
    with pytest.raises(Stop, match="deleted instead of the old one"):
        rotation.rotate_key(run_in(tmp_path, world), "default")
    assert world.stored("stripe") == {"secret_key": old}


def test_an_answers_file_with_the_rotated_key_does_not_bring_it_back(tmp_path: Path) -> None:
    world = RotatingWorld()
    old = world.simulator.secret_key
    world.add_key(NEW)
    rotation.rotate_key(run_in(tmp_path, world, new_key=NEW), "default")
    run = run_in(tmp_path, world, secret_key=old)
    take(run, stripe_account.look_at_key, stripe_account.store_key)
    assert world.stored("stripe")["secret_key"] == NEW
    assert any("was rotated, so it is not used" in line for line in world.lines)


def test_each_group_is_checked_for_what_its_functions_read() -> None:
    for group, paths in rotation.READS.items():
        of_customers = [] if group == "refunds" else ["payment_methods"]  # Stripe lists no others
        assert {*paths, *of_customers} == set(STRIPE_PERMISSIONS[group])


def test_a_new_key_is_a_secret_and_a_rotation_needs_a_system_that_is_set_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert SECRETS["new_key"].secret
    arguments = ["--rotate", "key", "--environment", "none", "--state", str(tmp_path)]
    assert command_line.main(arguments) == 1
    assert "has not been set up from this folder" in capsys.readouterr().out
