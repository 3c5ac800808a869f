"""A crowd: as many open tickets, sites and technicians as a large company has, made by SQL."""

from runtime.postgres.pool import Connection

REGIONS = ("CA", "TX", "NV", "OR", "WA", "AZ", "NY", "FL")
INCIDENTS = ("DOOR_WONT_LATCH", "AUTO_OPERATOR_FAULT", "HARDWARE_REPLACEMENT", "CLOSER_LEAKING")

ACCOUNTS = """
INSERT INTO accounts (id, name) SELECT gen_random_uuid(), 'Account ' || n
  FROM generate_series(1, $1) n
"""
SITES = """
INSERT INTO sites (account_id, name, address1, city, region)
SELECT a.id, 'Site ' || n, n || ' Street', 'City ' || n % 50, ($2::text[])[1 + n % 8]
  FROM generate_series(1, $1) n
  JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS total FROM accounts) a
    ON a.r = 1 + n % a.total
"""
TECHNICIANS = """
WITH made AS (
    INSERT INTO technicians (id, name, home_region)
    SELECT gen_random_uuid(), 'Technician ' || n, ($2::text[])[1 + n % 8]
      FROM generate_series(1, $1) n RETURNING id, home_region, name
), skills AS (
    INSERT INTO technician_skills (technician_id, skill)
    SELECT id, CASE WHEN name LIKE '%7' THEN 'ROOFING' ELSE 'DEFAULT' END FROM made
), regions AS (
    INSERT INTO technician_regions (technician_id, region) SELECT id, home_region FROM made
)
INSERT INTO technician_availability (technician_id, weekday, start_time, end_time)
SELECT id, weekday, '08:00', '17:00' FROM made, generate_series(0, 6) weekday
"""
# The clocks spread over the targets, so that breach, warning and healthy all hold many.
TICKETS = """
INSERT INTO tickets (account_id, site_id, state, priority, incident_type, summary,
                     assigned_tech_id, created_at, scheduled_start, scheduled_end)
SELECT s.account_id, s.id, states.label::ticket_state,
       (ARRAY['EMERGENCY', 'URGENT', 'ROUTINE', 'ROUTINE'])[1 + n % 4]::priority_level,
       ($2::text[])[1 + n % 4], 'Door ' || n,
       CASE WHEN n % 3 = 0 THEN t.id END, made.at,
       CASE WHEN n % 2 = 0 THEN made.at END, CASE WHEN n % 2 = 0 THEN made.at + '2 h' END
  FROM generate_series(1, $1) n
  CROSS JOIN LATERAL (SELECT date_trunc('milliseconds',
                             now() - (n * 7919 % 2880) * interval '1 minute'
                                   - (n % 60) * interval '1 second') AS at) made
  JOIN (SELECT id, account_id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS total
          FROM sites) s ON s.r = 1 + (n * 31) % s.total
  JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r, count(*) OVER () AS total
          FROM technicians) t ON t.r = 1 + (n * 17) % t.total
  JOIN (SELECT label, row_number() OVER (ORDER BY label) AS r, count(*) OVER () AS total
          FROM unnest(enum_range(NULL::ticket_state)::text[]) label
         WHERE label NOT IN ('CLOSED', 'CANCELLED')) states ON states.r = 1 + n % states.total
"""
TABLES = "tickets, ticket_queue, sites, technicians, technician_skills, technician_availability"


async def seed_crowd(owner: Connection, tickets: int, technicians: int) -> None:
    """Insert a crowd as the owner of the schema, and let Postgres learn what it looks like."""
    await owner.execute(ACCOUNTS, max(1, tickets // 500))
    await owner.execute(SITES, max(8, tickets // 50), list(REGIONS))
    await owner.execute(TECHNICIANS, technicians, list(REGIONS))
    await owner.execute(TICKETS, tickets, list(INCIDENTS))
    await owner.execute(f"VACUUM ANALYZE {TABLES}")
