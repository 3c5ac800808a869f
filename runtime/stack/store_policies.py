"""Who may do what in the bucket, by duty: as the embedded store enforces and deploy/store shows."""

from collections.abc import Mapping
from typing import Any

READ = ("GetObject", "GetObjectVersion")
GATEWAY, WORKER = "gateway", "worker"


def policies(bucket: str) -> Mapping[str, Mapping[str, Any]]:
    """Return a policy document for each duty. None may bypass a retention.

    A gateway puts nothing itself: it signs what clients put.
    """
    every, evidence = f"arn:aws:s3:::{bucket}/*", f"arn:aws:s3:::{bucket}/evidence/*"
    itself = f"arn:aws:s3:::{bucket}"
    return {
        GATEWAY: _document(
            _allowed(every, *READ, "ListMultipartUploadParts"),
            _allowed(evidence, "PutObject"),
            _allowed(itself, "ListBucket"),
        ),
        WORKER: _document(
            _allowed(
                every,
                *READ,
                *("PutObject", "PutObjectRetention", "AbortMultipartUpload"),
                *("ListMultipartUploadParts", "DeleteObject", "DeleteObjectVersion"),
            ),
            _allowed(
                itself,
                *("GetBucketObjectLockConfiguration", "ListBucket", "ListBucketVersions"),
                "ListBucketMultipartUploads",
            ),
        ),
        "auditor": _document(_allowed(every, *READ), _allowed(itself, "ListBucketVersions")),
        "operator": _document(_allowed(every, "GetObject", "PutObject", "PutObjectLegalHold")),
    }


def _document(*statements: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allowed(resource: str, *actions: str) -> Mapping[str, Any]:
    return {
        "Effect": "Allow",
        "Action": [f"s3:{action}" for action in actions],
        "Resource": resource,
    }
