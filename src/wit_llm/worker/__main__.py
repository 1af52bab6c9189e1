"""``python -m wit_llm.worker READING WRITING``: the process of one graph, at the other ends of these descriptors."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from wit_llm.worker.channel import SocketChannel
from wit_llm.worker.loop import serve
from wit_llm.worker.messages import ToWorker

if TYPE_CHECKING:
    from wit_llm.worker.messages import ToHost


def main() -> None:
    """Serve until the line ends; then go at once, whatever native code is doing."""
    reading, writing = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:])
    # Nothing that this process starts may keep the line open after it.
    reading.set_inheritable(False)
    writing.set_inheritable(False)
    channel: SocketChannel[ToHost, ToWorker] = SocketChannel(reading, writing, ToWorker)
    try:
        serve(channel, leave=lambda: os._exit(0))
    except BaseException:  # noqa: BLE001 -- the last frame of the process
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
    # Not by return: finalisers of native libraries hang or crash, and there is nothing left to save.
    os._exit(0)


if __name__ == "__main__":
    main()
