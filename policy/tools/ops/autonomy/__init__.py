"""The commands about autonomy controls, a module each."""
