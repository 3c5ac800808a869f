"""A ticket's deadlines in activities: ringing, raising, sweeping and catching up."""
