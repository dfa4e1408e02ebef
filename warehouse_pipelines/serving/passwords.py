"""Passwords of local users: argon2id, with the parameters of its authors' library (64 MB, 3 rounds).

A password is as good as it is long; what it is made of nobody is told. Two are computed at a time at most, so that many
who sign in at once do not take the memory.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

from warehouse_pipelines.errors import WrongUse

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST, LONGEST = 12, 1_000

_two = ThreadPoolExecutor(2, "passwords")


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()


def hashed(password: str) -> str:
    """Return what is kept of a password. Raises ``WrongUse`` for one that is too short or too long."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise WrongUse(f"A password has {SHORTEST} to {LONGEST:,} characters.")
    return _hasher().hash(password)


@cache
def _of_nobody() -> str:
    return _hasher().hash("the password of nobody")


def holds(password: str, kept: str | None) -> bool:
    """Whether a password is the one that is kept; as slow where none is, so that nobody learns what names there are."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _hasher().verify(kept or _of_nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


async def holds_async(password: str, kept: str | None) -> bool:
    """The same beside the requests of others."""
    return await asyncio.get_running_loop().run_in_executor(_two, holds, password[: LONGEST + 1], kept)
