"""Whether a user may buy at all: a lost dispute, or a decision of staff, blocks every track until staff allow it."""

from tuition import clock
from tuition.core import timestamps
from tuition.core.audit import AuditEntry
from tuition.core.errors import Conflicted, PurchasesBlocked, UserErased
from tuition.core.purchase_blocks import STAFF_BLOCK, Decision, PurchaseBlocks, explanation
from tuition.settings import settings
from tuition.storage import ledger
from tuition.storage.ledger import BlocksChange

MAX_OTHER_BLOCKS = 1000
"""Blocks by staff per user. Each id stays on the customer item, whose size is limited."""


def require_allowed(blocks: PurchaseBlocks) -> None:
    """Raise `PurchasesBlocked` if the user may not buy. The message says why, and whom to write to.

    Raises `UserErased` if the user's data are erased, or will be.
    """
    if blocks.erased:
        raise UserErased("The data of this account are erased, or will be. To buy again, sign up with a new account.")
    problem = explanation(blocks, settings().support_contact)
    if problem:
        raise PurchasesBlocked(problem)


def decide(user_id: str, decision: Decision, note: str, staff: str) -> PurchaseBlocks:
    """Block a user's purchases, or allow them: everything that blocks now, and nothing that will block later.

    Repeating a decision changes nothing. Raises `Conflicted` beyond `MAX_OTHER_BLOCKS`, `UserErased`, and `Contended`.
    """

    def change(blocks: PurchaseBlocks, seq: int) -> BlocksChange | None:
        if blocks.erased:  # the note would stay, because the erasure does not come a second time
            raise UserErased("The data of this user are erased, or will be. This account cannot buy any more.")
        after = blocks.after(decision, f"{STAFF_BLOCK}{seq}")
        if after == blocks:
            return None
        if len(after.others) > MAX_OTHER_BLOCKS:
            raise Conflicted("This user has been blocked too often to be blocked once more.")
        at = timestamps.iso(clock.now())
        entry = AuditEntry(at, f"purchases:{seq}", f"purchases.{decision}", "staff", staff)
        return BlocksChange(after, entry, {"decision": decision, "note": note, "actor": staff, "at": at})

    return ledger.update_blocks(user_id, change)
