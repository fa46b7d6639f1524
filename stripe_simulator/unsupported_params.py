"""Parameters of Stripe's API that the simulator does not support.

A request with one is refused: if the simulator ignored it, a test of it would pass. README.md lists the parameters
that the simulator supports in part. A nested parameter has the path `a[b]`, and `[]` for the index of a list.
`tests/stripe/test_read_params.py` finds a parameter that is neither here nor read.
"""

_INTENT = (
    *("amount_details", "application_fee_amount", "customer_account", "hooks", "on_behalf_of"),
    *("payment_details", "payment_method_configuration", "radar_options", "transfer_data"),
)
_CARD_OPTIONS = tuple(
    f"payment_method_options[card][{name}]"
    for name in ("capture_method", "cvc_token", "installments", "mandate_options", "moto", "three_d_secure")
)
_METHODS = (  # payment methods that are not simulated, with options of intents and of sessions
    *("acss_debit", "affirm", "afterpay_clearpay", "alipay", "alma", "amazon_pay", "au_becs_debit", "bacs_debit"),
    *("bancontact", "billie", "blik", "boleto", "cashapp", "crypto", "customer_balance", "eps", "fpx", "giropay"),
    *("grabpay", "ideal", "kakao_pay", "klarna", "konbini", "kr_card", "link", "mobilepay", "multibanco"),
    *("naver_pay", "oxxo", "p24", "pay_by_bank", "payco", "paynow", "paypal", "payto", "pix", "revolut_pay"),
    *("samsung_pay", "satispay", "scalapay", "sequra", "sofort", "sunbit", "swish", "twint", "upi", "wechat_pay"),
)
_METHODS_OF_INTENTS = (
    *("bizum", "card_present", "interac_present", "mb_way", "nz_bank_account", "paypay", "promptpay", "zip"),
)
_OPTIONS = tuple(f"payment_method_options[{kind}]" for kind in (*_METHODS, *_METHODS_OF_INTENTS))
_SESSION = (
    *(f"payment_method_options[{kind}]" for kind in (*_METHODS, "demo_pay")),
    *("after_expiration", "automatic_tax", "branding_settings", "consent_collection", "custom_fields", "custom_text"),
    *("customer_account", "customer_update[shipping]", "integration_identifier", "managed_payments"),
    *("name_collection", "optional_items", "origin_context", "payment_method_collection"),
    *("payment_method_configuration", "payment_method_data", "permissions", "phone_number_collection"),
    *("redirect_on_completion", "setup_intent_data", "shipping_address_collection", "shipping_options"),
    *("subscription_data", "wallet_options"),
    *(f"invoice_creation[invoice_data][{name}]" for name in ("account_tax_ids", "issuer", "rendering_options")),
    *(f"payment_intent_data[{name}]" for name in ("application_fee_amount", "on_behalf_of", "transfer_data")),
    *(f"payment_method_options[card][{name}]" for name in ("capture_method", "installments", "restrictions")),
    *("line_items[][adjustable_quantity]", "line_items[][dynamic_tax_rates]", "line_items[][tax_rates]"),
    *("line_items[][price_data][recurring]", "line_items[][price_data][unit_amount_decimal]"),
    "line_items[][price_data][product_data][tax_details]",
)
_CREDIT_NOTE = (
    *("credit_amount", "lines", "out_of_band_amount", "refund_amount", "refunds[][payment_record_refund]"),
    *("refunds[][type]", "shipping_cost"),
)
_CUSTOMER = ("cash_balance", "default_source", "invoice_prefix", "next_invoice_sequence", "source", "tax", "validate")
_PRICE = (
    *("currency_options", "custom_unit_amount", "recurring", "tiers", "tiers_mode", "transfer_lookup_key"),
    *("transform_quantity", "unit_amount_decimal", "product_data[tax_details]"),
)
_DEFAULT_PRICE = ("currency_options", "custom_unit_amount", "recurring", "unit_amount_decimal")
_SETUP = (
    *("attach_to_self", "customer_account", "flow_directions", "on_behalf_of", "payment_method_configuration"),
    *("payment_method_options", "single_use"),
)

UNSUPPORTED_PARAMS: dict[str, tuple[str, ...]] = {
    "POST /v1/payment_intents": (*_INTENT, *_CARD_OPTIONS, *_OPTIONS),
    "POST /v1/payment_intents/*": (*_INTENT, *_CARD_OPTIONS, *_OPTIONS),
    "POST /v1/payment_intents/*/confirm": (*_INTENT, *_CARD_OPTIONS, *_OPTIONS, "amount_to_confirm"),
    "POST /v1/payment_intents/*/capture": (*_INTENT, "final_capture", "statement_descriptor"),
    "POST /v1/checkout/sessions": _SESSION,
    "POST /v1/checkout/sessions/*": ("collected_information", "line_items", "payment_intent_data", "shipping_options"),
    "POST /v1/credit_notes": _CREDIT_NOTE,
    "GET /v1/credit_notes/preview": _CREDIT_NOTE,
    "GET /v1/credit_notes/preview/lines": (*_CREDIT_NOTE, "effective_at", "memo", "metadata", "reason"),
    "GET /v1/credit_notes": ("customer_account",),
    "GET /v1/invoices": ("customer_account", "due_date", "subscription"),
    "POST /v1/customers": (*_CUSTOMER, "tax_id_data", "test_clock"),
    "POST /v1/customers/*": _CUSTOMER,
    "POST /v1/disputes/*": ("evidence[appeal]", "evidence[enhanced_evidence]"),
    "POST /v1/refunds": (
        "currency",
        "customer",
        "instructions_email",
        "origin",
        "refund_application_fee",
        "reverse_transfer",
    ),
    "POST /v1/payouts": ("destination", "payout_method", "source_type"),
    "POST /v1/prices": _PRICE,
    "POST /v1/prices/*": ("currency_options", "transfer_lookup_key"),
    "POST /v1/products": ("tax_details", *(f"default_price_data[{name}]" for name in _DEFAULT_PRICE)),
    "POST /v1/products/*": ("tax_details",),
    "POST /v1/setup_intents": _SETUP,
    "POST /v1/setup_intents/*": _SETUP,
    "POST /v1/setup_intents/*/confirm": ("payment_method_options",),
    "POST /v1/webhook_endpoints": ("connect",),
    "POST /v1/test_helpers/confirmation_tokens": ("payment_method_options",),
    "GET /v1/checkout/sessions": ("customer_account", "customer_details", "payment_link", "subscription"),
    "POST /v1/payment_methods/*/attach": ("customer_account",),
    "POST /v1/promotion_codes": ("customer_account",),
    "GET /v1/payment_methods": ("customer_account",),
    "GET /v1/promotion_codes": ("customer_account",),
    "GET /v1/prices": ("recurring",),
    "GET /v1/customers": ("test_clock",),
    "GET /v1/payment_intents": ("customer_account",),
    "GET /v1/setup_intents": ("attach_to_self", "customer_account"),
}

REMOVED_PARAMS: dict[str, tuple[str, ...]] = {
    "POST /v1/customers": ("coupon", "promotion_code"),
    "POST /v1/customers/*": ("coupon", "promotion_code"),
}
"""Parameters of discounts that the current version no longer has, and that requests without a version still send."""
