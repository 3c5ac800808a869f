-- Messages that fit no ticket: listed oldest first, and attached to one by a dispatcher.

CREATE INDEX IF NOT EXISTS idx_messages_without_ticket
    ON messages (tenant_id, created_at, id) WHERE ticket_id IS NULL AND direction = 'INBOUND';

-- Attaches a received message of the transaction's tenant to a ticket of it, and returns the message; nothing if it
-- has a ticket. It is all that the gateway may change of a message.
CREATE OR REPLACE FUNCTION attach_message(p_message uuid, p_ticket uuid)
RETURNS TABLE (channel text, from_addr text, body text, provider_message_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE messages m SET ticket_id = t.id
      FROM tickets t
     WHERE m.id = p_message AND m.direction = 'INBOUND' AND m.ticket_id IS NULL
       AND m.tenant_id = current_setting('dispatch.tenant', true)
       AND t.id = p_ticket AND t.tenant_id = m.tenant_id
    RETURNING m.channel, m.from_addr, m.body, m.metadata->>'provider_message_id'
$$;
REVOKE ALL ON FUNCTION attach_message FROM PUBLIC;
GRANT EXECUTE ON FUNCTION attach_message TO dispatch_gateway;
