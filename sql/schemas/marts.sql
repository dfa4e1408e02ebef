-- What the business asks, over all organizations: written by the feed, read by administrators.
COMMENT ON VIEW marts.unmapped_status IS
    'Status words of the sources that crm.status_mapping does not know. A row there takes them out of here.';
COMMENT ON COLUMN marts.unmapped_status.source IS 'As in crm.status_mapping.';
COMMENT ON COLUMN marts.unmapped_status.source_status IS 'The word.';
COMMENT ON COLUMN marts.unmapped_status.loaded_as IS 'The status that it was loaded as, which claims least.';
COMMENT ON COLUMN marts.unmapped_status.records IS 'How many records have it.';
COMMENT ON COLUMN marts.unmapped_status.first_seen_at IS 'When it was seen first.';
COMMENT ON COLUMN marts.unmapped_status.last_seen_at IS 'When it was seen last.';
COMMENT ON TABLE marts.dnc_conflicts IS
    'Who was called or written to by us although the number was listed for that channel.';
COMMENT ON COLUMN marts.dnc_conflicts.organization_id IS 'The organization of the list.';
COMMENT ON COLUMN marts.dnc_conflicts.channel IS 'call or sms.';
COMMENT ON COLUMN marts.dnc_conflicts.source_table IS 'The table of the call or message.';
COMMENT ON COLUMN marts.dnc_conflicts.source_key IS 'Its key.';
COMMENT ON COLUMN marts.dnc_conflicts.contacted_at IS 'When we called or wrote.';
COMMENT ON COLUMN marts.dnc_conflicts.phone IS 'The number, in E.164.';
COMMENT ON COLUMN marts.dnc_conflicts.lead_id IS 'The lead that the entry names.';
COMMENT ON COLUMN marts.dnc_conflicts.listed_at IS 'Since when it was listed, or the person wished it.';
COMMENT ON COLUMN marts.dnc_conflicts.reason IS 'Why it is listed, as in crm.dnc_list.';
COMMENT ON COLUMN marts.dnc_conflicts.evidence IS 'What the entry rests on.';
COMMENT ON COLUMN marts.dnc_conflicts.found_at IS 'When the feed found it.';
COMMENT ON TABLE marts.refused_costs IS 'Costs that were not loaded into crm.lead_source_costs, and why.';
COMMENT ON COLUMN marts.refused_costs.organization_id IS 'The organization that they are of.';
COMMENT ON COLUMN marts.refused_costs.source_table IS 'The table.';
COMMENT ON COLUMN marts.refused_costs.source_key IS 'The key of the row.';
COMMENT ON COLUMN marts.refused_costs.source IS 'The source of leads.';
COMMENT ON COLUMN marts.refused_costs.spent_on IS 'The day.';
COMMENT ON COLUMN marts.refused_costs.amount IS 'The amount as it was read, or written.';
COMMENT ON COLUMN marts.refused_costs.currency IS 'The currency, where it can be told.';
COMMENT ON COLUMN marts.refused_costs.reason IS 'Why it was refused.';
COMMENT ON COLUMN marts.refused_costs.found_at IS 'When it was refused first.';
COMMENT ON COLUMN marts.unmapped_lead_source.leads IS 'How many leads have it.';
COMMENT ON COLUMN marts.unmapped_lead_source.costs IS 'How many costs have it.';
COMMENT ON TABLE marts.sale IS
    'Sales in the real world, each once, whichever CRMs know of it, and whichever spouse each of them names (matched_by). Two records of one CRM are two sales: a second deal that was won in HubSpot and that no job belongs to is one of its own, and source_table says hubspot_deal.';
COMMENT ON COLUMN marts.sale.person_id IS
    'The customer, in identity.person, whom the leading record names; null where that is not known.';
COMMENT ON COLUMN marts.sale.cancelled_at IS
    'When it was called off by any of its CRMs: the day that Genius has, or for a job whose status means lost (crm.status_mapping) its last edit.';
COMMENT ON COLUMN marts.sale.matched_by IS
    'By what its records are known to be one sale; what is only near in time may be wrong. Records of one person: a visit that both name, or 45 days. Sales of two people of one household: a visit that both name, or 45 days and amounts that differ by at most a tenth.';
COMMENT ON COLUMN marts.activity_timeline.amount IS
    'The money that it is about, in US dollars. Of another currency what the source converts it to, else by crm.fx_rate, and null without a rate.';
COMMENT ON COLUMN marts.activity_timeline.refused_amount IS
    'An amount of a billion or more, which nobody can mean: it is not in amount and counts nowhere. answers.quality counts these.';
COMMENT ON COLUMN marts.rep_performance.close_rate IS
    'Sold by held; null where none was held, or so few are told that it would be a hundred.';
COMMENT ON COLUMN marts.zip_performance.win_rate IS
    'Sold by visits; null without visits, or where so few are told that it would be a hundred.';
COMMENT ON COLUMN marts.job_change_orders.changed_share IS
    'changed_amount by contract_amount; null without a contract, or where it would be a million.';
COMMENT ON COLUMN marts.follow_up_recommendations.codes IS
    'The reasons by name: missed_call, unanswered_request, appointment_soon, appointment_missed, appointment_called_off, new, open_estimate, quiet.';
COMMENT ON TABLE marts.call_conversion IS
    'The calls that led to an appointment, or to a sale without one, and what came of them.';
COMMENT ON COLUMN marts.call_conversion.appointments IS 'Appointments that were made after the call and before the next one.';
COMMENT ON COLUMN marts.call_conversion.jobs IS 'Sales that stand, of these appointments or after the call without one.';
COMMENT ON COLUMN marts.call_performance.jobs IS
    'Sales of the callers: each counts for the last call before its appointment, or before the sale without one.';
