"""HubSpot: the forms of its answers, as far as ``fetch`` reads them.

A record stays as the vendor sent it (``msgspec.Raw``). A member without a default is one that the notes promise, so an
answer that lacks it is an error.
"""

from typing import Any, Generic, TypeVar

import msgspec

from warehouse_pipelines.sources._json import listed

T = TypeVar("T")


class Next(msgspec.Struct):
    after: str | int


class Paging(msgspec.Struct):
    next: Next | None = None


class Answer(msgspec.Struct, Generic[T]):
    """A list of the vendor; without ``results`` it cannot be decoded and is therefore an error."""

    results: list[T] | None
    paging: Paging | None = None

    @property
    def after(self) -> str | None:
        """Where the next page begins; None on the last one."""
        return str(self.paging.next.after) if self.paging and self.paging.next else None

    def page(self, path: str, *, first: bool = True) -> list[T]:
        """Return the records. Raises ``AnswerChanged`` for null where more should follow."""
        return listed(self.results, f"HubSpot: {path}", first=first, last=self.after is None)


class Id(msgspec.Struct):
    id: str


class Found(Answer[Id], kw_only=True):
    total: int


class Problem(msgspec.Struct, rename="camel"):
    category: str | None = None
    sub_category: str | None = None
    message: str | None = None


class Batch(msgspec.Struct):
    results: list[msgspec.Raw]
    errors: list[Problem] = []


class Property(msgspec.Struct):
    name: str
    type: str = ""


class Schema(msgspec.Struct, rename="camel"):
    object_type_id: str
    name: str
    labels: dict[str, str | None] = {}
    archived: bool = False


class Pipeline(msgspec.Struct):
    id: str
    stages: list[dict[str, Any]]


class AssociationType(msgspec.Struct, rename="camel"):
    type_id: int
    category: str | None = None
    label: str | None = None


class Target(msgspec.Struct, rename="camel"):
    to_object_id: int | str
    association_types: list[AssociationType]


class Pairs(msgspec.Struct):
    from_: Id = msgspec.field(name="from")
    to: list[Target]
    paging: Paging | None = None


class PairsBatch(msgspec.Struct):
    results: list[Pairs]
    errors: list[Problem] = []


class Refused(msgspec.Struct):
    policy: str = msgspec.field(name="policyName", default="")


class MissingScopes(msgspec.Struct, rename="camel"):
    required_granular_scopes: list[str] = []
    missing_scopes: list[str] = []


class ScopeProblem(msgspec.Struct):
    context: MissingScopes | None = None


class Forbidden(msgspec.Struct):
    errors: list[ScopeProblem] = []

    @property
    def scopes(self) -> list[str]:
        """The scopes that the token lacks, as far as the vendor says."""
        contexts = [one.context for one in self.errors if one.context]
        return sorted({scope for one in contexts for scope in (*one.required_granular_scopes, *one.missing_scopes)})
