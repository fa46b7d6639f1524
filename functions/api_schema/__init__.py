"""The types of the API's requests and answers, from which `web/api/openapi.json` is made. No function imports them."""
