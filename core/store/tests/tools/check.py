"""Opens the files of two blocks with DuckDB and Polars, and compares what they say with what was written."""

import json
import sys

import duckdb
import polars

expected = json.load(open(sys.argv[1]))


def ask(sql: str):
    return duckdb.sql(sql).fetchall()[0]


def same(what: str, found, wanted) -> None:
    assert found == wanted, f"{what}: {found!r} where {wanted!r} was written"


spans, logs = expected["spans"], expected["logs"]
table = f"read_parquet('{spans['file']}')"

same("rows", ask(f"select count(*) from {table}")[0], spans["rows"])
same("durations", int(ask(f"select sum(duration_ns) from {table}")[0]), spans["duration_ns"])
same("first time", ask(f"select epoch_ns(min(start_time)) from {table}")[0], spans["first_time"])
same("last time", ask(f"select epoch_ns(max(start_time)) from {table}")[0], spans["last_time"])
same("traces", ask(f"select count(distinct trace_id) from {table}")[0], spans["traces"])
same("roots", ask(f"select count(*) from {table} where parent_span_id is null")[0], spans["roots"])
same(
    "a trace",
    ask(f"select count(*) from {table} where lower(hex(trace_id)) = '{spans['trace']}'")[0],
    spans["trace_rows"],
)
same("errors", ask(f"select count(*) from {table} where status_code = 'error'")[0], spans["errors"])
same(
    "an attribute",
    ask(f"select sum(\"attributes.http.response.status_code\") from {table}")[0],
    spans["status_codes"],
)
same("amounts", ask(f"select max(\"attributes.app.amount\") from {table}")[0], spans["amount_max"])
same(
    "services",
    dict(duckdb.sql(f"select service, count(*) from {table} group by service").fetchall()),
    spans["services"],
)
same(
    "a resource",
    ask(f"select count(*) from {table} where resource ->> '$.attributes.\"service.name\"' = service")[0],
    spans["rows"],
)
same(
    "events",
    ask(f"select sum(json_array_length(events)) from {table}")[0],
    spans["events"],
)
same(
    "an event",
    ask(f"select count(*) from {table} where events ->> '$[0].name' = 'cache.lookup'")[0],
    spans["events"],
)
same(
    "other attributes",
    ask(f"select count(*) from {table} where other_attributes ->> '$.\"rare.key\"' = 'rare'")[0],
    spans["rare"],
)

table = f"read_parquet('{logs['file']}')"
same("rows", ask(f"select count(*) from {table}")[0], logs["rows"])
same("bodies", ask(f"select sum(length(body)) from {table}")[0], logs["body_chars"])
same("errors", ask(f"select count(*) from {table} where severity_number >= 17")[0], logs["errors"])

frame = polars.read_parquet(spans["file"])
same("rows", frame.height, spans["rows"])
same("durations", frame["duration_ns"].sum(), spans["duration_ns"])
same("traces", frame["trace_id"].n_unique(), spans["traces"])
same(
    "an attribute",
    frame["attributes.http.response.status_code"].sum(),
    spans["status_codes"],
)
frame = polars.scan_parquet(logs["file"])
same(
    "bodies",
    frame.select(polars.col("body").str.len_chars().sum()).collect().item(),
    logs["body_chars"],
)
print("duckdb", duckdb.__version__, "polars", polars.__version__, "read what was written")
