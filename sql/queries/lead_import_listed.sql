-- Which of these phone numbers and e-mail addresses are on the do-not-call list, for any channel.
--
-- organization_id, phones, emails
SELECT p AS listed FROM unnest(%(phones)s::text[]) AS p WHERE crm.is_on_dnc_list(p, %(organization_id)s)
UNION ALL
SELECT e FROM unnest(%(emails)s::text[]) AS e WHERE crm.is_address_listed(e, %(organization_id)s, NULL)
