"""Transactions of a process that does not own its embedded log: gathered here, committed by the owner in one go."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from choreo.errors import LogError, StateInUseError
from choreo.log.embedded_socket import ask, fields_of
from choreo.log.interface import MAX_RECORD_BYTES, Identity, Member, Receipt, Transaction, Writer
from choreo.log.local import too_large
from choreo.record import NewRecord, TopicPartition


class ClientWriter(Writer):
    """Writes through the owner of `directory`, until a later writer of the same id fences it, wherever that is.

    An owner that ends and comes back knows it no more: it is fenced then, too.
    """

    def __init__(self, directory: Path, transactional_id: str) -> None:
        self.directory, self.id = directory, transactional_id
        self.number: int = ask(directory, "writer", id=transactional_id)["number"]
        self._open: ClientTransaction | None = None

    def begin(self) -> Transaction:
        ask(self.directory, "check", id=self.id, number=self.number)
        if self._open is not None and self._open.open:
            raise LogError(f"{self.id} has a transaction open already", hint="commit or abort it first")
        self._open = ClientTransaction(self)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.abort()


class ClientTransaction(Transaction):
    """Records only: groups are the owner's."""

    def __init__(self, writer: ClientWriter) -> None:
        self.open = True
        self._writer = writer
        self._appended: list[tuple[Sequence[NewRecord], Receipt]] = []

    def append(self, records: Sequence[NewRecord]) -> Receipt:
        self._check()
        for topic, key, value, headers, _ in records:
            size = len(key or b"") + len(value or b"") + sum(len(name.encode()) + len(part) for name, part in headers)
            if size > MAX_RECORD_BYTES:
                raise too_large(topic, size)
        receipt = Receipt()
        self._appended.append((records, receipt))
        return receipt

    def send_offsets(self, member: Member, identity: Identity, offsets: Mapping[TopicPartition, int]) -> None:
        raise StateInUseError("offsets are committed by the process that owns the log", at=self._writer.directory)

    def commit(self) -> None:
        self._check()
        records = [[fields_of(record) for record in batch] for batch, _ in self._appended]
        writer = self._writer
        offsets = ask(writer.directory, "commit", id=writer.id, number=writer.number, records=records)["offsets"]
        self.open = False
        for (_, receipt), offset in zip(self._appended, offsets, strict=True):
            receipt.offset = offset

    def abort(self) -> None:
        self.open = False

    def _check(self) -> None:
        if not self.open:
            raise LogError("this transaction has ended", hint="begin another")
