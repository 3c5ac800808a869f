"""Draft invoices and the price list."""
