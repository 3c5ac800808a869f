"""The machine's door: checks, signal, outcome and limits of every command."""
