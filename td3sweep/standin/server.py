"""The sockets: one thread, one selector, RPC on port N and the streams on port N+1.

A single thread keeps the order of events, and with it the simulation, reproducible.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
import time
from collections import Counter, deque
from itertools import count

from td3sweep.standin.faults import FaultInjector
from td3sweep.standin.rpc import Service, UnknownMethodError
from td3sweep.standin.wire import (
    ProtocolError,
    Request,
    RequestReader,
    StreamMessage,
    error_response,
    response,
    stream_prefix,
)
from td3sweep.standin.world import World

SUBSCRIPTION_WAIT = 0.25
"""Seconds a tick waits for the holder of a stream token to connect: otherwise its first frame is lost."""

FREE_RUN_PERIOD = 1.0 / 30.0
MAX_VARIABLE_DELTA = 0.1
RECEIVE_BYTES = 1 << 18
STREAM_ID_BYTES = 4
STALL_SECONDS = 5.0
"""A subscriber that takes nothing for so long is dropped: every tick waits for the slowest."""

MAX_CONNECTIONS = 400
MAX_HOARD = 128 << 20
LARGE = 1 << 20
"""Bytes that unfinished requests and unread answers may take, all together; a connection is charged from LARGE on."""

MAX_COMPLAINT = 200

BAD_ARGUMENTS = (
    *(TypeError, ValueError, LookupError, AttributeError, ArithmeticError, struct.error),
    *(RecursionError, MemoryError),
)
_callers = count(1)


class Connection:
    """A non-blocking socket with a queue of what it could not take yet."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.backlog = bytearray()
        self.moved = time.monotonic()  # when the peer last took something

    @property
    def is_closed(self) -> bool:
        return self.sock.fileno() < 0

    @property
    def hoard(self) -> int:
        """Bytes that are kept for this peer."""
        return len(self.backlog)

    def send(self, parts: list[bytes]) -> None:
        """Send or queue; raises OSError when the peer is gone."""
        if self.backlog:
            for part in parts:
                self.backlog += part
            return
        self.moved = time.monotonic()
        try:
            sent = self.sock.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        for part in parts:
            if sent < len(part):
                self.backlog += part[sent:]
            sent = max(0, sent - len(part))

    def flush(self) -> None:
        """Send what is queued, as far as the peer takes it; raises OSError when it is gone."""
        try:
            del self.backlog[: self.sock.send(self.backlog)]
            self.moved = time.monotonic()
        except BlockingIOError:
            return


class RpcConnection(Connection):
    """A client's call socket."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.reader = RequestReader()
        self.caller = next(_callers)

    @property
    def hoard(self) -> int:
        return len(self.backlog) + self.reader.pending


class StreamConnection(Connection):
    """A subscription: the peer names a stream once, then only listens."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.greeting = bytearray()
        self.stream_id: int | None = None


class StandinServer:
    """Owns sockets and clock, feeds calls to the service and frames to the subscribers."""

    def __init__(
        self,
        world: World,
        rpc_socket: socket.socket,
        stream_socket: socket.socket,
        faults: FaultInjector,
    ) -> None:
        self._world = world
        self._faults = faults
        self._service = Service(world, self)
        self._selector = selectors.DefaultSelector()
        self._connections = 0
        self._strangers: dict[Connection, None] = {}  # which have not said anything that makes sense, oldest first
        self._requests: deque[tuple[RpcConnection, Request]] = deque()
        self._subscribers: dict[int, list[StreamConnection]] = {}
        self._expected: Counter[int] = Counter()
        self._expected_until = 0.0
        self._last_frame_time = time.monotonic()
        for listener, kind in ((rpc_socket, RpcConnection), (stream_socket, StreamConnection)):
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, kind)

    def serve(self) -> None:
        """Run for ever; SIGTERM ends it by raising SystemExit from its handler."""
        while True:
            for key, mask in self._selector.select(self._patience()):
                self._on_event(key, mask)
            self._work_off()
            now = time.monotonic()
            if not self._world.settings.synchronous and now >= self._last_frame_time + FREE_RUN_PERIOD:
                self._free_run(now)

    def advance(self) -> None:
        """One synchronous frame."""
        delta = self._world.settings.fixed_delta or FREE_RUN_PERIOD
        self._frame(delta)

    def expect_subscription(self, stream_id: int) -> None:
        if time.monotonic() > self._expected_until:
            self._expected.clear()
        self._expected[stream_id] += 1
        self._expected_until = time.monotonic() + SUBSCRIPTION_WAIT

    def loading(self) -> None:
        self._faults.loading()

    def _patience(self) -> float | None:
        """Seconds the selector may wait for an event; None: as long as it takes."""
        ends = []
        if not self._world.settings.synchronous:
            ends.append(self._last_frame_time + FREE_RUN_PERIOD)
        if self._requests:  # a tick waits for subscribers: for new ones, and for slow ones until they are dropped
            ends += [self._expected_until] if self._expected else []
            ends += [connection.moved + STALL_SECONDS for connection in self._slow()]
        return max(0.0, min(ends) - time.monotonic()) if ends else None

    def _on_event(self, key: selectors.SelectorKey, mask: int) -> None:
        listener = key.fileobj
        assert isinstance(listener, socket.socket)
        if isinstance(key.data, type):
            self._accept(listener, key.data)
            return
        connection = key.data
        try:
            if mask & selectors.EVENT_WRITE:
                connection.flush()
                self._watch(connection)
            if mask & selectors.EVENT_READ:
                data = connection.sock.recv(RECEIVE_BYTES)
                if not data:
                    self._close(connection)
                elif isinstance(connection, RpcConnection):
                    self._on_requests(connection, data)
                else:
                    self._on_greeting(connection, data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            self._close(connection)

    def _accept(self, listener: socket.socket, kind: type[RpcConnection] | type[StreamConnection]) -> None:
        try:
            sock, _ = listener.accept()
            connection = kind(sock)
            self._selector.register(sock, selectors.EVENT_READ, connection)
        except OSError:  # a probe that is gone already
            return
        self._connections += 1
        self._strangers[connection] = None
        if self._connections > MAX_CONNECTIONS:
            self._close(next(iter(self._strangers)))

    def _on_requests(self, connection: RpcConnection, data: bytes) -> None:
        for request in connection.reader.feed(data):
            self._strangers.pop(connection, None)
            self._requests.append((connection, request))
        self._charge(connection)

    def _charge(self, connection: Connection) -> None:
        """Drop a connection that makes the server keep too much: it sends no end, or reads no answers."""
        if connection.hoard < LARGE:
            return
        peers = (key.data for key in self._selector.get_map().values() if isinstance(key.data, Connection))
        if sum(peer.hoard for peer in peers) > MAX_HOARD:
            self._close(connection)
            self._requests = deque(entry for entry in self._requests if entry[0] is not connection)

    def _on_greeting(self, connection: StreamConnection, data: bytes) -> None:
        if connection.stream_id is not None:
            return
        connection.greeting += data
        if len(connection.greeting) < STREAM_ID_BYTES:
            return
        self._strangers.pop(connection, None)
        stream_id = int.from_bytes(connection.greeting[:STREAM_ID_BYTES], "little")
        connection.stream_id = stream_id
        self._subscribers.setdefault(stream_id, []).append(connection)
        self._expected[stream_id] -= 1
        if self._expected[stream_id] <= 0:
            del self._expected[stream_id]

    def _close(self, connection: Connection) -> None:
        if connection.is_closed:
            return
        self._selector.unregister(connection.sock)
        connection.sock.close()
        self._connections -= 1
        self._strangers.pop(connection, None)
        connection.backlog.clear()
        if isinstance(connection, RpcConnection):
            self._service.disconnected(connection.caller)
        elif isinstance(connection, StreamConnection) and connection.stream_id is not None:
            subscribers = self._subscribers[connection.stream_id]
            subscribers.remove(connection)
            if not subscribers:
                del self._subscribers[connection.stream_id]

    def _watch(self, connection: Connection) -> None:
        """Ask for write events only while something is queued."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.backlog else 0)
        if self._selector.get_key(connection.sock).events != events:
            self._selector.modify(connection.sock, events, connection)

    def _work_off(self) -> None:
        while self._requests:
            connection, request = self._requests[0]
            if _ticks(request) and not self._streams_ready():
                return
            self._requests.popleft()
            self._send(connection, [self._answer(connection, request)])

    def _answer(self, connection: RpcConnection, request: Request) -> bytes:
        try:
            result = self._service.call(request.method, request.arguments, connection.caller)
            return response(request.msgid, result)
        except UnknownMethodError as error:
            return error_response(request.msgid, str(error))
        except BAD_ARGUMENTS as error:
            complaint = str(error)[:MAX_COMPLAINT]
            print(f"stand-in: bad call of {request.method}: {complaint}", file=sys.stderr, flush=True)
            return error_response(request.msgid, f"rpc: bad arguments for '{request.method}': {complaint}")

    def _streams_ready(self) -> bool:
        """In synchronous mode nobody misses a frame: new subscribers are awaited, slow ones too."""
        if not self._world.settings.synchronous:
            return True
        if self._expected:
            if time.monotonic() < self._expected_until:
                return False
            self._expected.clear()
        slow = self._slow()
        for connection in slow:
            if time.monotonic() >= connection.moved + STALL_SECONDS:
                self._close(connection)
        return all(connection.is_closed for connection in slow)

    def _slow(self) -> list[StreamConnection]:
        return [c for subscribers in self._subscribers.values() for c in subscribers if c.backlog]

    def _free_run(self, now: float) -> None:
        delta = self._world.settings.fixed_delta or min(now - self._last_frame_time, MAX_VARIABLE_DELTA)
        self._last_frame_time = now
        self._frame(delta)

    def _frame(self, delta: float) -> None:
        self._faults.ticking(self._world.settings.synchronous)
        messages = self._world.tick(delta, self._subscribers.__contains__)
        for message in self._faults.deliver(messages):
            self._publish(message)

    def _publish(self, message: StreamMessage) -> None:
        prefix = stream_prefix(len(message.header) + len(message.body))
        drop = not self._world.settings.synchronous
        for connection in list(self._subscribers.get(message.stream_id, ())):
            if connection.backlog and drop:
                continue
            self._send(connection, [prefix + message.header, message.body])

    def _send(self, connection: Connection, parts: list[bytes]) -> None:
        if connection.is_closed:
            return
        try:
            connection.send(parts)
            self._watch(connection)
        except OSError:
            self._close(connection)
            return
        self._charge(connection)


def _ticks(request: Request) -> bool:
    """Whether a call asks for a frame; the last argument of a batch says if it does."""
    return request.method == "tick_cue" or (request.method == "apply_batch" and request.arguments[-1:] == [True])
