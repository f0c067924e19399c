"""Reads /metrics with the parsers of Prometheus's own Python client, in both formats.

usage: metrics.py DASHBOARD
Prints how many samples there are, by format.
"""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

FORMATS = {
    "text/plain; version=0.0.4": text,
    "application/openmetrics-text; version=1.0.0": openmetrics,
}


def samples(url, accept, parse):
    request = urllib.request.Request(url, headers={"accept": accept})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["content-type"].startswith(accept), answer.headers["content-type"]
        families = list(parse(answer.read().decode()))
    for family in families:
        assert family.documentation, f"{family.name} has no help"
        assert family.type in ("gauge", "counter", "histogram"), f"{family.name} is {family.type}"
    return sum(len(family.samples) for family in families)


print(json.dumps({accept: samples(sys.argv[1] + "/metrics", accept, parse) for accept, parse in FORMATS.items()}))
