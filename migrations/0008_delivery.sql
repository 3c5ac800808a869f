-- Delivery: who holds an outbox row and for how long, its wake-up, webhook subscribers, and the ticket of a phone.

-- A row in hand is leased: the provider is called without a lock or a transaction, a relay that dies
-- gives the row back when the lease ends, and a late one finds that the lease is not its own any more.
ALTER TABLE dispatch_outbox ADD COLUMN IF NOT EXISTS lease_id uuid;
ALTER TABLE dispatch_outbox ADD COLUMN IF NOT EXISTS leased_until timestamptz;

CREATE INDEX IF NOT EXISTS idx_dispatch_outbox_pending
    ON dispatch_outbox (created_at, id) WHERE status = 'PENDING';
CREATE INDEX IF NOT EXISTS idx_dispatch_outbox_provider_message
    ON dispatch_outbox ((payload->>'provider_message_id')) WHERE payload ? 'provider_message_id';

-- Leases the oldest row that is due; several relays share the work because rows in hand are skipped.
CREATE OR REPLACE FUNCTION claim_outbox(p_due timestamptz, p_lease uuid, p_lease_ms int)
RETURNS TABLE (
    id uuid, tenant_id text, aggregate_type text, aggregate_id text, event_type text,
    payload jsonb, idempotency_key text, attempt_count int, lease_id uuid, ticket_id uuid
) LANGUAGE sql SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS $$
    WITH due AS (
        SELECT o.id FROM dispatch_outbox o
         WHERE o.status = 'PENDING' AND o.next_attempt_at <= p_due
           AND (o.leased_until IS NULL OR o.leased_until <= clock_timestamp())
         ORDER BY o.created_at, o.id
         LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    UPDATE dispatch_outbox o
       SET lease_id = p_lease,
           leased_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
      FROM due
     WHERE o.id = due.id
    RETURNING o.id, o.tenant_id, o.aggregate_type, o.aggregate_id, o.event_type, o.payload,
              o.idempotency_key, o.attempt_count, o.lease_id,
              (SELECT t.id FROM tickets t
                WHERE o.aggregate_type = 'ticket' AND t.tenant_id = o.tenant_id
                  AND t.id = CASE WHEN pg_input_is_valid(o.aggregate_id, 'uuid')
                                  THEN o.aggregate_id::uuid END)
$$;

-- Takes the lock that commands take, of a ticket or else of the tenant, and returns the head of its
-- audit chain. Sets the tenant.
CREATE OR REPLACE FUNCTION lock_chain(
    p_tenant text, p_ticket uuid,
    OUT chain_seq bigint, OUT chain_hash text, OUT chain_at timestamptz, OUT locked_at timestamptz
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('dispatch.tenant', p_tenant, true);
    PERFORM pg_advisory_xact_lock(
        hashtextextended(coalesce(p_ticket::text, 'tenant ' || p_tenant), 0)
    );
    locked_at := clock_timestamp();
    IF p_ticket IS NULL THEN
        SELECT a.seq, a.hash, a.created_at INTO chain_seq, chain_hash, chain_at
          FROM audit_events a WHERE a.tenant_id = p_tenant AND a.ticket_id IS NULL
         ORDER BY a.seq DESC LIMIT 1;
    ELSE
        SELECT a.seq, a.hash, a.created_at INTO chain_seq, chain_hash, chain_at
          FROM audit_events a WHERE a.ticket_id = p_ticket
         ORDER BY a.seq DESC LIMIT 1;
    END IF;
END $$;

REVOKE ALL ON FUNCTION claim_outbox, lock_chain FROM PUBLIC;
GRANT EXECUTE ON FUNCTION claim_outbox, lock_chain TO dispatch_app;

CREATE OR REPLACE FUNCTION wake_relays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY outbox;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER trg_dispatch_outbox_wake
    AFTER INSERT OR UPDATE OF status ON dispatch_outbox
    FOR EACH ROW WHEN (NEW.status = 'PENDING') EXECUTE FUNCTION wake_relays();

-- Who is told of what. `event_types` are tool names as the audit has them, or '*'. Several secrets
-- sign side by side while a subscriber changes from the old to the new one.
CREATE TABLE IF NOT EXISTS webhook_subscriptions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant_id text NOT NULL DEFAULT 'default' CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    url text NOT NULL CHECK (url ~ '^https?://\S+$'),
    event_types text[] NOT NULL DEFAULT '{*}' CHECK (cardinality(event_types) > 0),
    secrets text[] NOT NULL CHECK (cardinality(secrets) BETWEEN 1 AND 4),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_webhook_subscriptions_tenant
    ON webhook_subscriptions (tenant_id) WHERE is_active;
SELECT protect_tenant_table('webhook_subscriptions', 'set_tenant_of_root');
GRANT SELECT, INSERT, UPDATE ON webhook_subscriptions TO dispatch_app;

-- One outbox row per subscriber, in the transaction of the event. The event names no person: who
-- needs more reads the ticket. The relay's own records are no event, or it would never come to rest.
CREATE OR REPLACE FUNCTION tell_subscribers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO dispatch_outbox (tenant_id, aggregate_type, aggregate_id, event_type, payload,
                                 idempotency_key)
    SELECT NEW.tenant_id, aggregate.kind, aggregate.id, NEW.tool_name || '.webhook',
           jsonb_build_object(
               'channel', 'WEBHOOK', 'subscription_id', s.id, 'event_id', NEW.id,
               'message_key', message.key,
               'event', jsonb_build_object(
                   'type', NEW.tool_name,
                   'timestamp', to_char(NEW.created_at AT TIME ZONE 'UTC',
                                        'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                   'data', jsonb_build_object(
                       'event_id', NEW.id, 'tenant_id', NEW.tenant_id, 'ticket_id', NEW.ticket_id,
                       'seq', NEW.seq, 'before_state', NEW.before_state,
                       'after_state', NEW.after_state, 'actor_type', NEW.actor_type,
                       'actor_role', NEW.actor_role, 'correlation_id', NEW.correlation_id))),
           message.key
      FROM webhook_subscriptions s,
           LATERAL (SELECT format('webhook:%s:%s', s.id, NEW.id) AS key) message,
           LATERAL (SELECT CASE WHEN NEW.ticket_id IS NULL THEN 'tenant' ELSE 'ticket' END AS kind,
                           coalesce(NEW.ticket_id::text, NEW.tenant_id) AS id) aggregate
     WHERE s.tenant_id = NEW.tenant_id AND s.is_active
       AND s.event_types && ARRAY['*', NEW.tool_name];
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER trg_audit_events_tell_subscribers
    AFTER INSERT ON audit_events FOR EACH ROW WHEN (NEW.tool_name <> 'dispatch.outbox_worker')
    EXECUTE FUNCTION tell_subscribers();

-- A provider may deliver the same message again.
CREATE UNIQUE INDEX IF NOT EXISTS uq_messages_inbound_provider_message
    ON messages (tenant_id, channel, (metadata->>'provider_message_id'))
 WHERE direction = 'INBOUND' AND metadata ? 'provider_message_id';

-- The digits by which phone numbers are compared: without a leading 00, or the 1 of North America.
CREATE OR REPLACE FUNCTION phone_digits(p_phone text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(regexp_replace(p_phone, '\D', '', 'g'), '^(?:00)?1(?=\d{10}$)|^00', '')
$$;
CREATE INDEX IF NOT EXISTS idx_tickets_customer_phone
    ON tickets (tenant_id, phone_digits(customer_phone), created_at)
 WHERE customer_phone IS NOT NULL;
