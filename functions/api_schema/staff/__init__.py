"""The types of the requests and answers of staff, a file per topic."""
