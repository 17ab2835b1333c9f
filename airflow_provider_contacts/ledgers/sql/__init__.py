"""The outcome tables; the only code that knows SQLAlchemy and drivers."""
