"""DynamoDB in memory, for the tests on tables and for the search."""
