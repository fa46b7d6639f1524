-- The tables of the archive for DuckDB, over the files below the current folder. Athena has them from the template.
-- A nested value is a text of JSON, as in Athena. A record may be in two files, so `records` has each line once.
CREATE OR REPLACE MACRO json_extract_scalar(value, path) AS json_extract_string(value, path);

CREATE OR REPLACE VIEW records AS
SELECT DISTINCT * FROM read_json(
    'records/*/*.jsonl.gz',
    format = 'newline_delimited',
    hive_partitioning = true,
    hive_types = {'dt': VARCHAR},
    columns = {
        subject: 'VARCHAR', seq: 'BIGINT', "at": 'VARCHAR', event_id: 'VARCHAR', type: 'VARCHAR', source: 'VARCHAR',
        actor: 'VARCHAR', user_id: 'VARCHAR', track: 'VARCHAR', transition: 'JSON', facts: 'JSON',
        previous: 'VARCHAR', schema_version: 'BIGINT', hash: 'VARCHAR'
    }
);

CREATE OR REPLACE VIEW final_forms AS
SELECT DISTINCT * FROM read_json(
    'final/*/*.json.gz',
    format = 'newline_delimited',
    hive_partitioning = true,
    hive_types = {'dt': VARCHAR},
    columns = {
        schema_version: 'BIGINT', payment_id: 'VARCHAR', user_id: 'VARCHAR', track: 'VARCHAR', kind: 'VARCHAR',
        attempt: 'BIGINT', version: 'BIGINT', audit_head: 'VARCHAR', status: 'VARCHAR', created_at: 'VARCHAR',
        closed_at: 'VARCHAR', amount: 'BIGINT', currency: 'VARCHAR', price: 'JSON', list_amount: 'BIGINT',
        first_purchase: 'BOOLEAN', stripe_payment_intent: 'VARCHAR', stripe_checkout_session: 'VARCHAR',
        stripe_charge_id: 'VARCHAR', refund_amount: 'BIGINT', lost_amount: 'BIGINT', refunded_at: 'VARCHAR',
        facts: 'JSON', refund_requests: 'JSON'
    }
);
