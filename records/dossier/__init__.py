"""Building closeout dossiers: gathering, the packet as PDF, the archive."""
