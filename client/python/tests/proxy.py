"""A TCP proxy on the loopback whose connections a test can cut."""

import socket
import threading
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on the loopback and forwards everything to one server."""

    def __init__(self, server: str) -> None:
        self.move(server)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connections = 0
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def move(self, server: str) -> None:
        """Forwards new connections to this server."""
        host, _, port = server.rpartition("://")[2].rpartition(":")
        self._server = (host, int(port))

    def cut(self) -> bool:
        """Closes every open connection, and returns whether there was one. New connections are forwarded."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            _shut(end)
        return bool(ends)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _shut(self._listener)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self._server)
            except OSError:
                # The server is down, so the connection ends.
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                target.sendall(data)
        except OSError:
            pass
        _shut(target)
        source.close()
        with self._lock:
            self._open.discard(source)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        # It has ended already.
        pass
