// Sends traces to an OpenTelemetry collector: node --import ./tracing.mjs node_modules/.bin/statelens serve
// npm install @opentelemetry/sdk-trace-node @opentelemetry/resources @opentelemetry/exporter-trace-otlp-http
// OTEL_EXPORTER_OTLP_ENDPOINT says where it is (http://localhost:4318), OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG how many are kept.
import { hostname } from 'node:os'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({
    'service.name': process.env['OTEL_SERVICE_NAME'] ?? 'statelens',
    'service.instance.id': `${hostname()}:${process.pid}`,
  }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
})
provider.register()
// What is still here when the server has ended.
process.once('beforeExit', () => provider.shutdown())
