"""A value or a file that was put, by reference."""

from pathlib import Path
from typing import Any

from armonik_sdk.aio.results.owner import ClientOfResults, Owner
from armonik_sdk.aio.results.values import decode
from armonik_sdk.functions import Form, NotPicklable, needs_under_way, reduce_need


class RefCore:
    """What was put, by its id."""

    def __init__(self, session: Owner, result: str, size: int, *, is_file: bool = False) -> None:
        self.session, self.id, self.size, self.is_file = session, result, size, is_file

    @property
    def client(self) -> ClientOfResults:
        """The client of its session."""
        return self.session.client

    def __repr__(self) -> str:
        return f"<Ref {self.id} of {self.size} bytes>"

    def reduce(self) -> Any:
        """A placeholder in the call that is being encoded.

        Raises:
            NotPicklable: none is, or it is one of another session.
        """
        needs = needs_under_way()
        owner = needs.owner if needs is not None else None
        if owner is not None and owner is not self.session:
            raise NotPicklable("a Ref of another session cannot be sent: put the value into this session")
        return reduce_need(self, self.id, form=Form.FILE if self.is_file else Form.VALUE)

    async def raw(self, timeout: float | None = None) -> bytes:
        """Its bytes."""
        return await self.session.grid.get(self.id, timeout)

    def value(self, data: bytes) -> Any:
        """The value; in the caller's thread."""
        return data if self.is_file else decode(data)

    async def download(self, path: Path, timeout: float | None = None) -> None:
        """Write a file that was put into a file."""
        await self.session.grid.download(self.id, path, timeout)

    async def delete(self) -> None:
        """Remove it; calls that wait for it fail."""
        await self.session.grid.delete(self.id)
