"""The columns of an audit event, as whoever reads whole events asks for them."""

EVENT_COLUMNS = """
    id, ticket_id, actor_type::text, actor_id, actor_role, tool_name, request_id, correlation_id,
    trace_id, before_state::text, after_state::text, payload, created_at, tenant_id, command_id,
    seq, policy_bundle_sha256, prev_hash, hash
"""
