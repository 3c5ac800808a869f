-- Where a technician is told what became of the own job, say that quality assurance sent it back.
ALTER TABLE technicians ADD COLUMN IF NOT EXISTS phone text
    CHECK (phone ~ '\S' AND length(phone) <= 200);
