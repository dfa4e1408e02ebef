DELETE FROM marts.position WHERE mart IN ('call_performance', 'call_conversion');
DELETE FROM marts.touched_person WHERE mart = 'call_conversion';
DROP TABLE marts.call_conversion, marts.touched_month;
