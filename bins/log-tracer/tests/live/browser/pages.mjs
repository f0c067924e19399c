// Every page, one line each. A page that is new is tested by a line here: in light and dark, at three widths, with and
// without JavaScript.

import { TRACES, UNICODE_SERVICE, UNICODE_SPAN } from "./hard.mjs";

const enc = encodeURIComponent;

/**
 * `on` names the server: `empty` has nothing, `full` has the demo's quarter of an hour and the hard cases. `texts` must
 * be on the page, `status` is 200 unless it is said here.
 */
export function pages({ slow }) {
  const trace = `/trace/${slow.trace}`;
  const hard = (name) => `/trace/${TRACES[name]}`;
  return [
    { name: "first run", on: "empty", path: "/", texts: ["Waiting for the first span"] },
    { name: "no traces", on: "empty", path: "/traces", texts: ["Nothing has arrived yet"] },
    { name: "live traces without one", on: "empty", path: "/traces/live", texts: ["No trace matches yet"] },
    { name: "no logs", on: "empty", path: "/logs", texts: ["Nothing has arrived yet"] },
    { name: "no map", on: "empty", path: "/map", texts: ["Nothing has arrived yet"] },
    { name: "idle pipeline", on: "empty", path: "/pipeline", texts: ["Partitions"] },
    { name: "live without a trace", on: "empty", path: "/traces/live", texts: ["No trace matches yet"] },
    { name: "live without a line", on: "empty", path: "/logs/live", texts: ["No record matches yet"] },

    { name: "overview", on: "full", path: "/", texts: ["checkout", "What changed"] },
    { name: "service", on: "full", path: "/service?name=payment", texts: ["operations", "Called by"] },
    { name: "service of unicode", on: "full", path: `/service?name=${enc(UNICODE_SERVICE)}`, texts: [UNICODE_SERVICE] },
    { name: "service that is not there", on: "full", path: "/service?name=nobody", status: 404 },

    { name: "traces", on: "full", path: "/traces?range=1d", texts: ["matched", "scanned"] },
    { name: "traces by duration", on: "full", path: "/traces?q=status%3Aerror&order=longest&range=1d&min=1ms&max=1h", texts: ["error"] },
    { name: "heat map", on: "full", path: "/traces?view=heat&range=1h", texts: [] },
    { name: "live traces", on: "full", path: "/traces/live", texts: ["Back to the list"] },
    { name: "traces without a match", on: "full", path: "/traces?q=service%3Anobody", texts: ["No trace matches"] },
    { name: "traces with a bad query", on: "full", status: 400, path: "/traces?q=service%3A%28", texts: ["The query cannot be read"] },

    { name: "trace", on: "full", path: trace, texts: ["critical path", "Log records"] },
    { name: "trace with a span", on: "full", path: `${trace}?span=${slow.span}`, texts: ["Attributes", "Resource"] },
    { name: "trace, logs", on: "full", path: `${trace}?tab=logs`, texts: ["Log records"] },
    { name: "trace, flame graph", on: "full", path: `${trace}?tab=flame`, texts: ["self time", "Critical path"] },
    { name: "trace, graph", on: "full", path: `${trace}?tab=graph`, texts: ["operations", "Called by"] },
    { name: "trace, services by self time", on: "full", path: `${trace}?tab=graph&by=service&colour=self`, texts: ["up to"] },
    { name: "large trace, flame graph", on: "full", path: `${hard("large")}?tab=flame`, texts: ["paths"] },
    { name: "graph of 100 services", on: "full", path: `${hard("wide")}?tab=graph&by=service&colour=total`, texts: ["svc-001"] },
    { name: "trace of logs only, flame graph", on: "full", path: `${hard("logsOnly")}?tab=flame`, texts: ["they have no shape"] },
    { name: "compare with what", on: "full", path: "/compare", texts: ["Which traces?"] },
    { name: "compare with another", on: "full", path: `/compare?a=${slow.trace}`, texts: ["Choose the other trace"] },
    { name: "compare", on: "full", path: `/compare?a=${slow.trace}&b=${TRACES.unicode}`, texts: ["Path by path", "only in A", "only in B"] },
    { name: "compare with itself, all", on: "full", path: `/compare?a=${slow.trace}&b=${slow.trace}&show=all`, texts: ["the same"] },
    { name: "compare by self time", on: "full", path: `/compare?a=${slow.trace}&b=${TRACES.wide}&sort=self`, texts: ["As a tree"] },
    { name: "trace, filtered", on: "full", path: `${trace}?f=status%3Aerror`, texts: ["Show all"] },
    { name: "trace, bad filter", on: "full", status: 400, path: `${trace}?f=%28`, texts: [] },
    { name: "trace, part of its time", on: "full", path: `${trace}?zoom=10ms..200ms`, texts: ["Zoom out", "Whole"] },
    { name: "trace, spans", on: "full", path: `${trace}?tab=spans&sort=self`, texts: ["Self time", "NDJSON"] },
    { name: "trace, operations", on: "full", path: `${trace}?tab=operations`, texts: ["Critical path", "Count"] },
    { name: "trace, logs narrowed", on: "full", path: `${trace}?tab=logs&level=info`, texts: ["Search all logs"] },
    { name: "trace, collapsed", on: "full", path: `${trace}?fold=closed`, texts: [] },
    { name: "odd trace", on: "full", path: hard("odd"), texts: ["five seconds early", "round"] },
    { name: "trace of unicode", on: "full", path: `${hard("unicode")}?span=${UNICODE_SPAN}`, texts: ["日本語の操作"] },
    { name: "large trace", on: "full", path: hard("large"), texts: ["5,000"] },
    { name: "flame graph of unicode", on: "full", path: `${hard("unicode")}?tab=flame`, texts: [] },
    { name: "compare two traces", on: "full", path: `/compare?a=${slow.trace}&b=${slow.other}`, texts: [] },
    { name: "large trace, expanded", on: "full", path: `${hard("large")}?fold=open&from=1200`, texts: ["rows"] },
    { name: "trace of 100 services", on: "full", path: hard("wide"), texts: ["svc-001"] },
    { name: "trace of logs only", on: "full", path: hard("logsOnly"), texts: ["a log record whose trace has no span"] },

    { name: "logs", on: "full", path: "/logs?range=1d", texts: ["matched"] },
    { name: "logs of unicode", on: "full", path: `/logs?range=1d&service=${enc(UNICODE_SERVICE)}`, texts: ["مرحبا"] },
    { name: "logs with columns", on: "full", path: "/logs?range=1d&cols=http.route%2Cuser.id%2Chost.name", texts: ["http.route"] },
    { name: "patterns", on: "full", path: "/logs?view=patterns&range=1d", texts: ["What varies"] },
    { name: "logs with a bad query", on: "full", status: 400, path: "/logs?q=severity%3E", texts: ["The query cannot be read"] },
    { name: "logs without a match", on: "full", path: "/logs?q=nowhere-to-be-found", texts: ["No record matches"] },
    { name: "live logs", on: "full", path: "/logs/live", texts: ["Back to the list"] },
    { name: "live traces", on: "full", path: "/traces/live", texts: ["Back to the list", "as far as its spans have arrived"] },

    { name: "map", on: "full", path: "/map?range=1d", texts: ["Calls"] },
    { name: "map around one", on: "full", path: "/map?range=1d&focus=service%3Acheckout", texts: ["Whole map"] },

    { name: "pipeline", on: "full", path: "/pipeline", texts: ["Partitions", "Records"] },
    { name: "open a file", on: "full", path: "/open", texts: ["A file with traces"] },
    { name: "interfaces", on: "full", path: "/api", texts: ["/api/v1/traces"] },
    { name: "no such page", on: "full", path: "/nowhere", status: 404, texts: ["no page under this address"] },
    { name: "no trace id", on: "full", path: "/trace/xyz", status: 404, texts: ["is not a trace id"] },
    { name: "no such trace", on: "full", path: "/trace/000000000000000000000000000000ff", status: 404 },
    { name: "bad parameter", on: "full", path: "/traces?limit=none", status: 400 },
  ];
}
