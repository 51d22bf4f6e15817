-- Of a reservation: whether the attempt goes on with a text that broke off in the one before. NULL in older ones: no.
ALTER TABLE posting ADD COLUMN continued INTEGER;
