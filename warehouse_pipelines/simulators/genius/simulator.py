"""The simulated Genius: a database of the vendor's tables on a real MariaDB, and what happens behind the scenes there.

Written from the vendor notes. There is no API: a client connects to a port and asks in SQL, as an account that may
read the listed tables and nothing else. What stands in the way between the two, the proxy, counts the queries as
requests (path = `/<table>`) and gives the faults of all vendors the form they have in a database:

    rate_limit    error 1226, the account has used up its share
    status        an error number of the server; any of HTTP's stands for 1205, a lock that was waited for in vain
    unauthorized  error 1045
    slow          a query that takes its time
    reset, truncated  the connection ends in the middle of the rows
    repeat_page   the rows of the query before, once more
    malformed     `bad_date`, `bad_number`: a column has become text, and one row holds words;
                  `non_object`: the key has another name

The rest has no counterpart and is refused. What the notes could not confirm is a setting.
"""

from __future__ import annotations

import re

from warehouse_pipelines.simulators.core.proxy import Proxy, Treatment
from warehouse_pipelines.simulators.core.wire import Answer, Request, answer_json
from warehouse_pipelines.simulators.genius.mariadb import MySQLProxyConnection, MySQLRefusal
from warehouse_pipelines.simulators.genius.operations import GeniusOperations

READ, ASKED = re.compile(r"\bFROM `(\w+)` t\b"), re.compile(r"\bFROM `(\w+)`")
RESERVED = re.compile(r"\b(?:FROM|JOIN) (lead|lag|rank|groups|system|function)\b", re.IGNORECASE)
"""A name that MySQL 8 does not take without quotation marks and MariaDB does."""
LIMIT = re.compile(r"\bLIMIT (\d+)\s*$")


class Genius(GeniusOperations):
    def listen(self, host: str, port: int) -> None:
        """The port is the database's; the control endpoint takes a free one."""
        self._proxy = Proxy(host, port, self._server.socket, self._treat, MySQLProxyConnection)
        super().listen(host, 0)

    def environment(self) -> dict[str, str]:
        if self._proxy is None:
            raise RuntimeError("the simulator does not listen yet")
        where = f"127.0.0.1:{self._proxy.port}/{self.name}"
        return {
            "GENIUS_DATABASE_URL": f"mysql+pymysql://{self.name}:{self.settings.token}@{where}?ssl_disabled=true",
            "GENIUS_TIME_ZONE": self.settings.zone,
        }

    def answer(self, request: Request) -> Answer:
        return answer_json(404, {"error": "Genius is a database; ask its port in SQL"})

    def _treat(self, statement: str) -> Treatment:
        """Count a query, and say what becomes of it."""
        # A look-up in the list of columns comes before the table that is read; that one has the alias `t`.
        table, limit = READ.search(statement) or ASKED.search(statement), LIMIT.search(statement)
        path = f"/{table[1]}" if table else "/"
        request = Request("QUERY", path, {}, statement.encode(), "127.0.0.1")
        request.target = path
        self.counters.begin()
        treatment = Treatment()
        if word := RESERVED.search(statement):
            said = f"You have an error in your SQL syntax; check the manual for the right syntax near '{word[1]}'"
            treatment = Treatment(MySQLRefusal(1064, "42000", said))
        for fault in self.faults.firing(request):
            match fault.kind:
                case "slow":
                    fault.delay()
                case "rate_limit":
                    refusal = MySQLRefusal(1226, "42000", "User has exceeded the 'max_queries_per_hour' resource")
                    treatment = Treatment(refusal)
                case "status":
                    number = fault["status"] if fault["status"] >= 1000 else 1205
                    treatment = Treatment(MySQLRefusal(number, "HY000", f"simulated error {number}"))
                case "unauthorized":
                    treatment = Treatment(
                        MySQLRefusal(1045, "28000", f"Access denied for user '{self.name}'@'localhost'")
                    )
                case "reset" | "truncated":
                    treatment = Treatment(cut=400, reset=fault.kind == "reset")
                case "repeat_page":
                    treatment = Treatment(repeat=True)
        status = treatment.refusal.number if treatment.refusal else 200
        self.counters.end(request, Answer(status, page_size=int(limit[1]) if limit else None))
        return treatment


SIMULATOR = Genius
