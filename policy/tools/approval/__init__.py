"""The commands about approvals, a module each."""
