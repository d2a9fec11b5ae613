-- Invented people and places. Rows that are there already stay as they are, so that seeding again changes nothing.
INSERT INTO app.categories (id, name, description) VALUES
    (1, 'plumbing', 'Pipes, taps, drains and water heaters'),
    (2, 'electrical', 'Wiring, sockets, lamps and fuses'),
    (3, 'heating', 'Boilers, radiators and thermostats'),
    (4, 'locks', 'Doors, keys and intercoms'),
    (5, 'appliances', 'Ovens, washing machines and fridges'),
    (6, 'painting', 'Walls, ceilings and facades'),
    (7, 'garden', 'Lawns, trees and paths'),
    (8, 'lifts', 'Lifts and their doors')
ON CONFLICT DO NOTHING;

INSERT INTO app.technicians (id, name, email, skills, available)
SELECT n,
       (ARRAY['Ada', 'Bruno', 'Chiara', 'Dmitri', 'Elif', 'Farid', 'Grete', 'Hugo', 'Ines', 'Jonas'])[1 + n % 10]
           || ' ' || (ARRAY['Keller', 'Lindqvist', 'Moreau', 'Novak', 'Okafor', 'Petrov'])[1 + n % 6],
       'technician' || n || '@example.com',
       ARRAY[(ARRAY['plumbing', 'electrical', 'heating', 'locks'])[1 + n % 4],
             (ARRAY['appliances', 'painting', 'garden', 'lifts'])[1 + n % 4]],
       n % 3 <> 0
FROM generate_series(1, 24) AS n
ON CONFLICT DO NOTHING;

INSERT INTO app.properties (id, name, address, city, units)
SELECT n,
       (ARRAY['Linden Court', 'Harbour House', 'Mill Yard', 'Station Row', 'Orchard Gardens'])[1 + n % 5] || ' ' || n,
       n || ' ' || (ARRAY['High Street', 'Church Lane', 'Canal Road', 'Park Avenue'])[1 + n % 4],
       (ARRAY['Bristol', 'Leeds', 'Utrecht', 'Lyon', 'Graz'])[1 + n % 5],
       2 + n * 7 % 40
FROM generate_series(1, 60) AS n
ON CONFLICT DO NOTHING;

INSERT INTO app.maintenance_requests
    (id, property_id, category_id, technician_id, title, status, urgency, opened_at)
SELECT n,
       1 + n * 13 % 60,
       1 + n % 8,
       CASE WHEN n % 4 <> 0 THEN 1 + n % 24 END,
       (ARRAY['Tap drips', 'No hot water', 'Socket is dead', 'Door does not close', 'Lift stops between floors'])
           [1 + n % 5] || ' in unit ' || 1 + n % 12,
       (ARRAY['open', 'assigned', 'in_progress', 'done'])[1 + n % 4],
       n % 4,
       now() - n * interval '3 hours'
FROM generate_series(1, 200) AS n
ON CONFLICT DO NOTHING;

-- New rows get ids after the seed's.
SELECT setval(pg_get_serial_sequence('app.' || name, 'id'), 1000, true)
FROM unnest(ARRAY['categories', 'technicians', 'properties', 'maintenance_requests']) AS name
WHERE NOT EXISTS (
    SELECT FROM pg_sequences
    WHERE format('%I.%I', schemaname, sequencename) = pg_get_serial_sequence('app.' || name, 'id')
      AND last_value >= 1000
);
