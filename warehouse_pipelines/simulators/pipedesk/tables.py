"""The tables of the simulated PipeDesk, as SQL, and its rows.

Contact `i` is person `i`, and lead `i` is what they came with.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from warehouse_pipelines.simulators.core import journey
from warehouse_pipelines.simulators.core.journey import Journeys
from warehouse_pipelines.simulators.core.population import Population, spell_phone, words
from warehouse_pipelines.simulators.google.drive import folder_count, folder_id

KEYS = {
    "lead_contacts": ("lead_id", "contact_id"),
    "lead_tags": ("lead_id", "tag_id"),
    "lead_activity_stats": ("lead_id",),
}

SCHEMA = """
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT NULL::uuid';

CREATE TABLE users (id uuid PRIMARY KEY, name text, email text);
CREATE TABLE companies (
    id uuid PRIMARY KEY, name text NOT NULL, cnpj text, site text, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(), created_by uuid, deleted_at timestamptz);
CREATE TABLE contacts (
    id uuid PRIMARY KEY, company_id uuid REFERENCES companies, name text NOT NULL, email text, phone text, role text,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE lead_statuses (
    id uuid PRIMARY KEY, code text UNIQUE NOT NULL, label text NOT NULL, description text,
    is_active boolean DEFAULT true, sort_order integer DEFAULT 0, created_at timestamptz DEFAULT now());
CREATE TABLE lead_origins (LIKE lead_statuses INCLUDING ALL);
CREATE TABLE master_deals (
    id uuid PRIMARY KEY, client_name text NOT NULL, company_id uuid REFERENCES companies, volume numeric,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), deleted_at timestamptz);
CREATE TABLE tags (id uuid PRIMARY KEY, name text UNIQUE, color text);
CREATE TABLE leads (
    id uuid PRIMARY KEY, legal_name text NOT NULL, trade_name text, lead_status_id uuid REFERENCES lead_statuses,
    lead_origin_id uuid REFERENCES lead_origins, owner_user_id uuid REFERENCES users,
    qualified_company_id uuid REFERENCES companies, qualified_master_deal_id uuid REFERENCES master_deals,
    address_city text, address_state text, last_interaction_at timestamptz, priority_score integer DEFAULT 0,
    disqualified_at timestamptz, disqualification_reason text, qualified_at timestamptz, deleted_at timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), expected_volume numeric);
CREATE TABLE lead_contacts (
    lead_id uuid REFERENCES leads ON DELETE CASCADE, contact_id uuid REFERENCES contacts ON DELETE CASCADE,
    is_primary boolean DEFAULT false, added_at timestamptz DEFAULT now(), PRIMARY KEY (lead_id, contact_id));
CREATE TABLE lead_tags (
    lead_id uuid REFERENCES leads ON DELETE CASCADE, tag_id uuid REFERENCES tags ON DELETE CASCADE,
    PRIMARY KEY (lead_id, tag_id));
CREATE TABLE lead_activity_stats (
    lead_id uuid PRIMARY KEY REFERENCES leads ON DELETE CASCADE, engagement_score integer DEFAULT 0,
    last_interaction_at timestamptz, last_email_at timestamptz, last_event_at timestamptz,
    total_emails integer DEFAULT 0, total_events integer DEFAULT 0, total_interactions integer DEFAULT 0,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE user_roles (id serial PRIMARY KEY, user_id uuid, role text);
CREATE TABLE google_drive_folders (
    id serial PRIMARY KEY, entity_id text, entity_type text, folder_id text UNIQUE, folder_url text,
    created_at timestamptz DEFAULT now(), deleted_at timestamptz, deleted_by text, delete_reason text);

CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON master_deals FOR EACH ROW EXECUTE FUNCTION touch();

CREATE FUNCTION qualify_lead(p_lead_id uuid, p_new_company_data jsonb, p_user_id uuid) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE company uuid := gen_random_uuid(); deal uuid := gen_random_uuid();
BEGIN
    INSERT INTO companies (id, name, created_by) VALUES (company, p_new_company_data->>'name', p_user_id);
    INSERT INTO master_deals (id, client_name, company_id) VALUES (deal, p_new_company_data->>'name', company);
    UPDATE leads SET qualified_at = now(), qualified_company_id = company, qualified_master_deal_id = deal,
        lead_status_id = (SELECT s.id FROM lead_statuses s WHERE s.code = 'QUALIFIED'),
        deleted_at = CASE WHEN current_setting('pipedesk.qualify_deletes', true) = 'on' THEN now() ELSE deleted_at END
    WHERE id = p_lead_id;
    RETURN jsonb_build_object('company_id', company, 'master_deal_id', deal);
END $$;

ALTER TABLE leads ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON leads FOR SELECT USING (deleted_at IS NULL AND auth.uid() IS NOT NULL);
ALTER TABLE companies ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON companies FOR SELECT USING (deleted_at IS NULL);
ALTER TABLE master_deals ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON master_deals FOR SELECT USING (deleted_at IS NULL AND auth.uid() IS NOT NULL);
ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON contacts FOR SELECT USING (true);
ALTER TABLE lead_contacts ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON lead_contacts FOR SELECT USING (true);
ALTER TABLE tags ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON tags FOR SELECT USING (true);
ALTER TABLE google_drive_folders ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON google_drive_folders FOR SELECT USING (deleted_at IS NULL);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO pipedesk_readers;
"""
"""What the notes could confirm; `expected_volume`, `volume` and `site` are columns that no model maps."""

TABLES = (
    "users", "companies", "contacts", "lead_statuses", "lead_origins", "master_deals", "tags", "leads", "lead_contacts",
    "lead_tags", "lead_activity_stats", "user_roles", "google_drive_folders",
)  # fmt: skip

USERS = 12
STATUSES = ("NEW", "CONTACTED", "PROPOSAL", "QUALIFIED", "LOST")
ORIGINS = ("WEBSITE", "REFERRAL", "COLD_CALL", "EVENT", "PARTNER")
TAGS = words("vip urgent solar roofing windows kitchen garden renewal")
ROLES = ("admin", "manager", "sales")
SUFFIXES = ("Holdings", "& Co", "Properties", "Homes", "Realty", "Builders", "Group", "Estates")
TITLES = ("Owner", "CEO", "Manager", "Partner", "", "Buyer")

Row = dict[str, Any]


def pipedesk_id(population: Population, of: str, number: int) -> str:
    """The id of the n-th contact, lead and so on."""
    return str(UUID(bytes=population.random_bytes(f"pipedesk {of}", number)[:16], version=4))


class Rows:
    """The rows of every table in the order in which they refer to each other; `now` is when the newest was written."""

    def __init__(self, population: Population, contacts: int, now: datetime) -> None:
        self.population, self.people, self.now = population, contacts, now
        self._journeys = Journeys(population, contacts, int(now.timestamp() * 1000))

    def id(self, of: str, number: int) -> str:
        return pipedesk_id(self.population, of, number)

    def at(self, number: int, of: int) -> datetime:
        """A time in the last two years; the higher the number the later."""
        return self.now - timedelta(days=730) * (1 - number / (of + 1)) - timedelta(microseconds=number % 1_000_003)

    def _stage(self, person: int) -> datetime:
        ms = self._journeys.after(person, journey.LEAD)
        return datetime.fromtimestamp(ms / 1000, self.now.tzinfo) + timedelta(microseconds=person % 997)

    def tables(self) -> Iterator[tuple[str, Iterator[Row]]]:
        for table in TABLES:
            yield table, getattr(self, table)()

    def users(self) -> Iterator[Row]:
        for n in range(USERS):
            person = self.population.employee(n + 1)
            yield {"id": self.id("user", n), "name": person.name, "email": f"rep{n}@pipedesk.example.com"}

    @property
    def _companies(self) -> int:
        return self.people // 10 + 3

    def companies(self) -> Iterator[Row]:
        for n in range(self._companies):
            at = self.at(n, self._companies)
            yield {
                "id": self.id("company", n),
                "name": f"{self.population.person(n + 1).last_name} {SUFFIXES[n % 8]}",
                "cnpj": f"{n:08d}000100" if n % 3 else None,
                "site": None,
                "created_at": at,
                "updated_at": at if n % 13 else None,
                "deleted_at": self.now if n % 29 == 28 else None,
            }

    def contacts_of(self, lead: int) -> list[int]:
        """The contacts of a lead, the primary one first; every seventh lead has none that is flagged."""
        return [lead, lead + 1] if lead % 5 == 0 and lead < self.people else [lead]

    def contacts(self) -> Iterator[Row]:
        for n in range(1, self.people + 1):
            person = self.population.person(n).told("pipedesk")
            yield {
                "id": self.id("contact", n),
                "company_id": self.id("company", n % self._companies) if n % 4 == 0 else None,
                "name": (person.name, f"{person.nickname} {person.last_name}", person.name.upper())[
                    person.random_bytes[21] % 3
                ],
                "email": person.email if person.random_bytes[22] % 8 else None,
                "phone": spell_phone(person.phone, person.random_bytes[23]) if person.random_bytes[23] % 9 else None,
                "role": TITLES[n % 6] or None,
                "created_at": self._stage(n),
                "updated_at": self._stage(n),
            }

    def _words(self, of: str, codes: tuple[str, ...]) -> Iterator[Row]:
        for n, code in enumerate(codes):
            yield {
                "id": self.id(of, n), "code": code, "label": code.replace("_", " ").title(),
                "description": f"{code.lower()}, as agreed", "is_active": n != 4, "sort_order": n,
                "created_at": self.at(0, 1),
            }  # fmt: skip

    def lead_statuses(self) -> Iterator[Row]:
        return self._words("status", STATUSES)

    def lead_origins(self) -> Iterator[Row]:
        return self._words("origin", ORIGINS)

    def master_deals(self) -> Iterator[Row]:
        for n in range(self.people // 20 + 3):
            company = n % self._companies
            yield {
                "id": self.id("deal", n),
                "client_name": f"{self.population.person(company + 1).last_name} {SUFFIXES[company % 8]}",
                "company_id": self.id("company", company),
                "volume": f"{n * 1000 + 0.1:.4f}",
                "created_at": self.at(n, self.people),
                "updated_at": self.at(n, self.people),
            }

    def tags(self) -> Iterator[Row]:
        for n, name in enumerate(TAGS):
            yield {"id": self.id("tag", n), "name": name, "color": f"#{n * 1_973_790:06x}" if n else None}

    def leads(self) -> Iterator[Row]:
        for n in range(1, self.people + 1):
            person = self.population.person(n)
            at = self._stage(n)
            won, lost = n % 11 == 0, n % 17 == 0 and n % 11
            deal = n % (self.people // 20 + 3)
            yield {
                "id": self.id("lead", n),
                "legal_name": f"{person.last_name} {SUFFIXES[n % 8]}" if n % 3 else person.name,
                "trade_name": person.caller_name if n % 4 else None,
                "lead_status_id": self.id("status", 3 if won else 4 if lost else n % 3),
                "lead_origin_id": self.id("origin", n % 5) if n % 7 else None,
                "owner_user_id": self.id("user", n % USERS),
                "qualified_company_id": self.id("company", n % self._companies) if won else None,
                "qualified_master_deal_id": self.id("deal", deal) if won else None,
                "address_city": person.place.city,
                "address_state": "OH",
                "last_interaction_at": at,
                "priority_score": person.random_bytes[24] % 101,
                "disqualified_at": at if lost else None,
                "disqualification_reason": "no budget" if lost else None,
                "qualified_at": at if won else None,
                "deleted_at": at if won or n % 37 == 36 else None,
                "created_at": at,
                "updated_at": at if n % 13 else None,
                "expected_volume": f"{person.random_bytes[25] * 1000}.1234567890123456789",
            }

    def lead_contacts(self) -> Iterator[Row]:
        for n in range(1, self.people + 1):
            for place, contact in enumerate(self.contacts_of(n)):
                yield {
                    "lead_id": self.id("lead", n), "contact_id": self.id("contact", contact),
                    "is_primary": not place and n % 7 != 0, "added_at": self._stage(n),
                }  # fmt: skip

    def lead_tags(self) -> Iterator[Row]:
        for n in range(1, self.people + 1):
            for tag in range(self.population.person(n).random_bytes[26] % 3):
                yield {"lead_id": self.id("lead", n), "tag_id": self.id("tag", (n + tag) % len(TAGS))}

    def lead_activity_stats(self) -> Iterator[Row]:
        for n in range(1, self.people + 1):
            if n % 5 == 4:
                continue
            at = self._stage(n)
            yield {
                "lead_id": self.id("lead", n), "engagement_score": n % 100, "last_interaction_at": at,
                "last_email_at": at if n % 2 else None, "last_event_at": None, "total_emails": n % 9,
                "total_events": n % 4, "total_interactions": n % 9 + n % 4, "created_at": at, "updated_at": at,
            }  # fmt: skip

    def google_drive_folders(self) -> Iterator[Row]:
        """The folders that Drive has, each of the lead of its number; number 0 is no lead's and a company's."""
        for n in range(folder_count(self.people)):
            yield {
                "id": n + 1, "entity_id": self.id("lead", n) if n else self.id("company", 0),
                "entity_type": "lead" if n else "company", "folder_id": folder_id(n),
                "folder_url": f"https://drive.google.com/drive/folders/{folder_id(n)}",
                "created_at": self._stage(n), "deleted_at": None, "deleted_by": None, "delete_reason": None,
            }  # fmt: skip

    def user_roles(self) -> Iterator[Row]:
        for n in range(USERS):
            yield {"id": n + 1, "user_id": self.id("user", n), "role": ROLES[min(n, 2)]}
