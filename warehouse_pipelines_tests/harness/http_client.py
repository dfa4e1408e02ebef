"""The HTTP client of the tests that speak to a simulator as a vendor's customer would."""

import contextlib

import httpx


class HttpClient(httpx.Client):
    """Closes its sockets when its last user is gone, so that a test need not."""

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()
