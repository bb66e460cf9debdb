"""The door to the database: typed tables, queries by noun, migrations that travel with the package."""
