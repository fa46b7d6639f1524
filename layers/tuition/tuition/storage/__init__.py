"""The tables: the only folder that calls DynamoDB."""
