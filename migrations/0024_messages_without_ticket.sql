-- Messages that fit no ticket: listed oldest first, and attached to one by a dispatcher.

CREATE INDEX IF NOT EXISTS idx_messages_without_ticket
    ON messages (tenant_id, created_at, id) WHERE ticket_id IS NULL AND direction = 'INBOUND';

-- Of a kept message only the ticket changes, and only once.
GRANT UPDATE (ticket_id) ON messages TO dispatch_gateway;
