"""The machine's transaction: any command, whatever it is about, decided and recorded once."""
