// The emails about a decision, as they are sent: `tuition/outbox/en.toml` has the same texts, and a test compares them.

/** The subjects, by the section of the catalog. */
export const SUBJECTS = {
  refund_made: "We refunded {amount} for {track}",
  refund_made_in_part: "We refunded {amount} of your payment for {track}",
  refund_approved: "Your refund of {amount} was approved",
  refund_declined: "Your refund request for {amount} was declined",
};

/** The heading of the message of staff. */
export const MESSAGE_HEADING = "The school wrote:";

/** The subject of an email, with its values. */
export const subjectOf = (section, values) => SUBJECTS[section].replace(/\{(\w+)\}/g, (_, name) => values[name]);
