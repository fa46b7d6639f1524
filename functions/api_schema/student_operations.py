"""The operations of students and of Stripe."""

from api_schema import enrollments, personal_data, plans, students
from api_schema.operations import ASKS_STRIPE, BUYS, COMMITS, PAYS_PLAN, REFUNDS, TABLES, Answer, Link, Operation
from api_schema.payments import Payment
from tuition.core import errors

READ_STATUS = Link("getPaymentStatus", "Read the payment.", {"payment_intent_id": "$response.body#/payment_intent_id"})
READ_SESSION = Link("getPaymentStatus", "Read the payment.", {"payment_intent_id": "$response.body#/session_id"})
REQUEST_REFUND = Link(
    "requestRefund",
    "Request a refund of the payment, once it is paid.",
    body={"payment_id": "$response.body#/payment_id", "reason": "changed my mind"},
)
READ_PLAN = Link("getMyPlan", "Read the plan.", {"plan_id": "$response.body#/plan_id"})
BUYING = (
    "Repeating the request never starts a second open payment: a retry, a double click and a second tab get the same"
    " one. A request with another choice closes the open payment first. After `stripe-unavailable` or `contended` the"
    " same request may be sent again."
)

PERSONAL_DATA = (
    Answer(200, personal_data.PersonalData, "The data."),
    Answer(202, personal_data.PersonalDataFile, "The part is larger than 4 MB: fetch it from `url` within 5 minutes."),
)

OPERATIONS = (
    Operation(
        route="GET /api/payments/tracks",
        handler="tracks",
        operation_id="listTracks",
        summary="List the tracks for sale",
        description="The tracks with their prices, the accepted kinds of payment methods, and the key for Stripe.js.",
        caller="anyone",
        answers=(Answer(200, students.Tracks, "The tracks."),),
    ),
    Operation(
        route="POST /api/payments/create-payment",
        handler="create_payment",
        operation_id="createPayment",
        summary="Start a payment that the browser confirms",
        description=f"Confirm the payment with Stripe.js and its `client_secret`. {BUYING}",
        caller="user",
        body=students.CreatePaymentRequest,
        example={"track": "DP"},
        answers=(
            Answer(200, students.OpenedPayment, "The payment that is already open."),
            Answer(201, students.OpenedPayment, "A new payment."),
        ),
        errors=BUYS,
        links=(READ_STATUS, REQUEST_REFUND),
    ),
    Operation(
        route="POST /api/payments/create-checkout-session",
        handler="create_checkout_session",
        operation_id="createCheckoutSession",
        summary="Start a payment on Stripe's page",
        description=(
            f"Send the student to `url`. {BUYING} A promotion code is looked up first: if it is refused, nothing was"
            " closed or started."
        ),
        caller="user",
        body=students.CreateCheckoutSessionRequest,
        example={"track": "FSD", "promotion_code": "SPRING"},
        answers=(
            Answer(200, students.OpenedCheckoutSession, "The session that is already open."),
            Answer(201, students.OpenedCheckoutSession, "A new session."),
        ),
        errors=(*BUYS, errors.CodeRefused),
        links=(READ_SESSION,),
    ),
    Operation(
        route="POST /api/payments/promotion-codes/preview",
        handler="create_checkout_session",
        operation_id="previewPromotionCode",
        summary="Preview the price with a promotion code",
        description="Nothing is started or reserved: createCheckoutSession looks the code up again. Refused codes count"
        " there and here together.",
        caller="user",
        body=students.PreviewCodeRequest,
        example={"track": "DP", "promotion_code": "SPRING"},
        answers=(Answer(200, students.PreviewedCode, "The price with the code."),),
        errors=(
            *(errors.UnknownTrack, errors.CodeRefused, errors.Forbidden, errors.AlreadyEnrolled, errors.Conflicted),
            *(errors.PurchasesBlocked, errors.UserErased, errors.NotSelling, errors.TooManyRequests),
            *(*ASKS_STRIPE, *COMMITS),
        ),
    ),
    Operation(
        route="GET /api/payments/status/{payment_intent_id}",
        handler="payment_status",
        operation_id="getPaymentStatus",
        summary="Read one payment",
        description="While the payment is open, Stripe is asked, at most once within five seconds.",
        caller="user",
        path={"payment_intent_id": "The id of a PaymentIntent (`pi_…`), a Checkout Session (`cs_…`) or a payment."},
        answers=(Answer(200, Payment, "The payment."),),
        errors=(errors.NotFound, *ASKS_STRIPE, *COMMITS),
        links=(REQUEST_REFUND,),
    ),
    Operation(
        route="GET /api/payments/{payment_id}",
        handler="payment_status",
        operation_id="getMyPayment",
        summary="Read one payment by its own id",
        description="The order as the student keeps it. While the payment is open, Stripe is asked, at most once within"
        " five seconds.",
        caller="user",
        path={"payment_id": "The id of the payment (`pay_…`), which is the number of the order."},
        answers=(Answer(200, Payment, "The payment."),),
        errors=(errors.NotFound, *ASKS_STRIPE, *COMMITS),
        links=(REQUEST_REFUND,),
    ),
    Operation(
        route="POST /api/payments/{payment_id}/cancel",
        handler="payment_status",
        operation_id="cancelPayment",
        summary="Cancel an unpaid payment",
        description="It is closed at Stripe, and its promotion code is free again. Repeating the request answers the"
        " same. A payment that was paid at the same time stays paid, and one that a bank is processing stays open.",
        caller="user",
        path={"payment_id": "The id of the payment (`pay_…`)."},
        answers=(Answer(200, Payment, "It is closed, now or before."),),
        errors=(
            *(errors.NotFound, errors.AlreadyPaid, errors.PaymentInProgress, errors.TooManyRequests),
            *(*ASKS_STRIPE, *COMMITS),
        ),
    ),
    Operation(
        route="GET /api/payments/{payment_id}/documents",
        handler="payment_status",
        operation_id="listPaymentDocuments",
        summary="List the invoice and the credit notes of a payment",
        description="Empty without an invoice. The links expire, so ask again for each use.",
        caller="user",
        path={"payment_id": "The id of the payment (`pay_…`)."},
        answers=(Answer(200, students.Documents, "The documents."),),
        errors=(errors.NotFound, errors.TooManyRequests, *ASKS_STRIPE, *COMMITS),
    ),
    Operation(
        route="GET /api/payments/my-payments",
        handler="my_payments",
        operation_id="listMyPayments",
        summary="List the student's payments",
        description="Newest first. Stripe is not asked.",
        caller="user",
        query=students.PageQuery,
        answers=(Answer(200, students.Payments, "A page of payments."),),
        errors=TABLES,
    ),
    Operation(
        route="GET /api/payments/payment-methods",
        handler="payment_methods",
        operation_id="listPaymentMethods",
        summary="List the saved payment methods",
        description="They are stored at Stripe only. A method that was saved more than once is listed once.",
        caller="user",
        query=students.PageQuery,
        answers=(Answer(200, students.SavedPaymentMethods, "A page of payment methods."),),
        errors=(errors.TooManyRequests, *ASKS_STRIPE, *COMMITS),
    ),
    Operation(
        route="DELETE /api/payments/payment-methods/{payment_method_id}",
        handler="payment_methods",
        operation_id="detachPaymentMethod",
        summary="Detach a saved payment method",
        description="It is detached with all its copies and can never be used again. After a lost answer, `not-found`"
        " means that it is detached. After `contended`, repeat the request. One that a payment plan will charge is"
        " not detached (`payment-method-in-use`).",
        caller="user",
        path={"payment_method_id": "The id of the payment method (`pm_…`)."},
        answers=(Answer(200, students.DetachedPaymentMethod, "It is detached."),),
        errors=(errors.NotFound, errors.MethodInUse, errors.TooManyRequests, *ASKS_STRIPE, *COMMITS),
    ),
    Operation(
        route="POST /api/payments/request-refund",
        handler="request_refund",
        operation_id="requestRefund",
        summary="Request a refund, or withdraw",
        description="A refund of the whole refundable amount. Repeating the call resumes the same request: there is"
        " never a second refund. Where `consumer_region` is `EU`, a request until `withdrawal.possible_until` is a"
        " withdrawal from the contract: without `withdrawal` it changes nothing and is answered"
        " `withdrawal-unconfirmed`, with it the access ends at once. A withdrawal is answered 202 while its money is"
        " due.",
        caller="user",
        body=students.RefundOrder,
        example={"payment_intent_id": "pi_3SXk2eLz9Qw1", "reason": "changed my mind"},
        answers=(
            Answer(200, students.PaymentWithRefundRequest, "The refund was made."),
            Answer(202, students.PaymentWithRefundRequest, "It awaits approval, or Stripe is processing it."),
        ),
        errors=(*REFUNDS, errors.WithdrawalUnconfirmed, errors.TooManyRequests),
    ),
    Operation(
        route="POST /api/payments/{payment_id}/refunds/{request_id}/withdraw",
        handler="request_refund",
        operation_id="withdrawRefundRequest",
        summary="Withdraw a refund request that awaits approval",
        description="The student's own request. Repeating the call answers the same. A request that staff have decided"
        " stays decided, and a withdrawal from the contract cannot be undone: both are answered `refund-refused`.",
        caller="user",
        path={"payment_id": "The id of the payment (`pay_…`).", "request_id": "The id of the request (`rr_…`)."},
        answers=(Answer(200, Payment, "The request is withdrawn, now or before."),),
        errors=(errors.NotFound, errors.RefundRefused, *COMMITS),
    ),
    Operation(
        route="GET /api/plans",
        handler="plans",
        operation_id="listMyPlans",
        summary="List the student's payment plans",
        description="Newest first. Stripe is not asked.",
        caller="user",
        query=students.PageQuery,
        answers=(Answer(200, plans.Plans, "A page of plans."),),
        errors=TABLES,
    ),
    Operation(
        route="POST /api/plans",
        handler="plans",
        operation_id="beginPlan",
        summary="Begin a payment plan",
        description="The plan begins once its first payment settles, and its due dates count from that day. The"
        " student's method is kept for the later charges. A request with another choice, or to pay the full price,"
        f" closes the open payment, and its plan is `ABANDONED`. {BUYING}",
        caller="user",
        body=plans.BeginPlanRequest,
        example={"track": "DP", "offer": "4x", "consent": "2026-11"},
        answers=(
            Answer(200, plans.BegunPlan, "The plan that is already open."),
            Answer(201, plans.BegunPlan, "A new plan."),
        ),
        errors=(
            *BUYS,
            *(errors.UnknownOffer, errors.NotAPlan, errors.ConsentOutdated, errors.CodeNotAccepted),
            *(errors.RegionNotOffered, errors.MethodNotReusable, errors.AmountTooSmall),
        ),
        links=(READ_PLAN,),
    ),
    Operation(
        route="GET /api/plans/{plan_id}",
        handler="plans",
        operation_id="getMyPlan",
        summary="Read one payment plan",
        description="The payments so far, and what happens next and when. While a payment of it is open, Stripe is"
        " asked, at most once within five seconds.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        answers=(Answer(200, plans.Plan, "The plan."),),
        errors=(errors.NotFound, *ASKS_STRIPE, *COMMITS),
    ),
    Operation(
        route="POST /api/plans/{plan_id}/pay",
        handler="plans",
        operation_id="payPlan",
        summary="Pay installments of a plan",
        description="Confirm the payment with Stripe.js and its `client_secret`. The next installment can be paid"
        " before it is due. At most one payment of a plan is open: another one is closed first.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        body=plans.PayPlanRequest,
        example={"what": "next"},
        answers=(
            Answer(200, plans.PlanPayment, "The payment that is already open."),
            Answer(201, plans.PlanPayment, "A new payment."),
        ),
        errors=(*PAYS_PLAN, errors.NothingDue, errors.PaymentInProgress, errors.Forbidden, errors.AmountTooSmall),
        links=(READ_STATUS,),
    ),
    Operation(
        route="POST /api/plans/{plan_id}/payment-method",
        handler="plans",
        operation_id="choosePlanMethod",
        summary="Choose the payment method of a plan",
        description="Without `payment_method`, a SetupIntent is answered. Confirm it with Stripe.js, then send its"
        " method: the later installments are charged to it.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        body=plans.PlanMethodRequest,
        example={},
        answers=(
            Answer(200, plans.Plan, "The method is chosen."),
            Answer(201, plans.SetupIntent, "A SetupIntent to confirm."),
        ),
        errors=(*PAYS_PLAN, errors.MethodNotReusable, errors.Conflicted),
    ),
    Operation(
        route="POST /api/plans/{plan_id}/cancel",
        handler="request_refund",
        operation_id="cancelPlan",
        summary="End a plan",
        description="A membership ends with the period that is paid. Installments are withdrawn within the refund"
        " window of the first payment: access ends, and all money goes back. Afterwards staff decide. A plan of which"
        " nothing is paid is closed. Repeating the request answers the same.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        body=plans.CancelPlanRequest,
        body_required=False,
        example={"reason": "changed my mind"},
        answers=(
            Answer(200, plans.EndedPlan, "It has ended, or ends with the period that is paid."),
            Answer(202, plans.EndedPlan, "Staff decide about the request."),
        ),
        errors=(
            *(*REFUNDS, errors.Conflicted, errors.AlreadyPaid, errors.PaymentInProgress, errors.TooManyRequests),
            errors.WithdrawalUnconfirmed,
        ),
    ),
    Operation(
        route="POST /api/plans/{plan_id}/resume",
        handler="request_refund",
        operation_id="resumePlan",
        summary="Take back the cancellation of a membership",
        description="Until it has ended. Repeating the request answers the same.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        answers=(Answer(200, plans.Plan, "The membership continues."),),
        errors=(errors.NotFound, errors.Conflicted, *COMMITS),
    ),
    Operation(
        route="POST /api/plans/{plan_id}/tracks",
        handler="plans",
        operation_id="beginTrack",
        summary="Begin a track of a membership",
        description="At most ten per membership. Repeating the request answers the same.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        body=plans.BeginTrackRequest,
        example={"track": "DP"},
        answers=(
            Answer(200, plans.Plan, "The track was begun before."),
            Answer(201, plans.Plan, "The track begins."),
        ),
        errors=(
            *(errors.NotFound, errors.UnknownTrack, errors.NoMembershipAccess, errors.AlreadyEnrolled),
            errors.Conflicted,
            *COMMITS,
        ),
    ),
    Operation(
        route="GET /api/plans/{plan_id}/statement",
        handler="plans",
        operation_id="getPlanStatement",
        summary="Read every amount of a plan",
        description="The amounts requested, received, refunded and lost, with ids.",
        caller="user",
        path={"plan_id": "The id of the plan (`pln_…`)."},
        answers=(Answer(200, plans.PlanStatement, "The amounts."),),
        errors=(errors.NotFound, *TABLES),
    ),
    Operation(
        route="GET /api/enrollments",
        handler="enrollments",
        operation_id="listEnrollments",
        summary="List the student's enrollments",
        description="Each with its progress. There is one for each track, so the first page has them all.",
        caller="user",
        query=enrollments.EnrollmentsQuery,
        answers=(Answer(200, enrollments.Enrollments, "All enrollments."),),
        errors=TABLES,
    ),
    Operation(
        route="GET /api/enrollments/{track}/explain",
        handler="enrollments",
        operation_id="explainEnrollment",
        summary="Explain why the student is enrolled in a track, or why not",
        description="In plain words, also for a track that the student has not bought.",
        caller="user",
        path={"track": "The code of the track."},
        answers=(Answer(200, enrollments.EnrollmentExplanation, "The explanation."),),
        errors=(errors.NotFound, *TABLES),
    ),
    Operation(
        route="GET /api/me/export",
        handler="my_data",
        operation_id="exportMyData",
        summary="Export everything that is stored about the student",
        description="In parts: send `next_cursor` as `cursor` until it is null. A part counts as ten requests in the"
        " student's limits.",
        caller="user",
        query=personal_data.PersonalDataQuery,
        answers=PERSONAL_DATA,
        errors=(errors.TooManyRequests, *COMMITS),
    ),
    Operation(
        route="POST /api/me/email",
        handler="my_email",
        operation_id="correctMyEmail",
        summary="Correct the stored email address",
        description="To the verified address of the token, at Stripe and in all payments. Repeat the request until"
        " `complete` is true. It counts as ten requests in the student's limits.",
        caller="user",
        answers=(Answer(200, personal_data.CorrectedEmail, "The address is corrected, or was correct."),),
        errors=(errors.Forbidden, errors.Conflicted, errors.LegalHold, errors.TooManyRequests, *ASKS_STRIPE, *COMMITS),
    ),
    Operation(
        route="POST /api/me/sign-out-everywhere",
        handler="me",
        operation_id="signOutEverywhere",
        summary="Sign out on every device",
        description="All refresh tokens are revoked. A token that a device has stays valid until `tokens_valid_until`."
        " Cognito's hosted page keeps its own session in each browser, for an hour after a sign-in. Only a sign-out"
        " there ends it. `conflict`: the school uses a sign-in service of its own.",
        caller="user",
        answers=(Answer(200, students.SignedOut, "All refresh tokens are revoked."),),
        errors=(errors.Conflicted, errors.TooManyRequests, *COMMITS),
    ),
    Operation(
        route="DELETE /api/me",
        handler="me",
        operation_id="eraseMe",
        summary="Erase the student's data",
        description="The sign-in ends within minutes, and the erasure is done once no token is valid any more. Payments"
        " that were never paid are closed. Access and the chance of a refund end with the sign-in. Repeating the"
        " request answers the same erasure. While money is open, `money-open` says why and, if known, until when.",
        caller="user",
        answers=(Answer(202, students.OwnErasure, "The erasure is scheduled, or done."),),
        errors=(errors.MoneyOpen, errors.LegalHold, *ASKS_STRIPE, *COMMITS),
    ),
    Operation(
        route="POST /api/payments/webhook",
        handler="webhook",
        operation_id="receiveStripeEvent",
        summary="Receive an event from Stripe",
        description="Authorized by the HMAC-SHA256 of the raw body in `Stripe-Signature`, at most 300 s old. Events may"
        " arrive in any order and more than once. After a 5xx Stripe delivers the event again.",
        caller="stripe",
        answers=(Answer(200, students.ReceivedEvent, "The event was received."),),
        errors=(errors.BadRequest, errors.SignatureRefused, *ASKS_STRIPE, *COMMITS),
    ),
)
