-- Two prospects as the queries that are known to run against the vendor's database select them (columns, joins, and the
-- account that counts as HubSpot's). Types are those of the notes; names and numbers are invented.
CREATE TABLE third_party_source_type (id int PRIMARY KEY, label varchar(64));
CREATE TABLE third_party_source (id int PRIMARY KEY, third_party_source_type_id int, third_party_id varchar(64));
CREATE TABLE prospect (
    id int PRIMARY KEY, division_id int, user_id int, first_name varchar(64), last_name varchar(64),
    alt_first_name varchar(64), alt_last_name varchar(64), address1 varchar(128), address2 varchar(128),
    city varchar(64), county varchar(64), state char(2), zip varchar(10), year_built smallint, phone1 varchar(32),
    phone2 varchar(32), email varchar(128), notes text, add_user_id int, add_date datetime, marketsharp_id varchar(64),
    leap_customer_id varchar(64), third_party_source_id int, updated_at datetime
);
INSERT INTO third_party_source_type VALUES (1, 'hubspot'), (2, 'leap');
INSERT INTO third_party_source VALUES (501, 1, '151'), (502, 2, '999');
INSERT INTO prospect VALUES
    (71, 3, 12, 'Ana', 'Rivera', NULL, NULL, '12 Maple Ave', '', 'Dayton', 'Montgomery', 'OH', '45402', 1931,
     '(937) 234-5678', '', 'ana.rivera@example.test', NULL, 12, '2026-01-15 09:30:00', NULL, NULL, 501,
     '2026-07-15 09:30:00'),
    (72, 3, 12, 'Bob', 'Hollis', NULL, NULL, '9 Elm St', NULL, 'Dayton', 'Montgomery', 'OH', '45402', NULL,
     NULL, NULL, NULL, 'call first', 12, '2026-01-16 09:30:00', NULL, NULL, 502, NULL);
