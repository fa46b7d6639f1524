"""The search by words on the whole stack: the rule, the queue, the consumer and its role."""

from tests.stack.conftest import Running
from tests.stack.test_roles import invoke


def search(running: Running, text: str) -> list[str]:
    return [payment["payment_id"] for payment in running.staff("/payments", q=text)["payments"]]


def correct(running: Running, sub: str, email: str) -> bool:
    path, token = f"/api/admin/users/{sub}/email", running.ready["admin_token"]
    return bool(running.api("POST", path, token, json={"email": email}).json()["complete"])


def test_a_purchase_is_found_by_words_which_follow_a_correction_and_a_rebuild(
    running: Running, token: str, sub: str
) -> None:
    purchase = running.create(token).json()
    running.pay(purchase["payment_intent_id"])
    payment_id = purchase["payment_id"]
    word = sub.rpartition("-")[2]
    running.until(lambda: search(running, f"4242 {word} 499") == [payment_id], "the words of the purchase")
    assert correct(running, sub, f"right-{word}@corrected.example")
    running.until(lambda: search(running, f"corrected {word}") == [payment_id], "the words of the corrected address")
    report = invoke(running, "ConsoleTablesFunction", {"rebuild": True})
    assert report["after"] is None and report["refreshed"] > 0
    assert search(running, f"corrected {word}") == [payment_id]
