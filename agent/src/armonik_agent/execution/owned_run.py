"""A run of this agent, from the judgement of its message to its last commit here."""

import asyncio
from dataclasses import dataclass

from nats.aio.msg import Msg

from armonik_agent.data.elements import Elements
from armonik_agent.data.inputs import RunInputs
from armonik_agent.data.shared_folder import Folder
from armonik_agent.journal.transitions import Cause, Loss
from armonik_agent.queue.message_lease import MessageLease
from armonik_agent.queue.slots import SlotClaim
from armonik_sdk.api.names import RunId, band_of_queue
from armonik_sdk.dataplane.head import Head

_CAREFUL = (Cause.OWNER_GONE, Cause.EVICTED, Cause.BROKEN_OFF)
"""An element may have caused the loss: each is named in the head before it begins."""


@dataclass(frozen=True)
class OwnedRun:
    """A run that is about to be dispatched, with what was made ready for it."""

    message: Msg
    run: RunId
    head: Head
    """As it was when the run was judged; the `Dispatched` record follows it."""
    loss: Loss
    """What the dispatch has to account for."""
    elements: Elements
    inputs: RunInputs
    folder: Folder
    slot: SlotClaim
    lease: MessageLease
    news: asyncio.Event
    """Set when CONTROL may have changed for the session or the task."""
    whole: bool
    """The worker takes whole runs."""

    @property
    def band(self) -> int:
        """Of priority, in which the run was queued."""
        return band_of_queue(self.message.subject)

    @property
    def careful(self) -> bool:
        """Whether each element is named in the journal before it begins."""
        return self.loss.cause in _CAREFUL and len(self.head.record.remaining) > 1
