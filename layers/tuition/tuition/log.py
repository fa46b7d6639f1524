"""The one logger. It writes structured lines, without bodies and without personal data."""

from aws_lambda_powertools.logging import Logger

logger = Logger()
