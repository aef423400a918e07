#!/usr/bin/env bash
# SQLite 3.40 to 3.53 (apsw wheels carry it): a float that goes through text or JSON inside the
# database is another one.
#
# An expert would expect: REAL is an IEEE double, and the JSON functions write a number so that it
#   reads back the same, as Python's json does; a literal with 17 significant digits is read as the
#   double that it was printed from.
# Seen: json_array() keeps 15 digits up to 3.53, so that 92 % of random floats in [0, 1) come back
#   different; CAST to TEXT does so up to 3.51. A literal of random bits, so of any exponent, is
#   read as a neighbour by 3.51 once in six times (by 3.40 once in a hundred), though never here
#   in [0, 1). 3.40 writes infinity as [Inf], which is no JSON. 3.54 has none of it. Debian 12
#   and Python built there still have 3.40.
# Why it matters: a run kept in SQLite is compared with a replay for equality. Values bound as
#   parameters are safe; views, triggers, exports by json_object() and SQL dumps are not, and a
#   newer SQLite in between is not either.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
for version in 3.40.1.0 3.51.2.0 3.53.0.0 3.54.1.0; do
    "$work/venv/bin/pip" install --quiet apsw=="$version"
    "$work/venv/bin/python" - <<'PY'
import json, random, struct
import apsw

connection = apsw.Connection(":memory:")


def ask(sql, *values):
    return next(iter(connection.execute(sql, values)))[0]


draw = random.Random(1)
unit = [draw.random() for _ in range(20_000)]
bits = [struct.unpack("d", struct.pack("Q", draw.getrandbits(64)))[0] for _ in range(20_000)]
bits = [x for x in bits if abs(x) < float("inf")]  # neither infinity nor NaN
through_json = sum(json.loads(ask("select json_array(?)", x)) != [x] for x in unit) / len(unit)
through_text = sum(float(ask("select cast(? as text)", x)) != x for x in unit) / len(unit)
literal = [sum(ask(f"select {x!r}") != x for x in some) / len(some) for some in (unit, bits)]
bound = sum(ask("select ?", x) != x for x in unit + bits)
print(f"SQLite {apsw.sqlitelibversion()}: changed by json_array {through_json:.0%}, by cast {through_text:.0%};"
      f" literals in [0, 1) {literal[0]:.0%}, of any bits {literal[1]:.0%}; bound {bound};"
      f" 0.1 + 0.2 {ask('select json_array(0.1 + 0.2)')}, infinity {ask('select json_array(9e999)')}")
PY
done | tee "$work/seen"
diff - "$work/seen" <<'EXPECTED'
SQLite 3.40.1: changed by json_array 92%, by cast 92%; literals in [0, 1) 0%, of any bits 1%; bound 0; 0.1 + 0.2 [0.3], infinity [Inf]
SQLite 3.51.2: changed by json_array 92%, by cast 92%; literals in [0, 1) 0%, of any bits 16%; bound 0; 0.1 + 0.2 [0.3], infinity [9.0e+999]
SQLite 3.53.0: changed by json_array 92%, by cast 0%; literals in [0, 1) 0%, of any bits 0%; bound 0; 0.1 + 0.2 [0.3], infinity [9.0e+999]
SQLite 3.54.1: changed by json_array 0%, by cast 0%; literals in [0, 1) 0%, of any bits 0%; bound 0; 0.1 + 0.2 [0.30000000000000004], infinity [9.0e+999]
EXPECTED
