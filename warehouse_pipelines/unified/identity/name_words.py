"""Words that tell names: what stands before and after one, what is none, what makes a business; the same of e-mail."""

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(" ".join(phrase.split()) for phrase in text.split("|"))


SUFFIXES: Mapping[str, str] = {
    "jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "ii": "ii", "iii": "iii", "iv": "iv",
    "2nd": "ii", "3rd": "iii", "4th": "iv",
}  # fmt: skip

LETTERS_AFTER = _words("md phd dds dmd esq cpa dvm rn jd mba pe ret usn usaf usmc")
TITLES = _words("mr mrs ms miss mx dr rev reverend prof sir madam pastor father fr hon judge capt sgt lt col maj")
PARTICLES = _words("""
    van von der den de del della di da do dos das du la le los las el al bin ibn ben st saint ter ten mc mac san santa
    """)
STATES = _words("""
    al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa
    ri sc sd tn tx ut vt va wa wv wi wy dc
    """)

NOBODY = _phrases("""
    unknown|unknown name|unknown caller|name unknown|unavailable|not available|unlisted|anonymous|private|private caller
    |private number|restricted|blocked|no name|noname|no name given|not given|not provided|na|n a|none|null|nil|nan
    |undefined|tbd|tba|test|tester|testing|test test|test lead|test testing|homeowner|home owner|owner|property owner
    |current owner|resident|current resident|occupant|current occupant|tenant|renter|customer|new customer|client|caller
    |wireless caller|wireless|wireless call|cell phone|cellular call|cell phone caller|mobile caller|toll free
    |toll free call|toll free caller|out of area|outofarea|voicemail|telemarketer|spam|spam risk|scam likely
    |potential spam|spam likely|robocall|telephone|phone|phone call|web lead|new lead|lead|website|web form|do not call
    |dnc|wrong number|first|last|first name|last name|firstname|lastname|first last|name|full name|your name|user|guest
    |visitor|asdf|asdf asdf|qwerty|abc|abc def|xyz|x|xx|xxx|xxxx|dummy|fake|fake name|sample|somebody|someone|nobody|sir
    |madam|sir madam|maam|mr|mrs|ms|mr mrs|spouse|husband|wife|self|hubspot|google|facebook user|facebook|sms
    |text message|sir or madam|not sure|refused|declined|deceased|incoming call
    """)
"""What stands in a name's field where nobody is named."""

NO_SURNAME = _words("""
    unknown none na null nil undefined nan test tester testing lastname surname homeowner noname xx xxx xxxx tbd tba
    resident occupant customer unavailable anonymous caller asdf refused declined lnu
    """)
NO_GIVEN = NOBODY | _phrases("fnu|the|family|att|attn|care of|estate of")

FIRMS = _words("""
    llc inc incorporated corp corporation ltd limited llp pllc plc gmbh company roofing construction contractor
    contractors contracting builders plumbing heating cooling electric electrical hvac remodeling restoration properties
    property realty realtors management mgmt holdings enterprises enterprise services service solutions associates
    university apartments condominiums condos hoa homeowners association insurance restaurant dental motors hospital
    clinic foundation ministries landscaping lawncare painting siding gutters windows systems industries investments
    rentals rental supply logistics trucking studios consulting agency bros exteriors interiors inspections remodelers
    handyman cleaning flooring carpentry exterminating elementary academy daycare township municipality government
    department dept marketing technologies development developers architects engineering equipment wholesale
    distributors partnership ventures franchise
    """)
"""Words that are in the name of a business wherever they stand."""

MAYBE_FIRMS = _words("""
    church bank law group trust estate estates auto school center centre store shop hotel motel inn salon lawn farm
    farms brothers sons daughters partners co pc shoppe temple chapel parish club garage bakery grill cafe pizza bar
    electricians painters design designs studio transport international mission county city homes home house office
    medical health care security solar energy roof roofs lodge nursery
    """)
"""Words that are surnames as well, and make a business only of what is no plain name."""

MORE_GIVEN = _words("""
    ana maria james mary john linda susan karen lisa nancy mark paul brian kevin jason jeffrey ryan gary eric justin
    scott brandon adam nathan kyle sean carl keith jesse jordan dylan bryan noah ethan emma olivia ava sophia mia zoe
    jose juan carlos luis jorge miguel pedro angel amy laura ashley michelle melissa nicole heather megan hannah grace
    julia diana denise tina tara erin amber crystal tiffany naomi miriam ruth walter henry rosalind beatrice joan anne
    marie sara sarah steven stephen jacob tyler austin logan mason evelyn rachel rebecca janet joyce diane alice gloria
    """)
"""Given names that the table of nicknames lacks."""

NO_NICKNAMES = frozenset(
    frozenset(pair.split("-"))
    for pair in _words("""
    robert-bill robert-billy bill-bob aaron-erin patrick-peter derrick-eric derek-eric john-ian ivan-john moses-amos
    susan-hannah joanna-hannah virginia-jane jane-jessie jessie-janet jane-jean mary-maureen kenneth-kendrick
    roger-bobby rodger-bobby june-junior louis-louise edwin-edwina edwina-edwin ernest-ernestine earnest-ernestine
    frederick-frederica emil-emily clement-clementine george-georgine alexander-alexandria william-wilma
    lawrence-laurinda anselm-selma gus-gwen jacob-james benjamin-jamie nancy-ann melchizedek-dick smith-smitty
    """)
)
"""Pairs of the table that are two people more often than one: another sex, or a name of its own in this country."""

NOBODYS_MAIL = _words("""
    noreply no-reply no_reply donotreply do-not-reply none na n-a noemail no-email nomail no.email unknown test null nil
    declined refused notprovided not-provided nobody noone fake asdf anonymous email mailer-daemon postmaster xxx abc no
    noemailgiven noemailprovided noaddress notavailable customer donthaveone a x example someone
    """)
"""What stands before the @ of an address that was typed because the form wanted one."""

NOBODYS_HOSTS = _words("none.com noemail.com noemail.net noemail.org nomail.com noreply.com notprovided.com na.com")
"""What stands behind the @ of such an address."""

OFFICES_MAIL = _words("""
    info sales office admin administrator contact support hello service services billing accounts accounting mail team
    help marketing manager management reception frontdesk webmaster hr jobs orders estimates leads customerservice
    maintenance
    """)
"""What stands before the @ of an address that many read."""
