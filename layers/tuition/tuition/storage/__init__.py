"""The tables. Only this folder calls DynamoDB."""
