"""Commands about messages and those who are told by them."""
