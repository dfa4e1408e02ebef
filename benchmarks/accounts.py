"""Several accounts of one CRM: a schema for each and a view of all, against one table with the account in its key.

    python benchmarks/accounts.py --rows 500000 --accounts 2

Both hold the same invented contacts and pairs of contacts and deals; ids are the same in all accounts. ``convert`` is
what a table that is there would have to go through to get the account into its key, under a lock that readers wait for;
a schema for the new account costs the first one nothing. Milliseconds are PostgreSQL's processor time, wall time in
brackets. The last line is one JSON object.
"""

import argparse
import json
import time
from typing import Any

import measure
import psycopg

COLUMNS = "firstname text, lastname text, email text, phone text, owner_id text, stage text, changed_at timestamptz"
VALUES = """'First ' || n % 997, 'Last ' || n % 9973, 'p' || n || '@example.test',
    '+1937555' || lpad((n % 10000)::text, 4, '0'), (n % 50)::text, 'stage ' || n % 7, now() - n * interval '1 second',
    jsonb_build_object('id', n::text, 'properties', jsonb_build_object('email', 'p' || n || '@example.test', 'notes',
        repeat('what was said on the phone ', 8), 'number', n))"""
OF = {"schemas": "everywhere.{}", "key": "keyed.{}"}


def fill(connection: "psycopg.Connection[Any]", rows: int, accounts: int) -> None:
    """Make both layouts, with the same rows."""
    make = [
        f"CREATE SCHEMA keyed; CREATE TABLE keyed.contact (account text, id text, {COLUMNS}, raw_data jsonb,"
        " PRIMARY KEY (account, id)); CREATE TABLE keyed.pair (account text, contact_id text, deal_id text,"
        " PRIMARY KEY (account, contact_id, deal_id))"
    ]
    for number in range(accounts):
        make += [
            f"CREATE SCHEMA a{number}; CREATE TABLE a{number}.contact (id text PRIMARY KEY, {COLUMNS}, raw_data jsonb);"
            f" CREATE TABLE a{number}.pair (contact_id text, deal_id text, PRIMARY KEY (contact_id, deal_id))",
            f"INSERT INTO a{number}.contact SELECT n::text, {VALUES} FROM generate_series(1, {rows}) AS n",
            f"INSERT INTO a{number}.pair SELECT n::text, (n % 1000)::text FROM generate_series(1, {rows}) AS n",
            f"INSERT INTO keyed.contact SELECT 'a{number}', * FROM a{number}.contact",
            f"INSERT INTO keyed.pair SELECT 'a{number}', * FROM a{number}.pair",
            f"CREATE INDEX ON a{number}.contact (email); CREATE INDEX ON a{number}.contact (changed_at)",
        ]
    make += ["CREATE INDEX ON keyed.contact (email)", "CREATE INDEX ON keyed.contact (changed_at)"]
    make.append("CREATE SCHEMA everywhere")
    for table in ("contact", "pair"):
        parts = (f"SELECT 'a{number}'::text AS account, * FROM a{number}.{table}" for number in range(accounts))
        make.append(f"CREATE VIEW everywhere.{table} AS {' UNION ALL '.join(parts)}")
    for statement in (*make, "ANALYZE"):
        connection.execute(statement)


def asked(layout: str, rows: int) -> dict[str, str]:
    """Return the questions to one layout by what they are."""
    contact, pair = (OF[layout].format(name) for name in ("contact", "pair"))
    thousand = f"SELECT (n * {max(1, rows // 1000)})::text AS id FROM generate_series(1, 1000) AS n"
    edited = f"SELECT n::text AS id, {VALUES} FROM generate_series(1, 5000) AS n"
    target, conflict = ("a0.contact", "id") if layout == "schemas" else ("keyed.contact", "account, id")
    own = "" if layout == "schemas" else "'a0', "
    return {
        "1,000 by key": f"SELECT count(c.stage) FROM ({thousand}) AS k CROSS JOIN LATERAL (SELECT stage FROM {contact}"
        " AS c WHERE c.account = 'a0' AND c.id = k.id OFFSET 0) AS c",
        "1,000 by id in any account": f"SELECT count(c.stage) FROM ({thousand}) AS k CROSS JOIN LATERAL (SELECT stage"
        f" FROM {contact} AS c WHERE c.id = k.id AND c.account = ANY ('{{a0,a1}}') OFFSET 0) AS c",
        "1,000 by e-mail": f"SELECT count(c.stage) FROM ({thousand}) AS k CROSS JOIN LATERAL (SELECT stage FROM "
        f"{contact} AS c WHERE c.email = 'p' || k.id || '@example.test' OFFSET 0) AS c",
        "count per account": f"SELECT count(*) FROM (SELECT account, count(*) FROM {contact} GROUP BY 1) AS c",
        "count per stage": f"SELECT count(*) FROM (SELECT stage, count(*) FROM {contact} GROUP BY 1) AS c",
        "join with pairs": f"SELECT count(*) FROM {contact} AS c JOIN {pair} AS p ON p.account = c.account AND"
        " p.contact_id = c.id WHERE p.deal_id = '7'",
        "delta of 5,000": f"INSERT INTO {target} AS t SELECT {own}* FROM ({edited}) AS e ON CONFLICT ({conflict}) DO"
        " UPDATE SET stage = excluded.stage, changed_at = excluded.changed_at, raw_data = excluded.raw_data",
    }


def run(rows: int, accounts: int, rounds: int) -> dict[str, Any]:
    """Run it, print the table, and return the summary."""
    with measure.server() as server, server.connect("postgres") as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        fill(connection, rows, accounts)
        found: dict[str, dict[str, list[tuple[float, float, Any]]]] = {}
        for _ in range(rounds):
            for layout in OF:
                for what, statement in asked(layout, rows).items():
                    before, began = measure.postgres_seconds(server), time.perf_counter()
                    row = connection.execute(statement)
                    answer = row.fetchone() if row.description else None
                    took = measure.postgres_seconds(server) - before, time.perf_counter() - began
                    found.setdefault(what, {}).setdefault(layout, []).append((*took, answer))
        began = time.perf_counter()
        connection.execute(
            "BEGIN; ALTER TABLE a0.contact ADD COLUMN account text NOT NULL DEFAULT 'a0', DROP CONSTRAINT contact_pkey,"
            " ADD PRIMARY KEY (account, id); ALTER TABLE a0.pair ADD COLUMN account text NOT NULL DEFAULT 'a0',"
            " DROP CONSTRAINT pair_pkey, ADD PRIMARY KEY (account, contact_id, deal_id); COMMIT"
        )
        converted = time.perf_counter() - began
    same = all(len({one[2] for of in layouts.values() for one in of}) == 1 for layouts in found.values())
    lines, summary = [], {"rows": rows, "accounts": accounts, "convert_seconds": round(converted, 2), "same": same}
    for what, layouts in found.items():
        best = {layout: (min(one[0] for one in of), min(one[1] for one in of)) for layout, of in layouts.items()}
        ratio = best["schemas"][1] / best["key"][1]
        shown = [f"{best[layout][0] * 1000:,.0f} ({best[layout][1] * 1000:,.0f})" for layout in OF]
        lines.append([what, *shown, f"{ratio:.2f}"])
        summary[what.replace(" ", "_").replace(",", "")] = round(ratio, 2)
    print(measure.table(["question", "schemas and view, ms", "account in the key, ms", "wall ratio"], lines))
    return summary


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=500_000, help="of each account")
    parser.add_argument("--accounts", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    print(json.dumps(run(chosen.rows, chosen.accounts, chosen.rounds)))


if __name__ == "__main__":
    main()
