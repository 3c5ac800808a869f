"""HTTP as the contract wants it: bodies, headers, answers, errors and the request log."""
