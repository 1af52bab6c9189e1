"""
A line between a host and a worker: whole messages, in order, in both directions.

A frame is a header (version, whether a memory file comes along, bytes of the payload, when it was sent) and a msgpack
payload. The bytes of large tensors lie in the memory file, whose descriptor travels with the header.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
import time
from collections import deque
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from wit_llm.errors import TooLarge, WitLLMError
from wit_llm.tensor import NamedTensor, Tensor, TensorType
from wit_llm.worker.memory import Incoming, Outgoing, Span
from wit_llm.worker.messages import WITH_CARGO, Cargo

VERSION = 2
MESSAGE_BYTES = 16 << 20

_HEADER = struct.Struct("<HHIQ")  # version, memory files (0 or 1), bytes of the payload, nanoseconds
_ENCODER = msgspec.msgpack.Encoder()
_RECEIVE_BYTES = 4 << 10
_DESCRIPTOR = struct.Struct("i")
_TIMEVAL = struct.Struct("@ll")
# One of the frame at hand, and one of the next frame, whose beginning may come in the same read.
_DESCRIPTORS_AT_ONCE = 2
_RIGHTS_BYTES = socket.CMSG_LEN(_DESCRIPTOR.size)
# Plain numbers, for those of an enumeration take Python a thousand steps to compare.
_CUT_SHORT = int(socket.MSG_CTRUNC)
_NOW = int(socket.MSG_DONTWAIT)

Out_contra = TypeVar("Out_contra", contravariant=True)
In_co = TypeVar("In_co", covariant=True)
Out = TypeVar("Out")
In = TypeVar("In")


class ChannelBroken(WitLLMError):
    """The peer is gone, or does not speak as it should; stays between host and worker."""


class Channel(Protocol[Out_contra, In_co]):
    """One end of the line; any thread may send, one thread receives."""

    def send(self, message: Out_contra) -> None:
        """
        Hand over one message.

        Raises:
            ChannelBroken: The peer is gone.
            TooLarge: The message is over ``MESSAGE_BYTES``; nothing was sent.
        """

    @property
    def sent_ns(self) -> int:
        """When the last message that was received was sent, on the clock of ``time.monotonic_ns``."""

    def receive(self, timeout_s: float | None = None) -> In_co | None:
        """
        Wait for one message; none is the end.

        Raises:
            TimeoutError: None has begun to come in time.
            ChannelBroken: What came is no message of this version.
        """

    def close(self) -> None:
        """End the line for both; may come twice, and from any thread."""


class _Parcel(msgspec.Struct, array_like=True, frozen=True):
    """A named tensor on the wire."""

    name: str
    dimensions: tuple[int, ...]
    ty: TensorType
    data: bytes | Span


class SocketChannel(Generic[Out, In]):
    """
    The line over two Unix socket pairs, one for each way.

    With a single pair, whoever sleeps for the peer's next message is woken when the peer reads one of ours, too.

    Args:
        reading: One end of the pair by which the peer sends; this object owns it.
        writing: One end of the other pair; the same.
        incoming: The union of messages that the peer may send.
    """

    def __init__(self, reading: socket.socket, writing: socket.socket, incoming: Any) -> None:  # noqa: ANN401 -- a union has no type of its own
        self._reading = reading
        self._writing = writing
        # How long the kernel lets a read wait; by itself for ever.
        self._patience_s: float | None = None
        self.sent_ns = 0
        self._sending = threading.Lock()
        self._decoder: msgspec.msgpack.Decoder[In] = msgspec.msgpack.Decoder(incoming, dec_hook=self._unpack)
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._memory = memoryview(b"")
        self._incoming = Incoming()

    def send(self, message: Out) -> None:
        """Hand over one message, as ``Channel`` says."""
        if not isinstance(message, WITH_CARGO):
            self._send_frame(_ENCODER.encode(message))
            return
        outgoing = Outgoing()
        try:
            payload = msgspec.msgpack.encode(message, enc_hook=lambda cargo: _pack(cargo, outgoing))
            outgoing.seal()
            self._send_frame(payload, outgoing.descriptor)
        finally:
            outgoing.close()

    def _send_frame(self, payload: bytes, descriptor: int | None = None) -> None:
        if len(payload) > MESSAGE_BYTES:
            raise TooLarge(f"a message may have {MESSAGE_BYTES} bytes, got {len(payload)}")
        with self._sending:
            frame = _HEADER.pack(VERSION, descriptor is not None, len(payload), time.monotonic_ns()) + payload
            try:
                if descriptor is None:
                    self._writing.sendall(frame)
                else:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _DESCRIPTOR.pack(descriptor))]
                    sent = self._writing.sendmsg([frame], rights)
                    self._writing.sendall(memoryview(frame)[sent:])
            except OSError as error:
                raise ChannelBroken(f"the peer is gone: {error.strerror}") from error
            except BaseException:
                # Ctrl-C in the middle of a frame: what would follow it could only be misread.
                self.close()
                raise

    def receive(self, timeout_s: float | None = None) -> In | None:
        """Wait for one message, as ``Channel`` says; at the end the descriptors go too."""
        try:
            message = self._receive(timeout_s)
        except ChannelBroken:
            self._release()
            raise
        if message is None:
            self._release()
        return message

    def _receive(self, timeout_s: float | None) -> In | None:
        if not self._fill(_HEADER.size, timeout_s):
            return None
        version, files, length, self.sent_ns = _HEADER.unpack_from(self._received)
        if version != VERSION:
            raise ChannelBroken(f"this side speaks version {VERSION} of the protocol, the peer version {version}")
        if files > 1 or length > MESSAGE_BYTES:
            raise ChannelBroken(f"a frame of {length} bytes and {files} memory files is over the limits")
        end = _HEADER.size + length
        if len(self._received) < end and not self._fill(end, None):
            raise ChannelBroken("the peer went away in the middle of a message")
        payload = self._received[_HEADER.size : end]
        del self._received[:end]
        if files:
            self._memory = self._open_memory()
        try:
            return self._decoder.decode(payload)
        except msgspec.DecodeError as error:
            raise ChannelBroken(f"the peer sent what is no message: {error}") from error
        finally:
            self._memory = memoryview(b"")

    def _fill(self, wanted: int, timeout_s: float | None) -> bool:
        """Read until so many bytes are there, having waited so long for the first; false where the line ends before."""
        while len(self._received) < wanted:
            patience_s = None if self._received else timeout_s
            if patience_s not in {self._patience_s, 0}:
                self._patience_s = patience_s
                self._reading.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(patience_s))
            room = max(_RECEIVE_BYTES, wanted - len(self._received))
            try:
                data, rights, flags, _ = self._reading.recvmsg(room, _RIGHTS_BYTES, _NOW if patience_s == 0 else 0)
            except BlockingIOError as error:
                raise TimeoutError from error
            except OSError:
                return False
            if rights:
                self._descriptors.extend(_DESCRIPTOR.unpack(part)[0] for _, _, part in rights)
            if flags & _CUT_SHORT or len(self._descriptors) > _DESCRIPTORS_AT_ONCE:
                raise ChannelBroken("the peer sent more descriptors than messages need")
            if not data:
                return False
            self._received += data
        return True

    def _open_memory(self) -> memoryview:
        if not self._descriptors:
            raise ChannelBroken("a frame came without the memory file that it names")
        try:
            return self._incoming.open(self._descriptors.popleft())
        except ValueError as error:
            raise ChannelBroken(f"a memory file came that cannot be used: {error}") from error

    def _unpack(self, kind: type, parcels: object) -> Cargo:
        """The tensors of a payload; called by the decoder while ``receive`` holds the frame's memory."""
        if kind is not Cargo:
            raise NotImplementedError(kind)
        return Cargo(
            [
                NamedTensor(parcel.name, Tensor(parcel.dimensions, parcel.ty, self._find(parcel.data)))
                for parcel in msgspec.convert(parcels, list[_Parcel])
            ]
        )

    def _find(self, data: bytes | Span) -> bytes | memoryview:
        if isinstance(data, bytes):
            return data
        end = data.offset + data.length
        if not 0 <= data.offset <= end <= len(self._memory):
            raise ValueError(f"bytes {data.offset} to {end} of a memory file of {len(self._memory)}")
        return self._memory[data.offset : end]

    def close(self) -> None:
        """End the line, as ``Channel`` says; a thread in ``receive`` wakes up."""
        for sock in (self._reading, self._writing):
            with contextlib.suppress(OSError):  # closed before, by either side
                sock.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        # By the receiving thread alone: a number closed under a thread in recvmsg may come to mean another file.
        self.close()
        self._received.clear()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        self._reading.close()
        with self._sending:
            self._writing.close()


class MemoryChannel(Generic[Out, In]):
    """One end of a line inside one process: the same messages, handed over as they are."""

    def __init__(
        self, outbox: queue.SimpleQueue[tuple[Out | None, int]], inbox: queue.SimpleQueue[tuple[In | None, int]]
    ) -> None:
        self._outbox = outbox
        self._inbox = inbox
        self._closed = threading.Event()
        self.sent_ns = 0

    def send(self, message: Out) -> None:
        """Hand over one message, as ``Channel`` says."""
        if self._closed.is_set():
            raise ChannelBroken("the line is closed")
        self._outbox.put((message, time.monotonic_ns()))

    def receive(self, timeout_s: float | None = None) -> In | None:
        """Wait for one message, as ``Channel`` says."""
        message = None
        if not self._closed.is_set():
            try:
                message, self.sent_ns = self._inbox.get(timeout=timeout_s)
            except queue.Empty as error:
                raise TimeoutError from error
        if message is None or self._closed.is_set():
            self._closed.set()
            return None
        return message

    def close(self) -> None:
        """End the line, as ``Channel`` says."""
        self._closed.set()
        self._outbox.put((None, 0))
        self._inbox.put((None, 0))


def _timeval(timeout_s: float | None) -> bytes:
    """As the kernel takes it: seconds and microseconds, of which none at all is for ever."""
    return _TIMEVAL.pack(*divmod(0 if timeout_s is None else max(1, int(timeout_s * 1e6)), 1_000_000))


def memory_pair() -> tuple[MemoryChannel[Any, Any], MemoryChannel[Any, Any]]:
    """Both ends of a line inside one process."""
    there: queue.SimpleQueue[Any] = queue.SimpleQueue()
    back: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return MemoryChannel(there, back), MemoryChannel(back, there)


def _pack(cargo: object, outgoing: Outgoing) -> list[_Parcel]:
    """The tensors as they go into the payload."""
    if not isinstance(cargo, Cargo):
        raise TypeError(f"{type(cargo).__name__} cannot travel")
    return [
        _Parcel(named.name, named.tensor.dimensions, named.tensor.ty, outgoing.place(named.tensor.data))
        for named in cargo.tensors
    ]
