"""What may be done without a person: verdict and control."""
