"""Pairs for a person to decide: ``identity.review``, the best pair of each two people that an edge joins.

A pair waits when its score is between the thresholds, when an id or nearly all joins two names that contradict, or when
a better edge took one of the two elsewhere. What somebody decided is not asked again.
"""

import json
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from warehouse_pipelines import warehouse
from warehouse_pipelines.queries import query
from warehouse_pipelines.unified.identity.compare import gate, words
from warehouse_pipelines.unified.identity.edges import levels_of

if TYPE_CHECKING:
    from warehouse_pipelines.warehouse import Session


def settle(session: "Session", torn: Collection[tuple[int, int]], ids: Collection[int] | None = None) -> int:
    """Write the pairs of these records, or of all, that wait for a decision; return how many there are of them.

    ``torn``: pairs of a record that says too little of a name and each of the people that it may as well be.
    """
    given = {"ids": None if ids is None else list(ids)}
    torn = set(torn)
    wanted = []
    for row in session.execute(query("identity_reviews"), given).fetchall():
        found = levels_of(row["evidence"])
        if row["relation"] == "review":
            reason = gate(found) or "the score is between the thresholds"
        elif (row["a_id"], row["b_id"]) in torn:
            reason = "it may as well be somebody else's"
        else:
            reason = "one of the two has joined records that contradict the other"
        wanted.append([row["a_id"], row["b_id"], row["score"], reason, words(found)])
    session.execute(
        """
        DELETE FROM identity.review AS r
        WHERE (%(ids)s::bigint[] IS NULL OR r.a_id = ANY (%(ids)s::bigint[]) OR r.b_id = ANY (%(ids)s::bigint[]))
            AND (r.a_id, r.b_id) NOT IN (
                SELECT (w ->> 0)::bigint, (w ->> 1)::bigint FROM jsonb_array_elements(%(wanted)s::jsonb) AS w
            )
        """,
        given | {"wanted": json.dumps(wanted)},
    )
    session.execute(
        """
        INSERT INTO identity.review AS r (a_id, b_id, score, reason, evidence)
            SELECT (w ->> 0)::bigint, (w ->> 1)::bigint, (w ->> 2)::real, w ->> 3, w ->> 4
            FROM jsonb_array_elements(%s::jsonb) AS w
            ON CONFLICT (a_id, b_id) DO UPDATE
                SET score = excluded.score, reason = excluded.reason, evidence = excluded.evidence
                WHERE (r.score, r.reason, r.evidence)
                    IS DISTINCT FROM (excluded.score, excluded.reason, excluded.evidence)
        """,
        [json.dumps(wanted)],
    )
    return len(wanted)


def waiting(session: "Session", limit: int) -> tuple[int, list[dict[str, Any]]]:
    """Return how many pairs wait for a decision, and the likeliest of them, called by their records."""
    pairs = warehouse.value(session, "SELECT count(*) FROM identity.review")
    rows = session.execute(
        """
        SELECT a.source_table AS a_table, a.source_key AS a_key, b.source_table AS b_table, b.source_key AS b_key,
               r.score, r.reason, r.evidence, r.since
        FROM identity.review AS r
            JOIN identity.record AS a ON a.record_id = r.a_id
            JOIN identity.record AS b ON b.record_id = r.b_id
        ORDER BY r.score DESC, a.source_table, a.source_key, b.source_table, b.source_key LIMIT %s
        """,
        [limit],
    ).fetchall()
    return pairs, rows
