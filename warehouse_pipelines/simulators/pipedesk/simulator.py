"""The simulated PipeDesk: its tables in a real PostgreSQL, and what happens behind the scenes there.

Written from the vendor notes. A client connects to a port and asks in SQL, as a role that may read the tables and
bypasses row-level security; `plain_url` is that of a role that does not. Row-level security is on as in the product's
own migrations, so the plain role is shown no lead at all, without an error. `updated_at` is the application's affair:
only deals have a trigger, some leads have none, and `qualify_lead` does not touch it.

What stands in the way between the two, the proxy, counts the queries as requests (path = `/<table>`, a connection
is `/connect`) and gives the faults of all vendors the form they have in a database:

    rate_limit    error 53300, too many connections; it ends the connection
    status        57014, the statement timeout, for any of HTTP's; on `/connect` 57P03, the server is starting up
    unauthorized  error 28P01, the password is wrong
    slow          a query that takes its time
    reset, truncated  the connection ends in the middle of the rows, or as soon as it began
    repeat_page   the rows of the query before, once more
    malformed     `bad_date`, `bad_number`: a column has become text, and one row holds words;
                  `non_object`: the key has another name

The rest has no counterpart and is refused. What the notes could not confirm is a setting.
"""

from __future__ import annotations

import re

from warehouse_pipelines.simulators.core.proxy import Proxy, Treatment
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.pipedesk.operations import PipeDeskOperations
from warehouse_pipelines.simulators.pipedesk.postgresql import CONNECT, PostgresProxyConnection, PostgresRefusal
from warehouse_pipelines.simulators.pipedesk.tables import TABLES

ASKED = re.compile(r'\bFROM\s+(?:"?\w+"?\.)?"?(\w+)"?', re.IGNORECASE)
LIMIT = re.compile(r"\bFETCH\s+(?:FORWARD\s+)?(\d+)|\bLIMIT\s+(\d+)", re.IGNORECASE)


class PipeDesk(PipeDeskOperations):
    def listen(self, host: str, port: int) -> None:
        """The port is the database's; the control endpoint takes a free one."""
        self._proxy = Proxy(host, port, self._cluster.address, self._treat, PostgresProxyConnection)
        super().listen(host, 0)

    def environment(self) -> dict[str, str]:
        return {"PIPEDESK_DATABASE_URL": self._url(self.name)}

    @property
    def plain_url(self) -> str:
        """The address for a role that row-level security acts on."""
        return self._url(self._plain)

    def _url(self, role: str) -> str:
        if self._proxy is None:
            raise RuntimeError("the simulator does not listen yet")
        where = f"127.0.0.1:{self._proxy.port}/{self.name}"
        return f"postgresql+psycopg://{role}:{self.settings.token}@{where}"

    def answer(self, request: Request) -> Answer:
        return answer_json(404, {"error": "PipeDesk is a database; ask its port in SQL"})

    def _treat(self, statement: str) -> Treatment:
        """Count a query, and say what becomes of it."""
        asked = [name for name in ASKED.findall(statement) if name in (*TABLES, "profiles")]
        path = "/connect" if statement == CONNECT else f"/{asked[-1]}" if asked else "/"
        limit = LIMIT.search(statement)
        request = Request("QUERY", path, {}, statement.encode(), "127.0.0.1")
        request.target = path
        self.counters.begin()
        treatment = Treatment()
        for fault in self.faults.firing(request):
            match fault.kind:
                case "slow":
                    fault.delay()
                case "rate_limit":
                    treatment = Treatment(PostgresRefusal(1, "53300", "sorry, too many clients already"))
                case "status" if path == "/connect":
                    treatment = Treatment(PostgresRefusal(1, "57P03", "the database system is starting up"))
                case "status":
                    treatment = Treatment(PostgresRefusal(0, "57014", "canceling statement due to statement timeout"))
                case "unauthorized":
                    said = f'password authentication failed for user "{self.name}"'
                    treatment = Treatment(PostgresRefusal(1, "28P01", said))
                case "reset" | "truncated":
                    treatment = Treatment(cut=400, reset=fault.kind == "reset")
                case "repeat_page":
                    treatment = Treatment(repeat=True)
        status = 500 if treatment.refusal else 200
        size = int(limit[1] or limit[2]) if limit else None
        self.counters.end(request, Answer(status, page_size=size))
        return treatment


SIMULATOR = PipeDesk
