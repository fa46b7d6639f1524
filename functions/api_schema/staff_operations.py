"""The operations of staff, all answered by `functions/admin.py`."""

from collections.abc import Mapping
from typing import Any, Literal

from api_schema import personal_data, staff
from api_schema.operations import ASKS_STRIPE, COMMITS, READS_FIGURES, REFUNDS, TABLES, Answer, Errors, Operation
from api_schema.student_operations import PERSONAL_DATA
from api_schema.students import PageQuery
from tuition.core import errors

PAYMENT = {"payment_id": "The payment's id (`pay_…`)."}
ANY_PAYMENT = {"payment_id": "The payment's id (`pay_…`), or that of its PaymentIntent or Checkout Session."}
USER = {"user_id": "The user's id. Use the query `user_id` for one that may have a `/`."}
EVENT = {"event_id": "The event's id (`evt_…`)."}
IDEMPOTENCY_KEY = {
    "Idempotency-Key": {
        "description": "The same key from the same member of staff is one refund: repeating the order answers its"
        " refund request.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "example": "order-2026-11-23-1",
    }
}


def _read(route: str, operation_id: str, summary: str, description: str, answer: type, **more: Any) -> Operation:
    return _operation(
        "support", route, operation_id, summary, description, (Answer(200, answer, summary + "."),), **more
    )


def _decide(route: str, operation_id: str, summary: str, description: str, answer: type, **more: Any) -> Operation:
    return _operation("admin", route, operation_id, summary, description, (Answer(200, answer, "Done."),), **more)


def _operation(
    group: Literal["support", "admin"],
    route: str,
    operation_id: str,
    summary: str,
    description: str,
    answers: tuple[Answer, ...],
    errors: Errors = TABLES,
    path: Mapping[str, str] | None = None,
    **more: Any,
) -> Operation:
    return Operation(
        route=route,
        handler="admin",
        operation_id=operation_id,
        summary=summary,
        description=description,
        caller=group,
        answers=answers,
        errors=errors,
        path=path or {},
        **more,
    )


REFUND_ANSWERS = (
    Answer(200, staff.RefundResult, "The refund was made."),
    Answer(202, staff.RefundResult, "Stripe or a bank is processing it."),
)
EXPORTS: Errors = (errors.NotFound, errors.TooManyRequests, *COMMITS)
DECIDES: Errors = (errors.NotFound, errors.Conflicted, *COMMITS)

OPERATIONS = (
    _read(
        "GET /api/admin/payments",
        "listPayments",
        "List payments",
        "Exact matches of `q` come first, newest first; then payments whose email address begins with `q`, by address;"
        " then those of its words, newest first."
        " A cursor works with its own filters only.",
        staff.StaffPayments,
        query=staff.PaymentsQuery,
    ),
    _read(
        "GET /api/admin/payments/statuses",
        "getStatuses",
        "Count the payments by status",
        "From the figures that follow each change of a payment within seconds.",
        staff.Statuses,
        query=staff.StatusesQuery,
    ),
    _read(
        "GET /api/admin/payments/totals",
        "getTotals",
        "Count and add up the payments that match filters",
        "At most 500 payments per answer. Follow `next_cursor` and add up the answers.",
        staff.Totals,
        query=staff.TotalsQuery,
    ),
    _read(
        "GET /api/admin/payments/{payment_id}",
        "getPayment",
        "Read one payment with everything about it",
        "Its fields, facts, refund requests and verified audit trail, and what an admin can do with it now. With `at`"
        " or `version`, as it was then: by the same rules, from the facts in its records. A text that no record has is"
        " `not recorded`.",
        staff.PaymentDetails,
        query=staff.MomentQuery,
        path=PAYMENT,
        errors=(errors.NotFound, *TABLES),
    ),
    _read(
        "GET /api/admin/payments/{payment_id}/explain",
        "explainPayment",
        "Explain why a payment gives access, or why not",
        "Each condition with the facts that decide it, and the audit records that brought them.",
        staff.Explanation,
        path=PAYMENT,
        errors=(errors.NotFound, *TABLES),
    ),
    _read(
        "GET /api/admin/payments/{payment_id}/documents",
        "listDocumentsOfPayment",
        "List the invoice and the credit notes of a payment",
        "Empty without an invoice. The links expire, so ask again for each use.",
        staff.StaffDocuments,
        path=PAYMENT,
        errors=(errors.NotFound, *ASKS_STRIPE, *COMMITS),
    ),
    _read(
        "GET /api/admin/counts",
        "getCounts",
        "Count the payments that were started",
        "On each day of a `month`, or in each month of a `year`: send exactly one.",
        staff.Counts,
        query=staff.CountsQuery,
    ),
    _read(
        "GET /api/admin/users",
        "getUserByQuery",
        "Read the user that the query names",
        "For a user id that may have a `/`, because the gateway decodes `%2F` in a path.",
        staff.UserDetails,
        query=staff.UserQuery,
        errors=(errors.NotFound, *TABLES),
    ),
    _read(
        "GET /api/admin/users/{user_id}",
        "getUser",
        "Read a user",
        "With enrollments, a page of payments, and the user's own audit chain.",
        staff.UserDetails,
        path=USER,
        query=PageQuery,
        errors=(errors.NotFound, *TABLES),
    ),
    _read(
        "GET /api/admin/users/timeline",
        "getTimeline",
        "Read all events of the payments of a user",
        "Ten payments per page, the newest first, each with its facts, audit records and emails.",
        staff.StudentTimeline,
        query=staff.TimelineQuery,
        errors=(errors.NotFound, *TABLES),
    ),
    _operation(
        "admin",
        "GET /api/admin/users/{user_id}/export",
        "exportUser",
        "Export everything that is stored about a person",
        "As the person can with `exportMyData`. Each part is recorded first, and counts as ten requests in the"
        " limits of the member of staff.",
        PERSONAL_DATA,
        path=USER,
        query=personal_data.PersonalDataQuery,
        errors=EXPORTS,
    ),
    _operation(
        "admin",
        "GET /api/admin/users/export",
        "exportUserByQuery",
        "Export everything about the person that the query names",
        "For a user id that may have a `/`.",
        PERSONAL_DATA,
        query=personal_data.PersonalDataOfUserQuery,
        errors=EXPORTS,
    ),
    _decide(
        "POST /api/admin/users/{user_id}/email",
        "correctEmail",
        "Correct the stored email address of a user",
        "At Stripe and in all payments; not the address with which they sign in. Repeat the request until `complete` is"
        " true.",
        personal_data.CorrectedEmail,
        path=USER,
        body=personal_data.EmailCorrection,
        example={"email": "ada@example.org"},
        errors=(*DECIDES, errors.LegalHold, *ASKS_STRIPE),
    ),
    _decide(
        "POST /api/admin/users/email",
        "correctEmailByQuery",
        "Correct the email address of the user that the query names",
        "For a user id that may have a `/`.",
        personal_data.CorrectedEmail,
        query=staff.UserIdQuery,
        body=personal_data.EmailCorrection,
        example={"email": "ada@example.org"},
        errors=(*DECIDES, errors.LegalHold, *ASKS_STRIPE),
    ),
    _decide(
        "POST /api/admin/users/{user_id}/purchases",
        "decidePurchases",
        "Block a user's purchases, or allow them",
        "`allow` is for everything that blocks now: a dispute that is lost later blocks again. Repeating a decision"
        " changes nothing.",
        staff.UserPurchases,
        path=USER,
        body=staff.PurchaseDecision,
        example={"decision": "allow", "note": "The bank was wrong"},
        errors=(*DECIDES, errors.UserErased),
    ),
    _decide(
        "POST /api/admin/users/purchases",
        "decidePurchasesByQuery",
        "Decide about the purchases of the user that the query names",
        "For a user id that may have a `/`.",
        staff.UserPurchases,
        query=staff.UserIdQuery,
        body=staff.PurchaseDecision,
        example={"decision": "allow", "note": "The bank was wrong"},
        errors=(*DECIDES, errors.UserErased),
    ),
    _operation(
        "admin",
        "POST /api/admin/users/{user_id}/erasure",
        "eraseUser",
        "Erase a user's data",
        "As `DELETE /api/me`, for a user who asks the school.",
        (Answer(202, staff.UserErasure, "The erasure is scheduled, or done."),),
        path=USER,
        body=staff.ErasureOrder,
        example={"note": "Letter of 23 November"},
        errors=(errors.NotFound, errors.MoneyOpen, errors.LegalHold, *ASKS_STRIPE, *COMMITS),
    ),
    _operation(
        "admin",
        "POST /api/admin/users/erasure",
        "eraseUserByQuery",
        "Erase the data of the user that the query names",
        "For a user id that may have a `/`.",
        (Answer(202, staff.UserErasure, "The erasure is scheduled, or done."),),
        query=staff.UserIdQuery,
        body=staff.ErasureOrder,
        example={"note": "Letter of 23 November"},
        errors=(errors.NotFound, errors.MoneyOpen, errors.LegalHold, *ASKS_STRIPE, *COMMITS),
    ),
    _decide(
        "POST /api/admin/users/{user_id}/legal-hold",
        "decideLegalHold",
        "Hold a user's data, or lift the hold",
        "While it holds, the user's data are neither erased, deleted nor corrected. Repeating a decision changes "
        "nothing.",
        staff.UserLegalHold,
        path=USER,
        body=staff.LegalHoldDecision,
        example={"decision": "set", "note": "Claim 4711, asked by our lawyer"},
        errors=(errors.NotFound, errors.UserErased, *COMMITS),
    ),
    _decide(
        "POST /api/admin/users/legal-hold",
        "decideLegalHoldByQuery",
        "Decide about the legal hold of the user that the query names",
        "For a user id that may have a `/`.",
        staff.UserLegalHold,
        query=staff.UserIdQuery,
        body=staff.LegalHoldDecision,
        example={"decision": "set", "note": "Claim 4711, asked by our lawyer"},
        errors=(errors.NotFound, errors.UserErased, *COMMITS),
    ),
    _operation(
        "admin",
        "POST /api/admin/notes",
        "writeNote",
        "Write a note about a payment or a student",
        "The note is erased with the student's data, or deleted with its payment. Its record says only that it was"
        " written.",
        (Answer(201, staff.NotesShown, "The note is written."),),
        query=staff.NoteTopicQuery,
        body=staff.NewNote,
        example={"text": "Called; a parent pays"},
        errors=(*DECIDES, errors.UserErased),
    ),
    _decide(
        "POST /api/admin/notes/delete",
        "deleteNote",
        "Delete a note",
        "Deleting a note that is missing changes nothing.",
        staff.NotesShown,
        query=staff.NoteTopicQuery,
        body=staff.NoteRemoval,
        example={"note_id": "note_018c0a1b2c3d4e5f6a7b8c9d"},
        errors=(errors.NotFound, errors.UserErased, errors.LegalHold, *COMMITS),
    ),
    _decide(
        "POST /api/admin/tags",
        "changeTags",
        "Add tags to a payment or a student, and remove others",
        "A tag that is in both lists is added.",
        staff.NotesShown,
        query=staff.NoteTopicQuery,
        body=staff.TagsChange,
        example={"add": ["vip"]},
        errors=(*DECIDES, errors.UserErased, errors.LegalHold),
    ),
    _read(
        "GET /api/admin/selling",
        "getSelling",
        "Read whether students can buy",
        "With the newest decision, and the verified audit trail of the switch.",
        staff.Selling,
    ),
    _decide(
        "POST /api/admin/selling",
        "decideSelling",
        "Stop every new purchase, or sell again",
        "Refunds, events and payments that are open in a form are not affected. Repeating a decision with the same"
        " message changes nothing.",
        staff.Selling,
        body=staff.SellingDecision,
        example={"selling": False, "note": "A price is wrong", "message": "Back tomorrow."},
        errors=(errors.Conflicted, *COMMITS),
    ),
    _read(
        "GET /api/admin/disputes",
        "listDisputes",
        "List disputes",
        "The `open` ones by due date, or those that are `over`, newest first.",
        staff.Disputes,
        query=staff.DisputesQuery,
    ),
    _read(
        "GET /api/admin/refund-requests",
        "listRefundRequests",
        "List the refund requests that await approval",
        "The oldest request first.",
        staff.RefundRequests,
        query=staff.RefundRequestsQuery,
    ),
    _operation(
        "admin",
        "POST /api/admin/exports",
        "createExport",
        "Order a CSV file of payments",
        "All payments that match the filters. Read the export every few seconds until it is done.",
        (Answer(202, staff.Export, "The export was ordered."),),
        body=staff.ExportOrder,
        example={"filters": {"status": "SUCCEEDED", "from": "2026-11-01"}},
        errors=COMMITS,
    ),
    _operation(
        "admin",
        "GET /api/admin/exports/{export_id}",
        "getExport",
        "Read an export",
        "Only for the one who ordered it. It also resumes an export that ran out of time.",
        (Answer(200, staff.Export, "The export."),),
        path={"export_id": "The export's id (`exp_…`)."},
        errors=(errors.NotFound, *TABLES),
    ),
    _operation(
        "admin",
        "POST /api/admin/payments/{payment_id}/refunds",
        "createRefund",
        "Refund a payment, wholly or in part",
        "`refund-repeated`: the same amount of this payment was refunded before. To refund it once more, send"
        " `expected_refundable_amount` or an `Idempotency-Key`.",
        REFUND_ANSWERS,
        path=ANY_PAYMENT,
        headers=IDEMPOTENCY_KEY,
        body=staff.StaffRefundOrder,
        example={"amount": 10000, "reason": "a part was missing"},
        errors=(*REFUNDS, errors.RefundRepeated),
    ),
    _operation(
        "admin",
        "POST /api/admin/payments/{payment_id}/refunds/{request_id}",
        "decideRefundRequest",
        "Approve or decline a refund request",
        "Approving a request that is being submitted resumes it.",
        REFUND_ANSWERS,
        path={**ANY_PAYMENT, "request_id": "The refund request's id (`rr_…`)."},
        body=staff.RefundDecision,
        example={"decision": "approve"},
        errors=REFUNDS,
    ),
    _decide(
        "POST /api/admin/payments/{payment_id}/access",
        "decideAccess",
        "Decide whether a payment grants access",
        "No money moves. The newest decision counts, and the same decision again changes nothing.",
        staff.DecidedPayment,
        path=ANY_PAYMENT,
        body=staff.AccessOrder,
        example={"decision": "revoke", "note": "shared the account"},
        errors=DECIDES,
    ),
    _decide(
        "POST /api/admin/payments/{payment_id}/attention",
        "resolveAttention",
        "Acknowledge one reason for attention",
        "In its current state: if the reason changes, it comes back. A refund request must be approved or declined.",
        staff.DecidedPayment,
        path=ANY_PAYMENT,
        body=staff.AcknowledgementOrder,
        example={"name": "rebuilt", "note": "compared with Stripe"},
        errors=DECIDES,
    ),
    _operation(
        "admin",
        "POST /api/admin/payments/{payment_id}/emails",
        "sendEmail",
        "Send an email to the student again",
        "The request is recorded, and the email follows within seconds, as the payment is then. Staff may send ten "
        "per payment within 24 hours.",
        (Answer(202, staff.OrderedEmail, "The email will be sent."),),
        path=ANY_PAYMENT,
        body=staff.EmailOrder,
        example={"kind": "purchase_confirmed"},
        errors=(errors.TooManyRequests, *DECIDES),
    ),
    _read(
        "GET /api/admin/attention",
        "listAttention",
        "List the payments that need attention",
        "Each with its reasons.",
        staff.StaffPayments,
        query=staff.AttentionQuery,
    ),
    _read(
        "GET /api/admin/books",
        "getBooks",
        "Read the result of the daily audit",
        "It compares our payments with Stripe's balance transactions.",
        staff.Books,
    ),
    _read(
        "GET /api/admin/analytics",
        "getAnalytics",
        "Read the figures of days, weeks or months",
        "At most 731 days; without a range, the last 30. Each figure belongs to the day on which it happened.",
        staff.Analytics,
        query=staff.AnalyticsQuery,
        errors=READS_FIGURES,
    ),
    _read(
        "GET /api/admin/analytics/details",
        "getAnalyticsDetails",
        "Read outcomes by track and method, promotion codes and cohorts",
        "Of at most 731 days; without a range, the last 30.",
        staff.AnalyticsDetails,
        query=staff.AnalyticsDetailsQuery,
        errors=READS_FIGURES,
    ),
    _read(
        "GET /api/admin/quarantine",
        "listQuarantine",
        "List the events that could not be applied",
        "Newest first, without the events' bodies.",
        staff.QuarantinedEvents,
        query=PageQuery,
    ),
    _read(
        "GET /api/admin/quarantine/{event_id}",
        "getQuarantinedEvent",
        "Read one quarantined event",
        "As Stripe sent it, without client secrets and personal data.",
        staff.QuarantinedEventDetails,
        path=EVENT,
        errors=(errors.NotFound, *TABLES),
    ),
    _decide(
        "POST /api/admin/quarantine/{event_id}/replay",
        "replayQuarantinedEvent",
        "Try a quarantined event again",
        "An applied event leaves the quarantine.",
        staff.ReplayedEvent,
        path=EVENT,
        errors=(errors.NotFound, errors.Conflicted, *ASKS_STRIPE, *COMMITS),
    ),
    _decide(
        "POST /api/admin/quarantine/{event_id}/discard",
        "discardQuarantinedEvent",
        "Discard an event that is not to be applied",
        "Its payload is removed. Its id, reason and note stay for 90 days.",
        staff.QuarantinedEventDetails,
        path=EVENT,
        body=staff.DiscardOrder,
        example={"note": "sent by a test"},
        errors=(errors.NotFound, *COMMITS),
    ),
)
