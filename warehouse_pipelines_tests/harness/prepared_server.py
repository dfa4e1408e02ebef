"""A server in whose template everything is migrated, made once in a run of the tests, to be copied."""

import fcntl
import os
import shutil
from pathlib import Path

from warehouse_pipelines.local.postgres import DATABASE, Server
from warehouse_pipelines.schema.migrate import migrate


def prepared_server() -> Server | None:
    """Return the server, which is stopped; None where its data have to belong to nobody, as would have to a copy's."""
    folder = Path(os.environ["WAREHOUSE_TEST_FOLDER"])
    server = Server(folder / "prepared", durable=False)
    done = server.home / "done"
    with (folder / "prepared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            server.start()
            migrate(server.url("template1"))
            server.drop_database(DATABASE)
            server.create_database(DATABASE)
            server.stop()
            (server.home / "postgres.port").unlink()  # or a copy would take another for itself
            done.touch()
    return server if server.data.parent == server.home else None


def start_migrated(server: Server) -> None:
    """Start a server for which nothing was made yet; each database that is created in it is migrated."""
    if prepared := prepared_server():
        shutil.copytree(prepared.home, server.home)
    server.start()
    if not prepared:
        migrate(server.url("template1"))
