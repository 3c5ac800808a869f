-- What enters the record by a role of the application continues its chain, whoever writes it and however.

-- A row that is forged at another place of a chain, or before or after its time, does not come in; that it is of the tenant
-- of its transaction and ticket, row-level security and trg_audit_events_tenant demand. Whether the hash is that of the
-- row, `dispatch verify` tells.
CREATE OR REPLACE FUNCTION continue_chain() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head_seq bigint;
    head_hash text;
    head_at timestamptz;
BEGIN
    IF NEW.ticket_id IS NULL THEN
        SELECT a.seq, a.hash, a.created_at INTO head_seq, head_hash, head_at FROM audit_events a
         WHERE a.tenant_id = NEW.tenant_id AND a.ticket_id IS NULL ORDER BY a.seq DESC LIMIT 1;
    ELSE
        SELECT a.seq, a.hash, a.created_at INTO head_seq, head_hash, head_at FROM audit_events a
         WHERE a.ticket_id = NEW.ticket_id ORDER BY a.seq DESC LIMIT 1;
    END IF;
    IF NEW.seq <> coalesce(head_seq, 0) + 1 OR NEW.prev_hash <> coalesce(head_hash, repeat('0', 64))
       OR NEW.created_at <= head_at THEN
        RAISE EXCEPTION 'this event does not continue its chain' USING ERRCODE = 'check_violation';
    END IF;
    -- A row has the time of its transaction, or that of its head and a tick; a clock may have been set since.
    IF NEW.created_at < now() - interval '1 second'
       OR NEW.created_at > greatest(clock_timestamp(), head_at) + interval '1 second' THEN
        RAISE EXCEPTION 'this event is not of now' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION continue_chain FROM PUBLIC;
-- After trg_audit_events_tenant, in the order of names. The owner, who may drop a trigger, is not asked.
DO $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER trg_audit_events_unbroken BEFORE INSERT ON audit_events FOR EACH ROW
        WHEN (current_setting(''role'') <> ''none'' OR session_user <> %L) EXECUTE FUNCTION continue_chain()',
        current_user);
END $$;

-- What is left of append_event is who may append what: that the chain continues, the table itself demands.
CREATE OR REPLACE FUNCTION append_event(p_row jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added audit_events := jsonb_populate_record(NULL::audit_events, p_row);
BEGIN
    IF num_nonnulls(added.command_id, added.before_state, added.after_state) > 0
       OR added.tenant_id IS DISTINCT FROM current_setting('dispatch.tenant', true)
       OR current_setting('role') = 'dispatch_gateway'
          AND (added.tool_name NOT IN ('sms.inbound', 'sms.status') OR added.actor_type <> 'SERVICE') THEN
        RAISE EXCEPTION 'this event may not be appended here' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO audit_events SELECT added.*;
END $$;

-- A row leaves the queue of the log by becoming an entry, and as what it is. Whoever takes it for nothing cannot commit.
CREATE OR REPLACE FUNCTION proof.must_be_anchored() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM entries e JOIN public.audit_events a ON a.id = e.audit_event_id
                    WHERE e.audit_event_id = OLD.audit_event_id AND e.row_hash = decode(a.hash, 'hex')) THEN
        RAISE EXCEPTION 'audit row % was taken from the queue and not anchored', OLD.audit_event_id
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION proof.must_be_anchored FROM PUBLIC;
DROP TRIGGER IF EXISTS trg_queue_becomes_entry ON proof.queue;
CREATE CONSTRAINT TRIGGER trg_queue_becomes_entry AFTER DELETE ON proof.queue
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION proof.must_be_anchored();

-- Entries follow each other without a gap, each with the hash of its row.
CREATE OR REPLACE FUNCTION proof.continue_log() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = proof, pg_temp AS $$
DECLARE
    first bigint;
    final bigint;
    many bigint;
BEGIN
    SELECT min(log_index), max(log_index), count(*) INTO first, final, many FROM added;
    IF many > 0 AND (final - first + 1 <> many
       OR first <> coalesce((SELECT max(log_index) + 1 FROM entries WHERE log_index < first), 0)
       OR EXISTS (SELECT FROM entries WHERE log_index > final)
       OR EXISTS (SELECT FROM added e JOIN public.audit_events a ON a.id = e.audit_event_id
                   WHERE e.row_hash <> decode(a.hash, 'hex'))) THEN
        RAISE EXCEPTION 'these entries do not continue the log' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION proof.continue_log FROM PUBLIC;
CREATE OR REPLACE TRIGGER trg_entries_continue AFTER INSERT ON proof.entries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    EXECUTE FUNCTION proof.continue_log();
