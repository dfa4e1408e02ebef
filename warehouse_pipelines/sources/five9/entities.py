"""The table of Five9. ``fetch`` says how it is read."""

from datetime import timedelta

from warehouse_pipelines.model.cadence import Cadence
from warehouse_pipelines.model.entity import Entity, columns

CONTACTS = Entity(
    name="contacts",
    table="five9_contact",
    about="The contacts of the call center and what their last call came to; all fields of the domain are kept.",
    path="getContactRecords",
    key="id",
    cadence=Cadence(every=timedelta(days=1)),
    custom="contact",
    index="email phone_e164 created_date",
    # 20,000 contacts cost some 300 lookups and 100,000 some 850, of a quota that the domain's other programs share.
    columns=columns(
        id="id",
        text="""
            first_name=contact.first_name last_name=contact.last_name company=contact.company street=contact.street
            city=contact.city state=contact.state zip=contact.zip division=mapped.division status=mapped.status
            sys_last_agent=mapped.sys_last_agent sys_last_disposition=mapped.sys_last_disposition
            last_campaign=mapped.last_campaign last_list=mapped.last_list
        """,
        email="email=mapped.email",
        phone="phone=contact.number1 number2=contact.number2 number3=contact.number3",
        integer="attempts=mapped.attempts",
        timestamptz="""
            created_date=mapped.created_date last_modified_date=mapped.last_modified_date
            sys_last_disposition_time=mapped.sys_last_disposition_time
        """,
    ),
)
