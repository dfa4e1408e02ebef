"""Train the weights of identity with Splink, and judge all pairs a second time in DuckDB: the extra ``identity``.

    train(session) -> Weights       a new version of identity.weight, made the current one
    judge(session) -> Judgement     whether the people of the second lane are those of identity.member

The second lane shares the records, the verdict on a combination of levels and ``cluster``. Pairs and levels are its
own, as SQL in DuckDB, so a mistake of the resolver's SQL, or of what it keeps from run to run, shows as a difference.

Decided:

- What occurs too seldom to be learnt, or is no evidence of the kind (an id, a business), keeps the bits that come with
  the package. So does what nobody should be able to train away: a level that speaks against two records being one
  person never has more than 0 bits, one that speaks for it never fewer.
- One level never counts more than ``MOST``: with values that nobody shares by chance, Splink is sure of anything.
- The thresholds come with the package too, as the odds of any two records depend on how many there are.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from warehouse_pipelines.unified.identity import candidates, cluster, compare, likeness, names, partition, weights
from warehouse_pipelines.unified.identity.candidates import CAP, Population
from warehouse_pipelines.unified.identity.cluster import Called, Clusters
from warehouse_pipelines.unified.identity.compare import Levels
from warehouse_pipelines.unified.identity.normalise import gmail_box, telling
from warehouse_pipelines.unified.identity.splink_lane import Compared, Lane, Trained
from warehouse_pipelines.unified.identity.weights import DEFAULT, Weights

if TYPE_CHECKING:
    import pyarrow as pa

    from warehouse_pipelines.warehouse import Session

log = logging.getLogger("warehouse")

MOST = 16.0
"""Bits of one level, for or against."""

ENOUGH = 2_000
"""Records from which training is worth anything."""

_APART = "\x1f"

MACROS = (
    f"""typo(a, b) AS least(length(a), length(b)) >= 3 AND (
        damerau_levenshtein(a, b) <= CASE WHEN least(length(a), length(b)) >= 7 THEN 2 ELSE 1 END
        OR round(jaro_winkler_similarity(a, b), 6) >= {likeness.LIKE})""",
    """one_edit(a, b) AS least(length(a), length(b)) > 3 AND abs(length(a) - length(b)) <= 1
        AND damerau_levenshtein(a, b) <= 1""",
    """is_digit(a) AS a BETWEEN '0' AND '9' AND length(a) = 1""",
    """email_alike(a, b) AS CASE
        WHEN split_part(a, '@', 1) = split_part(b, '@', 1) THEN length(split_part(a, '@', 1)) > 3
        WHEN substr(a, strpos(a, '@')) <> substr(b, strpos(b, '@')) THEN false
        WHEN is_digit(right(split_part(a, '@', 1), 1)) <> is_digit(right(split_part(b, '@', 1), 1)) THEN false
        ELSE one_edit(split_part(a, '@', 1), split_part(b, '@', 1)) END""",
    "phone_alike(a, b) AS length(a) = length(b) AND damerau_levenshtein(a, b) <= 1",
    "emails_alike(a, b) AS len(list_filter(a, lambda x: len(list_filter(b, lambda y: email_alike(x, y))) > 0)) > 0",
    "phones_alike(a, b) AS len(list_filter(a, lambda x: len(list_filter(b, lambda y: phone_alike(x, y))) > 0)) > 0",
    "street_name(a) AS CASE WHEN strpos(a, ' ') > 0 THEN substr(a, strpos(a, ' ') + 1) ELSE '' END",
    """street_alike(a, b) AS split_part(a, ' ', 1) = split_part(b, ' ', 1) AND street_name(a) <> ''
        AND street_name(b) <> '' AND typo(street_name(a), street_name(b))""",
    "close(a) AS replace(a, ' ', '')",
    "business_alike(a, b) AS close(a) = close(b) OR typo(close(a), close(b))",
    "within(a, b) AS len(a) > 0 AND len(b) > 0 AND (list_has_all(a, b) OR list_has_all(b, a))",
    "same_name(a, b) AS a.name = b.name",
    """surname_level(a, b) AS CASE
        WHEN a.name = b.name OR a.close = b.close THEN 'equal'
        WHEN typo(a.close, b.close) THEN 'alike'
        WHEN within(a.words, b.words) THEN 'part'
        ELSE 'different' END""",
    """known_level(a, b) AS CASE
        WHEN a.name = b.name OR a.close = b.close THEN 'equal'
        WHEN length(a.name) = 1 OR length(b.name) = 1
            THEN CASE WHEN a.name[1] = b.name[1] THEN 'initial' ELSE 'different' END
        WHEN list_contains(b.long, a.name) OR list_contains(a.long, b.name) OR within(a.long, b.long) THEN 'nickname'
        WHEN least(length(a.name), length(b.name)) >= 3 AND a.spelling = b.spelling THEN 'alike'
        WHEN a.known AND b.known THEN 'different'
        WHEN least(length(a.name), length(b.name)) >= 4 AND damerau_levenshtein(a.name, b.name)
            <= CASE WHEN least(length(a.name), length(b.name)) >= 8 THEN 2 ELSE 1 END THEN 'alike'
        ELSE 'different' END""",
    """misspelt(a, b) AS NOT a.known AND len(list_filter(list_append(b.long, b.name), lambda x:
        least(length(a.name), length(x)) >= 3 AND damerau_levenshtein(a.name, x) <= 1)) > 0""",
    """given_level(a, b) AS CASE
        WHEN known_level(a, b) <> 'different' THEN known_level(a, b)
        WHEN length(a.name) = 1 OR length(b.name) = 1 THEN 'different'
        WHEN strpos(a.name, ' ') > 0 OR strpos(b.name, ' ') > 0 THEN
            CASE WHEN length(split_part(a.name, ' ', 1)) > 1 AND split_part(a.name, ' ', 1) = split_part(b.name, ' ', 1)
                THEN 'nickname' ELSE 'different' END
        WHEN misspelt(a, b) OR misspelt(b, a) THEN 'alike'
        ELSE 'different' END""",
    """turned(first, last, other_first, other_last) AS CASE surname_level(last, other_first)
        WHEN 'equal' THEN given_level(first, other_last) IN ('equal', 'nickname', 'alike')
        WHEN 'alike' THEN given_level(first, other_last) = 'equal'
        ELSE false END""",
    """swapped(first, last, other_first, other_last) AS CASE
        WHEN first IS NULL OR last IS NULL OR other_first IS NULL OR other_last IS NULL THEN false
        WHEN NOT turned(first, last, other_first, other_last) AND NOT turned(other_first, other_last, first, last)
            THEN false
        ELSE given_level(first, other_first) = 'different' AND surname_level(last, other_last) = 'different' END""",
)
"""What ``likeness`` and ``names`` say of two texts, as SQL; of names, of what ``_of_names`` knows of each."""

_NAMES_SWAPPED = "swapped(given_l, surname_l, given_r, surname_r)"
_MIDDLE_FITS = (
    "CASE WHEN least(length(middle_name_l), length(middle_name_r)) = 1 THEN middle_name_l[1] = middle_name_r[1]"
    " ELSE middle_name_l = middle_name_r OR typo(middle_name_l, middle_name_r) END"
)
_SAME_PLACE = (
    "(CASE WHEN zip_l IS NOT NULL AND zip_r IS NOT NULL THEN zip_l = zip_r ELSE coalesce(city_l = city_r, false) END)"
)
_ONE_UNIT = "(unit_l IS NULL OR unit_r IS NULL OR unit_l = unit_r)"
_NO_STREET = "(street_l IS NULL OR street_r IS NULL)"
_STREETS_ALIKE = "(street_l <> street_r AND street_alike(street_l, street_r))"
_NO_PERSON = "(given_{0} IS NULL AND surname_{0} IS NULL)"
_FIRM_AND_PERSON = (
    f"((business_l IS NOT NULL AND {_NO_PERSON.format('l')} AND NOT {_NO_PERSON.format('r')})"
    f" OR (business_r IS NOT NULL AND {_NO_PERSON.format('r')} AND NOT {_NO_PERSON.format('l')}))"
)

_ONE_MAILBOX = (
    "(list_has_any(mailbox_list_l, mailbox_list_r) AND given_level(given_l, given_r) IN ('equal', 'nickname')"
    " AND surname_level(surname_l, surname_r) = 'equal' AND suffix_l IS NOT DISTINCT FROM suffix_r"
    " AND (len(phone_list_l) = 0 OR len(phone_list_r) = 0 OR list_has_any(phone_list_l, phone_list_r)"
    " OR phones_alike(phone_list_l, phone_list_r)))"
)

COMPARISONS = (
    Compared(
        "first",
        "given_l IS NULL OR given_r IS NULL",
        (
            ("equal", "same_name(given_l, given_r)"),
            ("swapped", _NAMES_SWAPPED),
            *((level, f"given_level(given_l, given_r) = '{level}'") for level in ("different", "nickname", "alike")),
            ("initial", "given_level(given_l, given_r) = 'initial'"),
        ),
        rest="spelt",
    ),
    Compared(
        "last",
        "surname_l IS NULL OR surname_r IS NULL",
        (
            ("equal", "same_name(surname_l, surname_r)"),
            ("swapped", _NAMES_SWAPPED),
            *((level, f"surname_level(surname_l, surname_r) = '{level}'") for level in ("different", "part", "alike")),
        ),
        rest="spelt",
    ),
    Compared(
        "middle",
        "middle_name_l IS NULL OR middle_name_r IS NULL",
        (("equal", _MIDDLE_FITS),),
    ),
    Compared(
        "suffix",
        "suffix_l IS NULL AND suffix_r IS NULL",
        (("equal", "suffix_l = suffix_r"), ("one", "suffix_l IS NULL OR suffix_r IS NULL")),
    ),
    Compared(
        "email",
        "len(email_list_l) = 0 OR len(email_list_r) = 0",
        (
            ("equal", "list_has_any(email_list_l, email_list_r)"),
            ("mailbox", _ONE_MAILBOX),
            ("alike", "emails_alike(email_list_l, email_list_r)"),
        ),
    ),
    Compared(
        "phone",
        "len(phone_list_l) = 0 OR len(phone_list_r) = 0",
        (
            ("equal", "list_has_any(phone_list_l, phone_list_r)"),
            ("alike", "phones_alike(phone_list_l, phone_list_r)"),
        ),
    ),
    Compared(
        "address",
        f"{_NO_STREET} AND (zip_l IS NULL OR zip_r IS NULL)",
        (
            ("zip_only", f"{_NO_STREET} AND zip_l = zip_r"),
            ("elsewhere", f"{_NO_STREET} OR NOT {_SAME_PLACE}"),
            ("equal", "street_l = street_r AND unit_l IS NOT DISTINCT FROM unit_r"),
            ("unit", "street_l = street_r AND unit_l IS NOT NULL AND unit_r IS NOT NULL"),
            ("house", "street_l = street_r"),
            ("alike", f"{_ONE_UNIT} AND {_STREETS_ALIKE}"),
            ("other_unit", _STREETS_ALIKE),
        ),
        rest="zip",
    ),
    Compared("ids", "false", (("equal", "list_has_any(id_list_l, id_list_r)"),), rest="missing"),
    Compared(
        "business",
        f"NOT {_FIRM_AND_PERSON} AND (business_l IS NULL OR business_r IS NULL)",
        (
            ("apart", _FIRM_AND_PERSON),
            ("equal", "business_l = business_r"),
            ("alike", "business_alike(business_l, business_r)"),
        ),
    ),
)
"""The comparisons of ``compare.levels``, in its order, as SQL."""

SAME_LEVEL: Mapping[str, str] = {
    "spelt": "equal", "zip_only": "zip", "elsewhere": "different", "other_unit": "unit",
    "mailbox": "equal",
}  # fmt: skip
"""Levels that SQL reaches by two ways, and what ``compare`` calls them."""

LEARNT = ("first", "last", "middle", "email", "phone", "address")
_SURE = (
    'l."email_1" = r."email_1" AND l."first_name" = r."first_name"',
    'l."phone_1" = r."phone_1" AND l."first_name" = r."first_name"',
)
_BY = ('l."phone_1" = r."phone_1"', 'l."email_1" = r."email_1"', 'l."last_name" = r."last_name" AND l."zip" = r."zip"')


@dataclass(frozen=True)
class Judgement:
    """What the second lane found. ``differences`` are the first hundred groups, by names, that one lane alone has."""

    pairs: int = 0
    edges: int = 0
    persons: int = 0
    differing: int = 0
    differences: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether both lanes made the same people."""
        return not self.differing


def train(session: "Session") -> Weights:
    """Train weights of the records, write them as a new version, and return it; too few records leave the current one.

    Raises NotConfigured where the extra ``identity`` is not installed.
    """
    with session.transaction():
        current, population = weights.current(session), candidates.read(session)
    if len(population.ids) < ENOUGH:
        log.info("%s records are too few to train weights of: version %s stays", len(population.ids), current.version)
        return current
    bits = merged(trained(lane(population, [None] * len(population.ids))))
    return weights.add(session, bits, DEFAULT.same_bits, DEFAULT.review_bits, "splink")


def trained(one: Lane) -> Trained:
    """Return what Splink learns of the records of a lane, without labels."""
    return one.train(_SURE, _BY)


def merged(learnt: Trained) -> dict[str, dict[str, float]]:
    """Return the bits of all levels: those that were learnt, within bounds, and else those of the package."""
    found = {}
    for name, own in DEFAULT.bits.items():
        told = learnt.bits.get(name, {}) if name in LEARNT else {}
        found[name] = {level: _bounded(told[level], bits) if level in told else bits for level, bits in own.items()}
    return found


def _bounded(bits: float, own: float) -> float:
    if own == 0.0:
        return 0.0
    return round(min(max(bits, 0.0), MOST) if own > 0 else max(min(bits, 0.0), -MOST), 3)


def judge(session: "Session") -> Judgement:
    """Make people of all records in the second lane, with the current weights, and compare them with the first's.

    Raises NotConfigured where the extra ``identity`` is not installed.
    """
    with session.transaction():
        current, population = weights.current(session), candidates.read(session)
    decided = partition.decisions_of(session, population)
    pairs, edges, made = people(population, _keys(session, population), current, decided.same, decided.apart)
    members: dict[Any, list[int]] = {}
    for row in session.execute("SELECT record_id, person_id FROM identity.member"):
        members.setdefault(row["person_id"], []).append(population.numbers[row["record_id"]])
    ours = {tuple(sorted(group)) for group in members.values()}
    theirs = {tuple(sorted(group)) for group in made.groups}
    differences = [
        (side, [population.records[number].name for number in group])
        for side, groups in (("resolver", ours - theirs), ("rebuild", theirs - ours))
        for group in sorted(groups)[:50]
    ]
    return Judgement(pairs, edges, len(theirs), len(ours ^ theirs), differences)


def people(
    population: Population,
    keys: Sequence[str | None],
    current: Weights,
    same: Sequence[tuple[int, int]] = (),
    apart: Sequence[tuple[int, int]] = (),
) -> tuple[int, int, Clusters[int]]:
    """Return how many pairs and edges the second lane finds, and the people that it makes. ``keys`` are in order."""
    table = lane(population, keys).compared()
    edges = list(_edges(table, current))
    who = {number: Called.of(record) for number, record in enumerate(population.records)}
    return table.num_rows, len(edges), cluster.clusters(who, edges, same, apart)


def _edges(table: "pa.Table", current: Weights) -> Iterator[tuple[float, int, int]]:
    """Yield the edges that make people: each combination of levels is judged once."""
    verdicts: dict[tuple[int, ...], float | None] = {}
    for batch in table.to_batches(max_chunksize=1 << 16):
        for a, b, *gammas in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            combination = tuple(gammas)
            if combination not in verdicts:
                verdict = compare.judge(levels_of(combination), current)
                verdicts[combination] = verdict.score if verdict.relation == "person" else None
            score = verdicts[combination]
            if score is not None:
                yield score, a, b


def levels_of(gammas: Sequence[int]) -> Levels:
    """Return the levels that the numbers of the comparisons mean."""
    found = (one.of(gamma) for one, gamma in zip(COMPARISONS, gammas, strict=True))
    return Levels(*(SAME_LEVEL.get(level, level) for level in found))


def _keys(session: "Session", population: Population) -> list[str | None]:
    """Return the block keys of each record in one text."""
    keys: list[str | None] = [None] * len(population.ids)
    statement = (
        "SELECT concat_ws(chr(31), record_id, array_to_string(ARRAY("
        "SELECT k FROM unnest(block_keys) AS k WHERE left(k, 2) <> 'o:'), chr(31)))"
        " FROM identity.record WHERE kind <> 'touch'"
    )
    with session.transaction():
        for text in candidates.texts(session, statement):
            record_id, _, some = text.partition(_APART)
            keys[population.numbers[int(record_id)]] = some or None
    return keys


def lane(population: Population, keys: Sequence[str | None], cap: int | None = CAP) -> Lane:
    """Return the second lane of records, which are numbered in their order; ``keys`` as ``_keys`` returns them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text, texts = pa.string(), pa.list_(pa.string())
    records = population.records
    columns: dict[str, Any] = {
        "record_id": pa.array(range(len(records)), pa.int64()),
        "keys": pc.split_pattern(pa.array(keys, text), _APART),
        # The key that others have who point at the record.
        "own_key": pa.array([f"i:{record.ids[0]}" if record.ids else None for record in records], text),
    }
    for name in ("first_name", "middle_name", "last_name", "suffix", "business", "street", "unit", "city", "zip"):
        columns[name] = pa.array([getattr(record, name) for record in records], text)
    for name, of in (("email", "emails"), ("phone", "phones")):
        lists = [telling(record.emails) if of == "emails" else record.phones for record in records]
        columns[f"{name}_list"] = pa.array(lists, texts)
        columns[f"{name}_1"] = pa.array([next(iter(one), None) for one in lists], text)
    columns["mailbox_list"] = pa.array(
        [[box for one in telling(record.emails) if (box := gmail_box(one))] for record in records], texts
    )
    columns["id_list"] = pa.array([record.ids for record in records], texts)
    known = {name for record in records for name in (record.first_name, record.last_name) if name}
    return Lane(
        pa.table(columns),
        COMPARISONS,
        more={"known": _of_names(sorted(known))},
        prepared="SELECT g.*, f.known AS given, s.known AS surname FROM given AS g"
        " LEFT JOIN known AS f ON f.name = g.first_name LEFT JOIN known AS s ON s.name = g.last_name",
        macros=MACROS,
        cap=cap,
    )


def _of_names(known: Sequence[str]) -> "pa.Table":
    """Return what the functions of names have to know of each, in a column of structs."""
    import pyarrow as pa

    kind = pa.struct(
        {
            "name": pa.string(),
            "close": pa.string(),
            "words": pa.list_(pa.string()),
            "long": pa.list_(pa.string()),
            "known": pa.bool_(),
            "spelling": pa.string(),
        }
    )
    given = names.known_given()
    facts = [
        {
            "name": name,
            "close": name.replace(" ", ""),
            "words": sorted({word for word in name.replace("-", " ").split() if len(word) >= 3}),
            "long": sorted(names.long_forms(name)),
            "known": name in given,
            "spelling": names.spelling(name),
        }
        for name in known
    ]
    return pa.table({"name": pa.array(known, pa.string()), "known": pa.array(facts, kind)})
