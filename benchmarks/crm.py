"""How fast the schema ``crm`` answers, as ``crm_app`` below row-level security and beside it without.

    python benchmarks/crm.py
    python benchmarks/crm.py --leads 50000 1000000
    python benchmarks/crm.py --case lead_by_id --assert-ms 1

For each lead there are ten rows of its audit log, two of its status history and a tenth of a row on the do-not-call
list, spread over a year as the triggers would have written them. One organization holds half of the leads, and it is
the one that asks. Every case is run by a login in ``crm_app`` that is bound to the organization, and by a superuser,
whom the policies do not bind; a condition on the organization takes their place there, and both must give the same
answer. They take turns, warm, and ``price`` is the one median over the other.

The setting of the tenant is made once and not timed, except in ``transaction``: what a request behind a pooler pays on
top of its query. ``import_1000`` commits, and its leads are removed between two rounds, which is not timed.

Below the table stand the plans as ``crm_app``, as auto_explain tells them: of the statements within functions and
triggers too. A case that reads half of a big table or more without an index is named, and the program ends with 1.

Given two sizes, ``lead_by_id`` and ``dnc_1000`` take turns in the last and in the first; ``growth`` is the ratio. With
``--case`` the two logs are only filled for a case that reads or writes them. The last line is one JSON object.
"""

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import measure
import psycopg

from warehouse_pipelines.local.postgres import Server

LOGIN = "bench_app"
ORG = "00000000-0000-0000-0000-000000000001"
IMPORTS = "00000000-0000-0000-0000-000000000002"
WARM_UP = 8
BIG = 10_000
"""Tables of fewer rows may be read whole."""

INDEXES_MB = {"leads": 25, "lead_audit_log": 250, "lead_status_history": 50}
"""What each may take at 50,000 leads."""

# A lead's number decides everything about it. Of ten leads two are new, six have changed their status once and two
# twice; nine have an owner; one is won. So there are ten audit rows and two of the history for each.
FILL = """
CREATE TEMP TABLE drawn AS
SELECT i, gen_random_uuid() AS id,
    CASE WHEN (i / 10) %% 2 = 0 THEN %(org)s::uuid
         ELSE ('00000000-0000-0000-0001-' || lpad((i / 20 %% 50)::text, 12, '0'))::uuid END AS organization_id,
    path, path[cardinality(path)] AS status,
    date_trunc('second', now()) - (hashint8extended(i, 1) & 16777215) * interval '1.85 second' AS created_at,
    (ARRAY['google', 'facebook', 'referral', 'bing', 'angi', 'yard sign']
        )[1 + (hashint8extended(i, 2) & 1023) %% 6] AS source,
    CASE WHEN i %% 10 > 0 THEN ('00000000-0000-0000-0002-'
        || lpad(((hashint8extended(i, 3) & 1023) %% 40)::text, 12, '0'))::uuid END AS owner_id,
    CASE WHEN i %% 10 = 9 THEN 4000 + (hashint8extended(i, 4) & 16383) END AS value_usd
FROM generate_series(0, %(leads)s - 1) AS i, LATERAL (SELECT CASE i %% 10
    WHEN 0 THEN '{new}' WHEN 1 THEN '{new}' WHEN 4 THEN '{new,qualified}' WHEN 5 THEN '{new,lost}'
    WHEN 6 THEN '{new,nurturing}' WHEN 7 THEN '{new,appointment_set}' WHEN 8 THEN '{new,qualified,proposal}'
    WHEN 9 THEN '{new,appointment_set,won}' ELSE '{new,contacted}' END::text[]) AS p (path);

-- The n-th of k changes comes at n/(k+1) of the time until now.
CREATE TEMP TABLE changed AS
SELECT d.i, d.id, d.organization_id, d.path[n] AS from_status, d.path[n + 1] AS to_status,
    d.created_at + (now() - d.created_at) * (n::float8 / cardinality(d.path)) AS created_at,
    (now() - d.created_at) * (1.0 / cardinality(d.path)) AS time_in_previous
FROM drawn AS d, generate_series(1, cardinality(d.path) - 1) AS n;

INSERT INTO crm.leads (id, organization_id, first_name, last_name, email, phone, status, source, division, owner_id,
                       value_usd, created_at, updated_at, status_changed_at)
SELECT d.id, d.organization_id,
    (ARRAY['Ada', 'Ben', 'Cleo', 'Dan', 'Eve', 'Fay', 'Gus'])[1 + (hashint8extended(i, 5) & 1023) %% 7],
    (SELECT initcap(string_agg((ARRAY['an', 'bar', 'cor', 'dal', 'er', 'fin', 'gar', 'hol', 'in', 'ker', 'lan', 'mon',
        'ner', 'os', 'ri', 'son'])[1 + ((hashint8extended(i, 6) >> 4 * n) & 15)], '')) FROM generate_series(0, 2) AS n),
    'lead' || i || '@example.com', '+1206' || 2000000 + i, d.status, d.source,
    (ARRAY['north', 'south', 'east', 'west'])[1 + (hashint8extended(i, 7) & 3)], d.owner_id, d.value_usd,
    d.created_at, last_change, last_change
FROM drawn AS d, LATERAL (
    SELECT d.created_at + (now() - d.created_at) * (1 - 1.0 / cardinality(d.path))) AS of_now (last_change)
ORDER BY d.created_at;

INSERT INTO crm.system_config (organization_id, key, value)
SELECT DISTINCT organization_id, 'dnc.hash_key', to_jsonb(repeat('5e', 32)) FROM drawn;
-- One in five numbers is a lead's; one in fifty is a hash, as of an erased lead.
INSERT INTO crm.dnc_list (organization_id, phone, phone_hash, reason)
SELECT organization_id, CASE WHEN i %% 500 > 0 THEN phone END,
    CASE WHEN i %% 500 = 0 THEN crm.phone_tail_hash(phone, decode(repeat('5e', 32), 'hex')) END, 'opt_out'
FROM drawn, LATERAL (SELECT CASE WHEN i %% 50 = 0 THEN '+1206' || 2000000 + i
                                 ELSE '+1425' || 2000000 + i END) AS p (phone)
WHERE i %% 10 = 0;

INSERT INTO crm.lead_source_costs (organization_id, source, month, amount)
SELECT organization_id, source, month::date, 1000
FROM (SELECT DISTINCT organization_id, source FROM drawn) AS paid,
    generate_series(date_trunc('month', now()) - interval '11 months', now(), interval '1 month') AS month;
"""

LOGIN_OF_TENANTS = f"""
DO $$ BEGIN CREATE ROLE {LOGIN} LOGIN IN ROLE crm_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
INSERT INTO crm.organization_member (login, organization_id, user_id)
    VALUES ('{LOGIN}', '{ORG}', gen_random_uuid()), ('{LOGIN}', '{IMPORTS}', gen_random_uuid());
"""

MAY_TAKE = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'crm') AND pg_has_role(oid, 'MEMBER')"

FILL_LOGS = """
INSERT INTO crm.lead_audit_log (organization_id, lead_id, action, field_name, old_value, new_value, created_at)
SELECT organization_id, id, action, field_name, old_value, new_value, created_at FROM (
    SELECT l.organization_id, l.id, 'create' AS action, f.key AS field_name, NULL AS old_value, f.value AS new_value,
           l.created_at
    FROM drawn AS d JOIN crm.leads AS l USING (id),
        jsonb_each_text(crm.audited(to_jsonb(l)) - '{owner_id,value_usd}'::text[] || '{"status": "new"}') AS f
    WHERE f.value IS NOT NULL AND f.value NOT IN ('{}', '[]')
    UNION ALL SELECT organization_id, id, 'update', 'status', from_status, to_status, created_at FROM changed
    UNION ALL SELECT organization_id, id, 'update', 'owner_id', NULL, owner_id::text, created_at + interval '1 minute'
        FROM drawn WHERE owner_id IS NOT NULL
    UNION ALL SELECT organization_id, id, 'update', 'value_usd', NULL, value_usd::text, created_at + interval '1 hour'
        FROM drawn WHERE value_usd IS NOT NULL) AS written
ORDER BY created_at;

INSERT INTO crm.lead_status_history (organization_id, lead_id, from_status, to_status, time_in_previous, created_at)
SELECT * FROM (
    SELECT organization_id, id, NULL, 'new', NULL::interval, created_at FROM drawn
    UNION ALL SELECT organization_id, id, from_status, to_status, time_in_previous, created_at FROM changed) AS written
ORDER BY 6;
"""


@dataclass(frozen=True)
class Case:
    """A request, what it may take, and its SQL. ``{own}`` is what the owner must say in the place of the policies."""

    name: str
    target_ms: float | None
    sql: str
    about: str
    parameters: Callable[["Population", int], dict[str, Any]] = lambda population, place: {}


class Population:
    """What the cases ask for: leads and phone numbers of the organization, drawn alike each time."""

    def __init__(self, connection: psycopg.Connection, leads: int) -> None:
        found = connection.execute(
            "SELECT id FROM crm.leads WHERE organization_id = %s ORDER BY hashtext(phone) LIMIT 500", [ORG]
        ).fetchall()
        self._ids = [row[0] for row in found]
        self._random = random.Random(1)
        self._leads = leads

    def id(self, place: int) -> Any:
        return self._ids[place % len(self._ids)]

    def phones(self) -> list[str]:
        """Return a thousand numbers as people write them: leads of this organization, and one in ten from abroad."""
        drawn = []
        for place in range(1000):
            digits = f"206{2_000_000 + self._random.randrange(self._leads)}"
            national = f"({digits[:3]}) {digits[3:6]}-{digits[6:]}"
            abroad = f"+44 20 {digits[-8:]}"
            drawn.append((*[f"+1{digits}"] * 6, f"1{digits}", digits, national, abroad)[place % 10])
        return drawn

    def people(self, place: int) -> str:
        """Return a thousand new leads of the organization of imports, as JSON."""
        return json.dumps(
            [
                {
                    "first_name": "Ida",
                    "last_name": "Voorbeeld",
                    "email": f"ida{number}@example.com",
                    "phone": f"+1360{2_000_000 + place * 1000 + number}",
                    "status": ("new", "contacted", "qualified")[number % 3],
                    "source": ("google", "facebook")[number % 2],
                    "division": "north",
                    "postal_code": "98101",
                    "timezone": "America/Los_Angeles",
                }
                for number in range(1000)
            ]
        )


BY_ID = "SELECT * FROM crm.leads WHERE {own} id = %(id)s"


def wanted_id(population: Population, place: int) -> dict[str, Any]:
    return {"id": population.id(place)}


def last_30_days(population: Population, place: int) -> dict[str, Any]:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"since": today - timedelta(days=30), "until": today}


CASES = [
    Case("lead_by_id", 1, BY_ID, "a lead by its id", wanted_id),
    Case("transaction", None, BY_ID, "the same in a transaction that sets the tenant", wanted_id),
    Case(
        "lead_list",
        50,
        "SELECT * FROM crm.leads WHERE {own} deleted_at IS NULL AND status = 'qualified' AND source = 'google' "
        "AND lead_score >= 0 ORDER BY created_at DESC LIMIT 100",
        "the newest 100 of a status and a source",
    ),
    Case(
        "lead_search",
        50,
        """SELECT * FROM crm.list_leads('{"field": "last_name", "op": "contains", "value": "monker"}')""",
        "the newest 100 with a part of a name, by list_leads",
    ),
    Case(
        "funnel_30d",
        100,
        "SELECT * FROM {schema}.funnel(%(since)s, %(until)s)",
        "funnel of 30 days",
        last_30_days,
    ),
    Case("roi_all", 200, "SELECT * FROM {schema}.source_roi()", "return on all sources, all time"),
    Case(
        "dnc_1000",
        100,
        "SELECT count(*) FILTER (WHERE crm.is_on_dnc_list(phone, %(org)s)) FROM unnest(%(phones)s::text[]) AS phone",
        "1,000 numbers against the do-not-call list",
        lambda population, place: {"phones": population.phones()},
    ),
    Case(
        "import_1000",
        3000,
        "INSERT INTO crm.leads (organization_id, first_name, last_name, email, phone, status, source, division, "
        f"postal_code, timezone) SELECT '{IMPORTS}', first_name, last_name, email, phone, status, source, division, "
        "postal_code, timezone FROM jsonb_to_recordset(%(people)s::jsonb) AS p (first_name text, last_name text, "
        "email text, phone text, status text, source text, division text, postal_code text, timezone text)",
        "1,000 new leads with their audit and history, committed",
        lambda population, place: {"people": population.people(place)},
    ),
]
GROWTH = ("lead_by_id", "dnc_1000")
"""What is compared between two sizes."""

OF_LOGS = ("funnel_30d", "import_1000")


class Session:
    """A connection of one of the two logins, with the tenant set."""

    def __init__(self, url: str, role: str | None) -> None:
        self.role = role
        self.connection = psycopg.connect(url, autocommit=True, prepare_threshold=1)
        self.connection.execute("LOAD 'auto_explain'")
        self._times = Path(f"/proc/{self.connection.info.backend_pid}/schedstat")
        self._become()

    def processor_ms(self) -> float:
        """Return how long PostgreSQL's process of this session has run on a processor."""
        return int(self._times.read_text().split()[0]) / 1e6

    def _become(self) -> None:
        if self.role:
            self.connection.execute(f"SET SESSION AUTHORIZATION {self.role}")
        found = self.connection.execute("SELECT row_security_active('crm.leads')").fetchone()
        if found != (self.role is not None,):
            raise RuntimeError(f"as {self.role or 'the superuser'}: row-level security is {found}")

    def run(self, case: Case, parameters: dict[str, Any]) -> tuple[float, Any]:
        """Return the milliseconds that the case took, and its answer."""
        org = IMPORTS if case.name == "import_1000" else ORG
        self.connection.execute("SELECT set_config('app.organization_id', %s, false)", [org])
        own = "" if self.role else "organization_id = %(org)s AND"
        text = case.sql.replace("{own}", own).replace("{schema}", "crm" if self.role else "pg_temp")
        given = {"org": ORG, **parameters}
        answer: Any
        began = time.perf_counter()
        if case.name == "transaction":
            with self.connection.transaction():
                if self.role:
                    self.connection.execute("SELECT set_config('app.organization_id', %s, true)", [org])
                answer = self.connection.execute(text, given).fetchall()
        else:
            cursor = self.connection.execute(text, given)
            answer = cursor.fetchall() if cursor.description else cursor.rowcount
        return 1000 * (time.perf_counter() - began), answer

    def explain(self, case: Case, parameters: dict[str, Any]) -> list[str]:
        """Run the case once more and return the plan of each statement that it consists of."""
        plans: dict[str, str] = {}

        def keep(said: psycopg.errors.Diagnostic) -> None:
            plan = (said.message_primary or "").partition("plan:\n")[2]
            query = re.sub(r"\s+", " ", re.split(r"\nQuery Parameters|\(cost", plan)[0])
            if plan and not re.search(r"Query Text: SELECT (row_security_active|set_config)", plan):
                plans.setdefault(query, plan)

        self.connection.add_notice_handler(keep)
        self._explaining("0", "log")
        self.run(case, parameters)
        self._explaining("-1", "notice")
        self.connection.remove_notice_handler(keep)
        return list(plans.values())

    def _explaining(self, from_duration: str, messages: str) -> None:
        self.connection.execute("RESET SESSION AUTHORIZATION")
        for name, value in {
            "client_min_messages": messages,
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_analyze": "on",
            "auto_explain.log_timing": "off",
            "auto_explain.log_min_duration": from_duration,
        }.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", [name, value])
        self._become()


def fill(connection: psycopg.Connection, leads: int, *, logs: bool = True) -> dict[str, int]:
    """Fill the empty schema, and return the rows of each big table. Without ``logs`` two of them stay empty.

    ``LOGIN`` becomes an application's login, a member of the two organizations that the cases ask for.
    """
    connection.execute(LOGIN_OF_TENANTS)
    connection.execute("SELECT crm.ensure_partitions((now() - interval '13 months')::date)")
    connection.execute("SET session_replication_role = replica")  # what the triggers write is written here
    for part in (FILL, FILL_LOGS) if logs else (FILL,):
        psycopg.ClientCursor(connection).execute(part, {"org": ORG, "leads": leads})
    connection.execute("RESET session_replication_role")
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")
    return {table: one(connection, f"SELECT count(*) FROM crm.{table}") for table in (*INDEXES_MB, "dnc_list")}


def one(connection: psycopg.Connection, query: str, parameters: Sequence[Any] = ()) -> Any:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def without_policies(connection: psycopg.Connection, name: str) -> None:
    """Copy a function into ``pg_temp``, with a condition on the organization wherever a policy would add it."""
    definition = one(connection, "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = %s", [name])
    text, places = re.subn(
        r"(FROM|JOIN) crm\.\w+ AS (\w+)\s+WHERE ", rf"\g<0>\2.organization_id = '{ORG}' AND ", definition
    )
    if not places:
        raise RuntimeError(f"crm.{name} has no place for a condition on the organization")
    connection.execute(text.replace(f"crm.{name}(", f"pg_temp.{name}(", 1))


def index_mb(connection: psycopg.Connection) -> dict[str, float]:
    """Return the size of the indexes of each big table, those of its partitions included."""
    return {
        table: one(
            connection,
            "SELECT (sum(pg_indexes_size(relid)) / 2 ^ 20)::float8 FROM pg_partition_tree(%s::regclass)",
            [f"crm.{table}"],
        )
        or one(connection, "SELECT (pg_indexes_size(%s::regclass) / 2 ^ 20)::float8", [f"crm.{table}"])
        for table in INDEXES_MB
    }


def read_whole(connection: psycopg.Connection, plans: Sequence[str]) -> list[str]:
    """Return the big tables of which a plan reads half or more without an index."""
    read: dict[str, float] = {}
    rows: dict[str, float] = {}
    sizes = connection.execute(
        "SELECT c.relname, coalesce(p.relname, c.relname), c.reltuples FROM pg_class c "
        "LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent "
        "WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind = 'r'"
    ).fetchall()
    scanned = set(re.findall(r"Seq Scan on (?:crm\.)?(\w+).*\(actual", "\n".join(plans)))
    for name, whole, tuples in sizes:
        rows[whole] = rows.get(whole, 0) + tuples
        read[whole] = read.get(whole, 0) + (tuples if name in scanned else 0)
    return [name for name in rows if rows[name] >= BIG and read[name] >= rows[name] / 2]


def forget_imports(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for table in ("leads", "lead_audit_log", "lead_status_history"):
            connection.execute(f"DELETE FROM crm.{table} WHERE organization_id = %s", [IMPORTS])


@dataclass
class Found:
    """Of one case: milliseconds of each round by role, of a processor as ``crm_app``, and what was read whole."""

    app: list[float] = field(default_factory=list)
    owner: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    plans: list[str] = field(default_factory=list)

    @property
    def ms(self) -> float:
        return statistics.median(self.app)

    @property
    def price(self) -> float:
        """The median of the ratios of the rounds, so that what else the machine does falls on both sides."""
        return statistics.median(app / owner for app, owner in zip(self.app, self.owner, strict=True))


def measure_cases(url: str, cases: Sequence[Case], leads: int, rounds: int) -> dict[str, Found]:
    """Run every case in turns as the two roles; raise ``RuntimeError`` when their answers differ."""
    app, owner = Session(url, LOGIN), Session(url, None)
    for name in ("funnel", "source_roi"):
        without_policies(owner.connection, name)
    print(f"role={one(app.connection, MAY_TAKE)}, of a login that is bound to {ORG}")
    population = Population(owner.connection, leads)
    found: dict[str, Found] = {}
    for case in cases:
        one_case = found[case.name] = Found()
        given = [case.parameters(population, place) for place in range(WARM_UP + rounds)]
        if case.name != "import_1000":
            for parameters in given:
                owner.run(case, parameters)  # so that all it asks for is in memory
        for place, parameters in enumerate(given):
            answers = []
            turns = [(app, one_case.app), (owner, one_case.owner)]
            for session, times in turns if place % 2 else reversed(turns):  # who comes second finds a warmer cache
                before = session.processor_ms()
                took, answer = session.run(case, parameters)
                answers.append(answer)
                if place >= WARM_UP:
                    times.append(took)
                if place >= WARM_UP and session is app:
                    one_case.processor.append(session.processor_ms() - before)
                if case.name == "import_1000":
                    check_import(owner.connection)
                    forget_imports(owner.connection)
            if answers[0] != answers[1]:
                raise RuntimeError(f"{case.name}: crm_app and the owner got different answers")
        one_case.plans = app.explain(case, case.parameters(population, 0))
        forget_imports(owner.connection)
        one_case.whole = read_whole(owner.connection, one_case.plans)
    app.connection.close()
    owner.connection.close()
    return found


def check_import(connection: psycopg.Connection) -> None:
    """Raise ``RuntimeError`` unless the triggers wrote an audit row for each of the ten fields, and the history."""
    counted = connection.execute(
        "SELECT (SELECT count(*) FROM crm.lead_audit_log WHERE organization_id = %(org)s), "
        "(SELECT count(*) FROM crm.lead_status_history WHERE organization_id = %(org)s)",
        {"org": IMPORTS},
    ).fetchone()
    if counted != (10_000, 1_000):
        raise RuntimeError(f"an import of 1,000 leads wrote {counted} rows of audit and history")


def growth(small: str, large: str, sizes: tuple[int, int], cases: Sequence[Case], rounds: int) -> dict[str, float]:
    """Return how much longer each case takes in the large database, as the median of the rounds' ratios."""
    grown = {}
    sessions = [Session(url, LOGIN) for url in (small, large)]
    with psycopg.connect(small) as one_, psycopg.connect(large) as other:
        populations = [Population(one_, sizes[0]), Population(other, sizes[1])]
    for case in cases:
        pairs = [[case.parameters(population, place) for population in populations] for place in range(rounds)]
        took = [
            [session.run(case, parameters)[0] for session, parameters in zip(sessions, pair, strict=True)]
            for pair in (*pairs, *pairs)  # the first half only warms
        ][rounds:]
        grown[case.name] = statistics.median(large_ms / small_ms for small_ms, large_ms in took)
    for session in sessions:
        session.connection.close()
    return grown


def run(server: Server, leads: int, cases: Sequence[Case], rounds: int) -> dict[str, Any]:
    """Measure one size in a database of its own, print its table and plans, and return its summary."""
    from warehouse_pipelines.schema.migrate import migrate

    url = server.create_database(f"leads_{leads}")
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        rows = fill(connection, leads, logs=any(case.name in OF_LOGS for case in cases))
        sizes = index_mb(connection)
        print(f"\n{leads:,} leads: " + ", ".join(f"{n:,} rows of {table}" for table, n in rows.items()), end=" ")
        print(f"in {time.perf_counter() - began:.0f} s; PostgreSQL {one(connection, 'SHOW server_version')}")
    with measure.measured(server) as cost:
        found = measure_cases(url, cases, leads, rounds)
    lines = []
    for case in cases:
        of = found[case.name]
        asked = f"{case.target_ms:g}" if case.target_ms else ""
        missed = " (missed)" if case.target_ms and of.ms >= case.target_ms else ""
        lines.append(
            (
                f"{case.name}: {case.about}",
                measure.spread(of.app, ",.2f"),
                asked + missed,
                f"{statistics.median(of.processor):,.2f}",
                measure.spread(of.owner, ",.2f"),
                f"{of.price:.2f}",
                ", ".join(of.whole) or "no",
            )
        )
    print(
        "\n"
        + measure.table(
            ("case", "ms as crm_app", "asked", "of it processor", "ms without RLS", "price", "read whole"), lines
        )
    )
    print(f"\ncores that others used meanwhile: {cost.other_cores:.1f}")
    allowed = [
        (name, f"{sizes[name]:.1f}", f"{most}{' (missed)' if sizes[name] > most else ''}")
        for name, most in INDEXES_MB.items()
    ]
    print("\n" + measure.table(("indexes of", "MB", "asked, at 50,000 leads"), allowed))
    for case in cases:
        for plan in found[case.name].plans:
            print(f"\n{case.name}\n{plan.rstrip()}")
    return {
        "leads": leads,
        "role": "crm_app",
        **{f"{table}_rows": n for table, n in rows.items()},
        **{f"{name}_ms": round(of.ms, 3) for name, of in found.items()},
        **{f"{name}_cpu_ms": round(statistics.median(of.processor), 3) for name, of in found.items()},
        **{f"{name}_price": round(of.price, 3) for name, of in found.items()},
        **{f"{name}_indexes_mb": round(mb, 1) for name, mb in sizes.items()},
        "read_whole": sorted({f"{name}: {table}" for name, of in found.items() for table in of.whole}),
        "other_cores": round(cost.other_cores, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--leads", type=int, nargs="+", default=[50_000], metavar="N", help="one size, or several")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--case", action="append", choices=[case.name for case in CASES], help="only this; repeatable")
    parser.add_argument("--assert-ms", type=float, metavar="N", help="end with 1 when a case takes so long, or longer")
    given = parser.parse_args()
    cases = [case for case in CASES if not given.case or case.name in given.case]
    with measure.server() as server:
        sizes = [run(server, leads, cases, given.rounds) for leads in given.leads]
        said = dict(sizes[0])
        if len(sizes) > 1:
            urls = [server.url(f"leads_{leads}") for leads in (given.leads[0], given.leads[-1])]
            compared = [case for case in cases if case.name in GROWTH]
            grown = growth(urls[0], urls[1], (given.leads[0], given.leads[-1]), compared, given.rounds)
            print(f"\n{given.leads[-1]:,} leads over {given.leads[0]:,}, in turns:")
            print(measure.table(("case", "times as long"), [(name, f"{ratio:.2f}") for name, ratio in grown.items()]))
            said |= {f"{name}_growth": round(ratio, 3) for name, ratio in grown.items()} | {"sizes": sizes}
    print(json.dumps(said))
    slow = given.assert_ms and any(size[f"{case.name}_ms"] >= given.assert_ms for size in sizes for case in cases)
    sys.exit(1 if slow or any(size["read_whole"] for size in sizes) else 0)


if __name__ == "__main__":
    main()
