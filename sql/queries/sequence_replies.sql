-- Whether a person called, wrote or filled a form since a time, as the timeline has it: its kind. Conversations by text are
-- asked for themselves, of each account, because one may be longer since the timeline was computed.
--
-- person, since; {inbound} is composed
SELECT a.kind FROM marts.activity_timeline AS a
WHERE a.person_id = %(person)s
    AND (a.occurred_at > %(since)s AND a.kind IN ('call', 'text', 'form', 'email') AND a.direction = 'inbound'
         OR a.kind = 'text' AND ({inbound}))
ORDER BY a.occurred_at LIMIT 1
