// Sends with OpenTelemetry's SDK for JavaScript: node client.mjs http|proto RUN COUNT
// Everything that an operator would set comes from OTEL_… in the environment. With a COUNT it makes
// so many records and ends; with 0 it goes on, and sends often, until its stdin ends.
import { SeverityNumber } from "@opentelemetry/api-logs";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const EVERY_MS = 150;
const PAUSE_MS = 20;

const [encoding, run, counted] = process.argv.slice(2);
const count = Number(counted);
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${encoding}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${encoding}`);
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${encoding}`);

const delay = count === 0 ? EVERY_MS : 60_000;
const resource = resourceFromAttributes({ "service.name": "langsmith_frontend", env: "x" });
const logs = new LoggerProvider({
  resource,
  processors: [
    new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(), scheduledDelayMillis: delay }),
  ],
});
const reader = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter(),
  exportIntervalMillis: delay,
  exportTimeoutMillis: Math.min(delay, 30_000),
});
const metrics = new MeterProvider({ resource, readers: [reader] });
const traces = new BasicTracerProvider({
  resource,
  spanProcessors: [
    new BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: delay }),
  ],
});
const logger = logs.getLogger("ls");
const meter = metrics.getMeter("ls");
const counter = meter.createCounter("langsmith.runs");
const histogram = meter.createHistogram("langsmith.seconds");
const tracer = traces.getTracer("ls");

function make(number) {
  const last = String(number).padStart(6, "0");
  logger.emit({
    severityNumber: SeverityNumber.ERROR,
    severityText: "ERROR",
    body: { text: "Failed ünïcode 漢字", n: [1, 2.5, true, null] },
    attributes: { mark: `keep-${run}-log-${last}`, pool: 95 },
  });
  logger.emit({
    severityNumber: SeverityNumber.INFO,
    severityText: "INFO",
    body: "fine",
    attributes: { mark: `info-${run}-log-${last}` },
  });
  counter.add(3, { mark: `keep-${run}-sum-${last}` });
  histogram.record(0.5, { mark: `keep-${run}-hist-${last}` });
  const span = tracer.startSpan("run", { attributes: { mark: `keep-${run}-span-${last}` } });
  span.addEvent("token", { n: number });
  span.end();
}

for (let number = 0; number < count; number++) make(number);
if (count === 0) {
  let ended = false;
  process.stdin.on("end", () => (ended = true)).resume();
  for (let number = 0; !ended; number++) {
    make(number);
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}
await Promise.allSettled([logs.shutdown(), metrics.shutdown(), traces.shutdown()]);
