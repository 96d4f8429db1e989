/** Values of a span; undefined ones are left out. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>

/** What a span is of: a request to this server, a request of this server to another, or work within. */
export type SpanKind = 'server' | 'client' | 'internal'

/** One piece of work in a trace. */
export interface Span {
  /** 32 hexadecimal digits; undefined where this trace is not recorded. */
  readonly traceId: string | undefined
  set(attributes: Attributes): void
  /** What is begun in the work lies within this span. */
  within<T>(work: () => T): T
  /** To be called once. @param failure why the work failed: its code is kept, and no word of it. */
  end(failure?: unknown): void
}

export interface StartOptions {
  readonly kind?: SpanKind
  readonly attributes?: Attributes
  /** Headers of the request that asks for the work: `traceparent` and what else tells where it belongs. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>>
  /** When it began, in milliseconds ago; 0 when left out. */
  readonly millisAgo?: number
}

/** Begins spans, each within the one that is under way where it is begun. */
export interface Spans {
  start(name: string, options?: StartOptions): Span
  /** What is begun in the work lies within nothing that is under way here: it goes on when that has ended. */
  apart<T>(work: () => T): T
}

/** Does something in a span that ends with it; without spans it just does it. */
export function inSpan<T>(spans: Spans | undefined, name: string, options: StartOptions, work: () => T): T {
  if (!spans) return work()
  const span = spans.start(name, options)
  try {
    const result = span.within(work)
    if (!(result instanceof Promise)) span.end()
    else
      result.then(
        () => span.end(),
        (error: unknown) => span.end(error ?? 'rejected'),
      )
    return result
  } catch (error) {
    span.end(error)
    throw error
  }
}
