"""The commands about invoices, a module each."""
