"""The accounts side by side, found by API key or by the id of an object.

The default account has the keys of the command line. Any other key `sk_test_` with at least 12 letters and digits
selects an account of its own, which its first use makes. https://docs.stripe.com/keys
"""

import re
import threading
import time
from collections.abc import Callable

from stripe_simulator.account import Account
from stripe_simulator.errors import StripeError

MAX_ACCOUNTS = 1_000
MADE_UP_KEY = re.compile(r"(?:sk|rk)_test_[A-Za-z0-9]{12,}")
"""The keys that make an account at their first use."""
PREFIX_LENGTH = len("sk_test_")
SECRET, RESTRICTED, PUBLISHABLE = "sk_test_", "rk_test_", "pk_test_"


class KeyConflict(Exception):
    """A key that should be added already belongs to another account."""


class Accounts:
    """All accounts, the default account first. Safe for use by many threads; only new accounts wait for one lock."""

    def __init__(
        self,
        seed: int | None = None,
        source: Callable[[], float] = time.time,
        secret_key: str | None = None,
        publishable_key: str | None = None,
        admin_key: str | None = None,
        disorder: int | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._source = source
        self._disorder = disorder
        self._by_id: dict[str, Account] = {}
        self._by_key: dict[str, Account] = {}
        self.unsaved = False  # an account was deleted
        self.on_open: Callable[[Account], None] = lambda account: None
        self.on_close: Callable[[Account], None] = lambda account: None
        self.default = Account(seed, source, secret_key, publishable_key or _publishable_key_of(secret_key))
        self.default.webhooks.set_default_seed(disorder)
        with self.default.store.random_stream("admin"):
            self.admin_key = admin_key or f"admin_{self.default.store.token(24)}"
        self.register(self.default)

    def all(self) -> list[Account]:
        """Return all accounts, the default account first."""
        return list(self._by_id.values())

    def is_unsaved(self) -> bool:
        """Return whether anything has changed since the state was saved."""
        return self.unsaved or any(account.unsaved or account.webhooks.unsaved for account in self.all())

    def find(self, id: str) -> Account | None:
        """Return the account with an id (`acct_…`)."""
        return self._by_id.get(id)

    def owner(self, id: str, *kinds: str) -> Account:
        """Return the account that has an object with this id, of one of the kinds, or else the default account.

        This waits for no account: it only looks an id up in dictionaries.
        """
        for account in self.all():
            if any(id in account.store.objects.get(kind, ()) for kind in kinds):
                return account
        return self.default

    def select(self, key: str) -> Account:
        """Return the account of a key, which makes an account if the key is the first of its kind.

        Raises StripeError: 401 for a key that no account has and that selects none, 403 if there are too many accounts.
        """
        account = self._find(key)
        if account is not None:
            return account
        if not self._may_open(key):
            raise _invalid_key(key)
        with self._lock:
            account = self._find(key)  # another thread may have been faster
            if account is None:
                if len(self._by_id) >= MAX_ACCOUNTS:
                    raise _too_many_accounts()
                account = self.new(_with_prefix(key, SECRET))
                self._register(account)
                account.unsaved = True
                self.on_open(account)
        return account

    def new(self, secret_key: str) -> Account:
        """Return an account of this key, without registering it. Its ids follow from the seed and the key alone."""
        seed = None if self._seed is None else f"{self._seed} {secret_key}"
        publishable_key = _with_prefix(secret_key, PUBLISHABLE)
        account = Account(seed, self._source, secret_key, publishable_key)
        account.url = self.default.url
        account.webhooks.set_default_seed(self._disorder)
        if self.default.run > 1:  # an earlier run may have ended before it saved the account
            account.run = self.default.run
            account.store.start_run(account.run)
        return account

    def register(self, account: Account) -> None:
        """Add an account with all its keys. Raises KeyConflict if another account has one of them."""
        with self._lock:
            self._register(account)

    def _register(self, account: Account) -> None:
        for key in (account.secret_key, account.publishable_key, *account.more_secret_keys):
            if self._by_key.setdefault(key, account) is not account:
                raise KeyConflict(key)
        self._by_id[account.id] = account

    def replace(self, account: Account, change: Callable[[Account], None]) -> None:
        """Change the id or the keys of an account. Raises KeyConflict if another account has one of them."""
        with self._lock:
            self._forget(account)
            change(account)
            self._register(account)

    def _forget(self, account: Account) -> None:
        self._by_id.pop(account.id)
        for key in [key for key, owner in self._by_key.items() if owner is account]:
            del self._by_key[key]

    def add_key(self, account: Account, key: str) -> None:
        """Add a secret key to an account. Raises KeyConflict if it belongs to another account."""
        with self._lock:
            user = self._find(key)
            owner = user or self._by_key.get(_with_prefix(key, PUBLISHABLE))
            if owner not in (None, account):
                raise KeyConflict(key)
            if user is None:
                self._by_key[key] = account
                account.more_secret_keys.append(key)

    def delete(self, account: Account) -> None:
        """Delete an account with all its keys: their next use makes a new account."""
        with self._lock:
            if self._by_id.get(account.id) is not account:
                return  # deleted before
            self._forget(account)
            self.unsaved = True
        self.on_close(account)
        with account.lock:
            account.close()

    def has_key(self, account: Account, key: str) -> bool:
        """Return whether a secret or restricted key acts on the account."""
        return key != account.publishable_key and self._find(key) is account

    def is_made_up(self, key: str) -> bool:
        """Return whether a key selects or makes another account than the default one."""
        return MADE_UP_KEY.fullmatch(key) is not None and self._find(key) is not self.default

    def _find(self, key: str) -> Account | None:
        """Return the account of a key. A secret key and the restricted key of the same letters act on one account."""
        account = self._by_key.get(key)
        if account is None and key.startswith((SECRET, RESTRICTED)):
            is_long = MADE_UP_KEY.fullmatch(key) is not None
            other = _with_prefix(key, SECRET if key.startswith(RESTRICTED) else RESTRICTED)
            if is_long or other.startswith(SECRET):
                account = self._by_key.get(other)
        return account

    def _may_open(self, key: str) -> bool:
        """Return whether a key that no account has may make one: then neither does one have its counterparts."""
        counterparts = (_with_prefix(key, prefix) for prefix in (SECRET, RESTRICTED, PUBLISHABLE))
        return MADE_UP_KEY.fullmatch(key) is not None and not any(other in self._by_key for other in counterparts)


def _with_prefix(key: str, prefix: str) -> str:
    return prefix + key[PREFIX_LENGTH:]


def _publishable_key_of(secret_key: str | None) -> str | None:
    """Return the publishable key of the same letters, or None for no secret key or one with another prefix."""
    if secret_key is None or not secret_key.startswith((SECRET, RESTRICTED)) or len(secret_key) == PREFIX_LENGTH:
        return None
    return _with_prefix(secret_key, PUBLISHABLE)


def check_keys(secret_key: str | None, publishable_key: str | None) -> None:
    """Check the keys of a command line. Raises ValueError for keys with which no request could be authenticated."""
    for option, key in (("--secret-key", secret_key), ("--publishable-key", publishable_key)):
        if key is not None and (not key or not key.isascii() or not key.isprintable() or " " in key or ":" in key):
            raise ValueError(f"argument {option}: {key!r} is not a key: use letters and digits, such as sk_test_123")
    if secret_key is not None and secret_key == publishable_key:
        raise ValueError("argument --publishable-key: it must differ from the secret key")


def mask(key: str) -> str:
    """Return a key as errors show it: its prefix, if it is long enough, and its last four characters."""
    prefix = key[:PREFIX_LENGTH] if len(key) >= PREFIX_LENGTH + 4 else ""
    return f"{prefix}{'*' * (len(key) - len(prefix) - 4)}{key[-4:]}"


def _invalid_key(key: str) -> StripeError:
    message = f"Invalid API Key provided: {mask(key)}"
    if key.startswith((SECRET, RESTRICTED)):
        message += ". The simulator takes its own keys, and others with 12 or more letters and digits after `sk_test_`"
    elif key.startswith(PUBLISHABLE):
        message += ". The simulator takes a publishable key once the secret key with the same ending has been used"
    if not key:
        message = (
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    return StripeError(401, "invalid_request_error", message, stored=False)


def _too_many_accounts() -> StripeError:
    return StripeError(
        403,
        "invalid_request_error",
        f"The simulator has {MAX_ACCOUNTS} accounts, its maximum, so this key cannot make another. Delete the account "
        "of a key that you no longer use (DELETE /_sim/accounts with that key, or with the admin key), or use a key "
        "again after POST /_sim/reset.",
        stored=False,
        code="account_limit_reached",
    )
