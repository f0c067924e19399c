// What the demo's traffic always has: a checkout whose payment was asked twice.

async function json(address) {
  // Records can be found some milliseconds after they were acknowledged.
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(address);
    const body = await answer.json();
    if (answer.ok && (body.traces?.length ?? 1)) return body;
    if (attempt === 100) throw new Error(`${address}: ${answer.status} ${JSON.stringify(body).slice(0, 200)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** The slowest of them: its trace, the call that timed out, and another trace like it. */
export async function slowTrace(site) {
  const query = encodeURIComponent("service:payment status:error duration>1500ms");
  const { traces } = await json(`${site}/api/v1/traces?q=${query}&range=1d&order=longest&limit=2`);
  const { trace } = await json(`${site}/api/v1/traces/${traces[0].traceId}`).then((body) => ({ trace: body }));
  const spans = (trace.resourceSpans ?? []).flatMap((resource) => resource.scopeSpans.flatMap(({ spans }) => spans));
  const length = (span) => BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano);
  const failed = spans.filter((span) => span.status?.code === 2).sort((a, b) => Number(length(a) - length(b)));
  return { trace: traces[0].traceId, span: failed[0].spanId, other: traces[1].traceId };
}
