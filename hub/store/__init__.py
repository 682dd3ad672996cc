"""Where the truth is kept: the tables, the database, the archive of bytes."""
