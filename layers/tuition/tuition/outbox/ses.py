"""Send an email through Amazon SES. The address and the content are never logged, nor SES's words, which name them.

Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from functools import cache
from typing import Any

from tuition import aws_client
from tuition.core.emails import Email
from tuition.outbox.rendering import Rendered
from tuition.settings import settings

READ_TIMEOUT_S = 8


ANNOUNCED = "announced"
"""The tag with the charge of a plan that an email announces."""


def tag_of(key: str) -> str:
    """Return the key of an announcement as the value of a tag, which has letters, digits, `_` and `-` alone."""
    return key.replace(":", "_")


class EmailRefused(Exception):
    """SES did not take the email, or was not reached: it was certainly not sent. The text is SES's error code."""


class EmailUncertain(Exception):
    """SES did not answer, so it may or may not have sent the email. The text is the error's name."""


def send(address: str, email: Email, rendered: Rendered) -> str:
    """Send an email to one address, and return SES's id of it. Raises `EmailRefused` or `EmailUncertain`.

    The call is made once: botocore's retry after a lost answer could send the email twice.
    """
    import botocore.exceptions

    current = settings()
    payment_id = str(email.values.get("payment_id", "none"))
    request: dict[str, Any] = {
        "FromEmailAddress": current.email_sender,
        "Destination": {"ToAddresses": [address]},
        "Content": {
            "Simple": {
                "Subject": _utf8(rendered.subject),
                "Body": {"Text": _utf8(rendered.text), "Html": _utf8(rendered.html)},
            }
        },
        "EmailTags": [
            {"Name": "kind", "Value": email.kind},
            {"Name": "payment_id", "Value": payment_id},
            {"Name": "plan_id", "Value": str(email.values.get("plan_id", "none"))},
            *({"Name": ANNOUNCED, "Value": tag_of(key)} for key in (email.announced,) if key),
        ],
    }
    if current.email_reply_to:
        request["ReplyToAddresses"] = [current.email_reply_to]
    if current.email_configuration_set:
        request["ConfigurationSetName"] = current.email_configuration_set
    try:
        return str(_client().send_email(**request)["MessageId"])
    except botocore.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        is_answer = error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
        raise (EmailRefused(code) if is_answer else EmailUncertain(code)) from None
    except (
        botocore.exceptions.ConnectTimeoutError,
        botocore.exceptions.EndpointConnectionError,
        botocore.exceptions.NoCredentialsError,
        botocore.exceptions.ParamValidationError,
    ) as error:
        raise EmailRefused(type(error).__name__) from None
    except botocore.exceptions.BotoCoreError as error:
        raise EmailUncertain(type(error).__name__) from None


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}


@cache
def _client() -> Any:
    return aws_client.create("sesv2", read_timeout_s=READ_TIMEOUT_S, attempts=1)
