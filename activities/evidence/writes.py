"""The statements of writes about evidence."""

from activities.command.writes import Statements
from policy.evidence.writes import (
    FinalizeUpload,
    InsertEvidence,
    InsertException,
    InsertUpload,
    SealEvidence,
)

EVIDENCE: Statements = {
    InsertEvidence: """
        INSERT INTO evidence_items (id, tenant_id, ticket_id, kind, uri, checksum, metadata,
                                    content_type, size_bytes, object_version_id, retention_until,
                                    created_by, created_at)
        SELECT r.id, $2, r.ticket_id, r.kind, r.uri, r.checksum, r.metadata,
               r.content_type, r.size_bytes, r.object_version_id, r.retention_until,
               r.created_by, r.created_at
          FROM jsonb_populate_record(NULL::evidence_items, $1) r
    """,
    SealEvidence: """
        UPDATE evidence_items e
           SET is_immutable = true, immutable_reason = 'closeout_verification',
               immutable_by = r.immutable_by, immutable_request_id = r.immutable_request_id,
               immutable_at = r.immutable_at
          FROM jsonb_populate_record(NULL::evidence_items, $1) r
         WHERE e.ticket_id = r.ticket_id AND NOT e.is_immutable AND e.tenant_id = $2
    """,
    InsertUpload: """
        INSERT INTO evidence_uploads (id, tenant_id, ticket_id, bucket, object_key, kind,
                                      evidence_key, content_type, size_bytes, sha256, created_by,
                                      request_id, expires_at, multipart_id, part_bytes)
        SELECT r.id, $2, r.ticket_id, r.bucket, r.object_key, r.kind, r.evidence_key,
               r.content_type, r.size_bytes, r.sha256, r.created_by, r.request_id, r.expires_at,
               r.multipart_id, r.part_bytes
          FROM jsonb_populate_record(NULL::evidence_uploads, $1) r
    """,
    FinalizeUpload: """
        UPDATE evidence_uploads u
           SET finalized_at = r.finalized_at, evidence_item_id = r.evidence_item_id
          FROM jsonb_populate_record(NULL::evidence_uploads, $1) r
         WHERE u.id = r.id AND u.tenant_id = $2
    """,
    InsertException: """
        INSERT INTO evidence_exceptions (tenant_id, ticket_id, evidence_keys, exception_reason,
                                         expires_at, granted_by, granted_role, audit_event_id,
                                         request_id)
        SELECT $2, r.ticket_id, r.evidence_keys, r.exception_reason, r.expires_at, r.granted_by,
               r.granted_role, r.audit_event_id, r.request_id
          FROM jsonb_populate_record(NULL::evidence_exceptions, $1) r
    """,
}
