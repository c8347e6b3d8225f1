// Whether the process of this container says that it is well: the health check of images whose platform has none of its own.
const port = process.env.DEFLECTOR_METRICS_PORT || process.env.DEFLECTOR_PORT || '9464';
try {
  const { ok } = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(8000) });
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  console.error(`${error.message}: ${error.cause?.message ?? ''}`);
  process.exitCode = 1;
}
