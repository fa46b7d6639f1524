// The filters of the lists of payments and plans: parameters of the address and of the API alike.

const FILTERS = [
  "q",
  "status",
  "track",
  "refunded",
  "attention",
  "disputed",
  "refund_request",
  "method",
  "failure",
  "from",
  "to",
  "amount_min",
  "amount_max",
  "currency",
];

/** The filters of the list of plans that an export has too. */
export const PLAN_FILTERS = ["status", "kind", "track", "due_from", "due_to", "attention"];

/** The filters that are set in a route's query, of those with these names. */
export const activeFilters = (query, names = FILTERS) =>
  Object.fromEntries(names.filter((name) => query[name]).map((name) => [name, query[name]]));

export const hasFilters = (query) => Object.keys(activeFilters(query)).length > 0;

const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text);
const isAmount = (text) => /^\d{1,12}$/.test(text);

/** The errors in the filters of an address: a sentence by the name of the filter. */
export function filterErrors({ from, to, amount_min: min, amount_max: max }) {
  const errors = {};
  for (const [name, day] of Object.entries({ from, to }))
    if (day && !isDay(day)) errors[name] = "Enter a day, such as 2026-11-23.";
  for (const [name, amount] of Object.entries({ amount_min: min, amount_max: max }))
    if (amount && !isAmount(amount)) errors[name] = AMOUNT_ERROR;
  if (!errors.from && !errors.to && from && to && from > to) errors.from = "The start date can’t be after the end date.";
  if (!errors.amount_min && !errors.amount_max && min && max && Number(min) > Number(max))
    errors.amount_min = "The minimum amount can’t be higher than the maximum.";
  return errors;
}

export const AMOUNT_ERROR = "Enter an amount, such as 49.50.";
