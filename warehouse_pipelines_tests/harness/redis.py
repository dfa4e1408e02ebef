"""A Redis of a test's own, which can be killed."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from redis import Redis as Client
from redis.exceptions import ConnectionError as Refused

from warehouse_pipelines_tests.conftest import missing


class Redis:
    """On a free port that it keeps, with nothing on the disk."""

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("redis-server") or missing("redis-server")
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        where = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        command = [self._program, *where, "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 30
        with Client(port=self._port) as client:
            while True:
                try:
                    client.ping()
                    return
                except Refused:
                    assert time.monotonic() < deadline, "Redis does not answer"
                    time.sleep(0.05)

    def kill(self) -> None:
        """Kill it as ``kill -9`` does."""
        self._process.kill()
        self._process.wait()
