"""What the tests of ``serve`` share."""

import functools

import pytest
from argon2 import PasswordHasher

from warehouse_pipelines.serving import passwords


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with the least that argon2id takes; as it is done for users, each takes 0.2 s."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
    monkeypatch.setattr(passwords, "_of_nobody", functools.cache(lambda: hasher.hash("the password of nobody")))
