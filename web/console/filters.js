// The filters of the payments list: parameters of the address and of the API alike.

const FILTERS = [
  "q",
  "status",
  "track",
  "refunded",
  "attention",
  "disputed",
  "refund_request",
  "from",
  "to",
  "amount_min",
  "amount_max",
];

/** The filters that are set in a route's query. */
export const activeFilters = (query) =>
  Object.fromEntries(FILTERS.filter((name) => query[name]).map((name) => [name, query[name]]));

export const hasFilters = (query) => Object.keys(activeFilters(query)).length > 0;
