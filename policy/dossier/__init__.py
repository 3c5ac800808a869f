"""The dossier: its manifest, and the verifier that stands alone."""
