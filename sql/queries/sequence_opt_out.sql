-- Puts the person of a lead on the do-not-call list for channels, whichever of its leads the message was for.
--
-- lead, channels
SELECT crm.add_person_to_dnc_list(%(lead)s, %(channels)s::text[], 'opt_out', 'the link in a message')
