"""Audit rows, their chain, and the Merkle log that proves them."""
