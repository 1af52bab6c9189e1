"""The line between host and worker."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.worker.asking import open_descriptors
from wit_llm.backends.base import End, GraphInfo, Progress, Target, TextInfo
from wit_llm.errors import TooLarge
from wit_llm.options import Decoding, Sampler
from wit_llm.tensor import NamedTensor, Tensor, TensorSpec, TensorType
from wit_llm.worker.channel import MESSAGE_BYTES, VERSION, Channel, ChannelBroken, SocketChannel, memory_pair
from wit_llm.worker.memory import MAPPED_AT_ONCE, SHARED_FROM_BYTES
from wit_llm.worker.messages import (
    Accepted,
    Cancel,
    Cargo,
    Compute,
    Computed,
    Failed,
    Generate,
    Load,
    Loaded,
    Stepped,
    ToHost,
    ToWorker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Pair = tuple[Channel[Any, Any], Channel[Any, Any]]


def _sockets() -> Pair:
    (to_worker, worker_reads), (worker_writes, to_host) = socket.socketpair(), socket.socketpair()
    return SocketChannel(to_host, to_worker, ToHost), SocketChannel(worker_reads, worker_writes, ToWorker)


def _end(pair: Pair) -> None:
    for channel in pair:
        channel.close()
    for channel in pair:
        while channel.receive() is not None:
            pass


@pytest.fixture(params=[pytest.param(_sockets, id="sockets"), pytest.param(memory_pair, id="memory")])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """The host's end and the worker's."""
    make: Callable[[], Pair] = request.param
    made = make()
    yield made
    _end(made)


@pytest.fixture
def sockets() -> Iterator[Pair]:
    """The same, over sockets."""
    made = _sockets()
    yield made
    _end(made)


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, SocketChannel[Any, Any]]]:
    """A worker's end, and the bare socket of a peer that may say anything."""
    peer, worker = socket.socketpair()
    channel: SocketChannel[Any, Any] = SocketChannel(worker, worker.dup(), ToWorker)
    yield peer, channel
    peer.close()
    with contextlib.suppress(ChannelBroken):
        channel.receive()


def _tensor(data: bytes, name: str = "x") -> NamedTensor:
    return NamedTensor(name, Tensor((len(data),), TensorType.U8, data))


def _flat(message: Compute | Computed | Generate) -> list[tuple[str, tuple[int, ...], TensorType, bytes]]:
    cargo = message.outputs if isinstance(message, Computed) else message.admitted
    return [(n.name, n.tensor.dimensions, n.tensor.ty, bytes(n.tensor.data)) for n in cargo.tensors]


SPEC = TensorSpec("x", TensorType.BF16, (None, 3))


@pytest.mark.parametrize(
    "message",
    [
        Load("echo", "/graphs/ä", Target.GPU, {"delay_ms": "1"}),
        Cancel(7),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_to_the_worker_arrives_as_it_was(pair: Pair, message: ToWorker) -> None:
    """Every field survives the way there."""
    host, worker = pair
    host.send(message)
    assert worker.receive() == message


@pytest.mark.parametrize(
    "message",
    [
        Loaded(GraphInfo((SPEC,), (TensorSpec("y", TensorType.U8, None),), TextInfo(640, 512), any_tensors=True)),
        Accepted(3),
        Stepped([Progress(1, (5, 6)), Progress(2, (), End.CANCELLED), Progress(3, (9,), End.STOP)]),
        Failed(None, "OperatorError", "no such folder"),
        Failed(4, "TooLarge", "too large"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_to_the_host_arrives_as_it_was(pair: Pair, message: ToHost) -> None:
    """Every field survives the way back."""
    host, worker = pair
    worker.send(message)
    assert host.receive() == message


def test_a_request_arrives_with_tensors_and_decoding(pair: Pair) -> None:
    """Tensors of every kind of size travel beside the rest of the message."""
    host, worker = pair
    tensors = [
        NamedTensor("input_ids", Tensor((1, 2), TensorType.I64, memoryview(bytes(range(16))))),
        NamedTensor("", Tensor((0, 3), TensorType.FP16, b"")),
        _tensor(os.urandom(SHARED_FROM_BYTES + 1), "large"),
    ]
    decoding = Decoding(9, (1, 2), Sampler(temperature=0.5, top_k=3), seed=2**32 - 1)
    sent = Generate(5, Cargo(tensors), decoding)
    host.send(sent)
    received = worker.receive()
    assert isinstance(received, Generate)
    assert (received.call, received.decoding) == (5, decoding)
    assert _flat(received) == _flat(sent)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([SHARED_FROM_BYTES - 1], id="the-largest-inline"),
        pytest.param([SHARED_FROM_BYTES], id="the-smallest-shared"),
        pytest.param([16 << 20], id="16-MiB"),
        pytest.param([SHARED_FROM_BYTES, 10, 3 << 20, 0, SHARED_FROM_BYTES + 7], id="mixed"),
    ],
)
def test_tensors_come_out_byte_exact(sockets: Pair, sizes: list[int]) -> None:
    """No size of tensor is bent on its way, whether inline or in shared memory."""
    host, worker = sockets
    sent = Computed(1, Cargo([_tensor(os.urandom(size), str(index)) for index, size in enumerate(sizes)]))
    worker.send(sent)
    received = host.receive()
    assert isinstance(received, Computed)
    assert _flat(received) == _flat(sent)


def test_large_tensors_do_not_go_through_the_socket(sockets: Pair) -> None:
    """A tensor far larger than a socket's buffer, and than a message may be, is sent before anybody receives."""
    host, worker = sockets
    data = bytes(MESSAGE_BYTES * 2)
    host.send(Compute(1, Cargo([_tensor(data)])))
    received = worker.receive()
    assert isinstance(received, Compute)
    assert _flat(received)[0][3] == data


def test_no_descriptor_stays_open(sockets: Pair) -> None:
    """200 rounds with large tensors leave nothing open; tensors that are kept cost few descriptors, and stay whole."""
    host, worker = sockets
    before = open_descriptors()
    kept = []
    for number in range(200):
        host.send(Compute(number, Cargo([_tensor(number.to_bytes(2, "little") * SHARED_FROM_BYTES)])))
        received = worker.receive()
        assert isinstance(received, Compute)
        kept.append(received)
    assert open_descriptors() == before + MAPPED_AT_ONCE
    assert all(_flat(one)[0][3] == one.call.to_bytes(2, "little") * SHARED_FROM_BYTES for one in kept)
    kept.clear()
    del received
    assert open_descriptors() == before


def test_threads_do_not_interleave(sockets: Pair) -> None:
    """Messages of eight threads arrive whole, and those of each thread in order."""
    host, worker = sockets
    size = [10, 50_000, SHARED_FROM_BYTES + 5, 900_000]

    def send(thread: int) -> None:
        random_sizes = random.Random(thread)
        for number in range(25):
            data = bytes([thread]) * random_sizes.choice(size)
            host.send(Compute(thread * 100 + number, Cargo([_tensor(data)])))

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    received = [worker.receive() for _ in range(200)]
    for thread in threads:
        thread.join()
    calls: dict[int, list[int]] = {}
    for message in received:
        assert isinstance(message, Compute)
        assert set(_flat(message)[0][3]) == {message.call // 100}
        calls.setdefault(message.call // 100, []).append(message.call % 100)
    assert calls == {thread: list(range(25)) for thread in range(8)}


def test_a_message_over_the_limit_is_refused_and_the_line_goes_on(sockets: Pair) -> None:
    """The limit on a message is typed, and nothing of the message was sent."""
    host, worker = sockets
    many = [_tensor(bytes(SHARED_FROM_BYTES - 1)) for _ in range(300)]
    with pytest.raises(TooLarge, match=rf"a message may have {MESSAGE_BYTES} bytes, got \d+"):
        host.send(Compute(1, Cargo(many)))
    host.send(Cancel(2))
    assert worker.receive() == Cancel(2)


def test_a_closed_line_says_so(pair: Pair) -> None:
    """Both ends see the end, what was sent before arrives, and sending after it is a typed error."""
    host, worker = pair
    host.send(Cancel(1))
    assert worker.receive() == Cancel(1)
    host.close()
    host.close()
    assert worker.receive() is None
    assert host.receive() is None
    for channel in pair:
        with pytest.raises(ChannelBroken, match="the peer is gone|the line is closed"):
            channel.send(Cancel(1))


def _frame(payload: bytes, version: int = VERSION, files: int = 0, length: int | None = None) -> bytes:
    return struct.pack("<HHIQ", version, files, len(payload) if length is None else length, 0) + payload


CANCEL = b"\x92\xa6Cancel\x01"


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        pytest.param(_frame(CANCEL, version=VERSION + 1), "speaks version 2 .*, the peer version 3", id="version"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "speaks version 2 .*, the peer version 17735", id="another-protocol"),
        pytest.param(_frame(b"", length=MESSAGE_BYTES + 1), "over the limits", id="length"),
        pytest.param(_frame(CANCEL, files=2), "over the limits", id="files"),
        pytest.param(_frame(CANCEL, files=1), "without the memory file", id="no-file"),
        pytest.param(_frame(b"\xc1"), "what is no message", id="no-msgpack"),
        pytest.param(_frame(b"\x92\xa4Nope\x01"), "what is no message", id="unknown-message"),
        pytest.param(_frame(CANCEL.replace(b"\x01", b"\xa11")), "what is no message", id="wrong-type"),
        pytest.param(_frame(CANCEL)[:-1], "in the middle of a message", id="torn"),
    ],
)
def test_refuses_what_is_no_message(
    raw: tuple[socket.socket, SocketChannel[Any, Any]], frame: bytes, text: str
) -> None:
    """A peer of another version, or none at all, is named and not obeyed."""
    peer, channel = raw
    peer.sendall(frame)
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(ChannelBroken, match=text):
        channel.receive()


COMPUTE = b"\x93\xa7Compute\x01\x91\x94\xa1x\x91\x01\xa2U8\x92"


@pytest.mark.parametrize(
    ("sealed", "span", "text"),
    [
        pytest.param(False, b"\x00\x01", "its sender can still change it", id="unsealed"),
        pytest.param(True, b"\x01\x08", "bytes 1 to 9 of a memory file of 8", id="beyond-the-end"),
        pytest.param(True, b"\x05\xff", "bytes 5 to 4 of a memory file of 8", id="negative"),
    ],
)
def test_refuses_memory_that_is_not_safe(
    raw: tuple[socket.socket, SocketChannel[Any, Any]], sealed: bool, span: bytes, text: str
) -> None:
    """A peer cannot make this side read beyond a file, nor change a tensor after it was checked."""
    peer, channel = raw
    descriptor = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(descriptor, bytes(8))
    if sealed:
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    socket.send_fds(peer, [_frame(COMPUTE + span, files=1)], [descriptor])
    os.close(descriptor)
    with pytest.raises(ChannelBroken, match=text):
        channel.receive()


def test_refuses_more_descriptors_than_it_needs(raw: tuple[socket.socket, SocketChannel[Any, Any]]) -> None:
    """A peer cannot fill this side's table of descriptors."""
    peer, channel = raw
    before = open_descriptors()
    socket.send_fds(peer, [_frame(CANCEL, files=1)], [peer.fileno()] * 8)
    with pytest.raises(ChannelBroken, match="more descriptors than messages need"):
        channel.receive()
    assert open_descriptors() == before - 2  # the channel's own ends are closed
