"""The rate that tasks share, kept in PostgreSQL, MySQL, MariaDB or Redis; imported only by those who share one."""
