"""Why a user may not buy: disputes that were lost and other blocks, less those that staff have allowed.

The three sets are changed by adding and removing single ids, never as a whole, so the order of changes does not matter.
Each id has one writer: the payment of the dispute, or one decision of staff. The block of a day with too many declines
has several writers, which all add the same id.
"""

from dataclasses import dataclass, replace
from typing import Literal

Decision = Literal["block", "allow"]
DECISIONS: tuple[Decision, ...] = ("block", "allow")
STAFF_BLOCK = "staff:"
"""The beginning of the id of a block by staff. The rest is the number of its record."""
DECLINES_BLOCK = "declines:"
"""The beginning of the id of a block by the daily limit of declines. The rest is the day."""


@dataclass(frozen=True)
class PurchaseBlocks:
    """The ids of a user's lost disputes and other blocks (`staff:3`), and the ids that staff have allowed.

    `erased`: the user's data are erased, or will be. Staff cannot allow the purchases of such a user id again.
    """

    lost_disputes: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    erased: bool = False

    @property
    def blocking(self) -> tuple[str, ...]:
        """The ids that block purchases now, in order. Empty: the user may buy."""
        return tuple(sorted((self.lost_disputes | self.others) - self.allowed))

    def after(self, decision: Decision, block_id: str) -> "PurchaseBlocks":
        """Return the blocks after a decision of staff. `block_id` names the new block. Repeating changes nothing.

        Staff allow exactly the ids that are stored: a dispute that is lost later blocks again. A block by staff is
        added beside a dispute that blocks already, because it must last when that dispute is won.
        """
        if decision == "allow":
            return replace(self, allowed=self.allowed | frozenset(self.blocking))
        if any(block.startswith(STAFF_BLOCK) for block in self.blocking):
            return self
        return replace(self, others=self.others | {block_id})


NO_BLOCKS = PurchaseBlocks()


def explanation(blocks: PurchaseBlocks, contact: str) -> str | None:
    """Return why the user may not buy, and whom to write to; None if they may."""
    if not blocks.blocking:
        return None
    lost = any(block in blocks.lost_disputes for block in blocks.blocking)
    declined = any(block.startswith(DECLINES_BLOCK) for block in blocks.blocking)
    why = "because too many of your payments were declined" if declined else "for your account"
    why = "because a bank took back an earlier payment of yours" if lost else why
    return f"Buying is blocked {why}. Write to {contact or 'the school'} to be allowed to buy again."
