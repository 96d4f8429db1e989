import {
  type ASTVisitor,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  OperationTypeNode,
  type ValidationContext,
  validate,
} from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import { type Asker, createContext, type Services } from '../graphql/context.ts'
import type { EventStream, SubscribeOptions } from '../graphql/event-stream.ts'
import { createOperation } from '../graphql/execution/operation.ts'
import { createLimitsRule, DEFAULT_LIMITS, excessOf, type Limits, tokensIn } from '../graphql/limits.ts'
import { createErrorMask } from '../graphql/mask-error.ts'
import { schema } from '../graphql/schema.ts'
import { createSubscriptions, type MayWatch } from '../graphql/subscriptions.ts'
import { SILENT } from '../telemetry/telemetry.ts'
import type { AskedParams } from './graphql-request.ts'
import { type ObservedOperation as Operation, observeFailures, observeOperation } from './observe-operation.ts'

export interface YogaOptions {
  readonly services: Services
  /** Told of every failure whose cause clients do not see. */
  readonly onHiddenError: (error: unknown) => void
  readonly limits?: Partial<Limits> | undefined
  /** Whether operations may ask for the schema; default true. */
  readonly introspection?: boolean | undefined
  /** How long a query may take until its answer begins; 30,000 when left out. A mutation takes the time that it takes. */
  readonly queryMillis?: number | undefined
  /** Whether a viewer may watch a run, or the runs; everybody may when it is left out. */
  readonly mayWatch?: MayWatch | undefined
  /** After so long whoever gets events is asked again who he is; a minute when left out. */
  readonly recheckMillis?: number | undefined
}

export type GraphqlResult = ExecutionResult | AsyncIterable<ExecutionResult> | undefined

export interface GraphqlServer {
  /** @param method of the request: a GET executes no mutation. */
  execute(params: AskedParams, method: string, asker: Asker): Promise<GraphqlResult>
  /**
   * Begins a subscription, or answers any other operation as `execute` does for a POST. The signal of the asker counts until this
   * resolves; from then on whoever got the stream ends it by its `return`. Errors are masked.
   */
  subscribe(params: AskedParams, asker: Asker, options?: SubscribeOptions): Promise<ExecutionResult | EventStream>
  /** Turns any failure into what a client may read. */
  readonly maskError: (error: unknown, asker?: Asker) => GraphQLError
}

interface YogaContext {
  readonly asker: Asker
  /** As they were asked; Yoga itself takes none but those that it knows. */
  readonly asked: AskedParams
  /** Whether a subscription is what is asked for: it is begun by who asked, and not by Yoga. */
  readonly isForStream?: true
}

/** Whoever writes sees what is there. */
const MUTATING = { millis: undefined, atLeast: 'all' } as const
const NEEDS_STREAM = 'A subscription is answered as text/event-stream, or over WebSocket'

/**
 * Yoga parses, validates, and decides what may be executed; that is not asked again for an operation that comes again. HTTP is not
 * its part: bodies leave by `node:http` alone.
 */
export function createGraphqlServer({ services, onHiddenError, ...options }: YogaOptions): GraphqlServer {
  const { queryMillis = 30_000, introspection = true } = options
  const { telemetry = SILENT } = services
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const failures = observeFailures(telemetry)
  const createMask = (report: (error: unknown) => void) => failures.observe(createErrorMask(report))
  const maskUnasked = createMask(onHiddenError)
  const maskError = (error: unknown, asker?: Asker) =>
    asker?.report ? createMask((hidden) => asker.report?.(hidden))(error) : maskUnasked(error)
  const known = createKnownOperations()
  const subscriptions = createSubscriptions({
    services,
    maskError: maskUnasked,
    queryMillis,
    mayWatch: options.mayWatch,
    recheckMillis: options.recheckMillis,
  })

  async function answer(operation: Operation, params: AskedParams, asker: Asker): Promise<ExecutionResult> {
    const refusal = refusalOf(operation, asker)
    if (refusal) return { errors: [maskError(refusal)] }
    const isQuery = operation.type === OperationTypeNode.QUERY
    const { context, deadline, close } = createContext(
      services,
      asker,
      isQuery ? { millis: queryMillis, atLeast: asker.after } : MUTATING,
    )
    const began = performance.now()
    const { variables, body } = params
    const result = await operation.within(() => operation.execute(variables ?? {}, context, body))
    operation.ended(began, result)
    const { data, errors } = result
    deadline.keep()
    close()
    const position = isQuery ? undefined : await services.noteWrite?.(asker.viewer)
    if (position !== undefined) asker.wrote?.(position)
    return errors
      ? { errors: errors.map((error) => maskError(error, asker)), ...(data === undefined ? {} : { data }) }
      : { data }
  }

  function learn({ document, operationName, contextValue: { asked } }: YogaArgs): Operation {
    const operation = observeOperation(createOperation({ schema, document, operationName, limits }), telemetry)
    known.set(asked, operation)
    return operation
  }

  const execution: Plugin<YogaContext> = {
    onExecute({ args, setExecuteFn }) {
      const { contextValue } = args as YogaArgs
      setExecuteFn(async () => await answer(learn(args as YogaArgs), contextValue.asked, contextValue.asker))
    },
    onSubscribe({ args, setSubscribeFn }) {
      const { contextValue } = args as YogaArgs
      setSubscribeFn(async () => {
        learn(args as YogaArgs)
        if (!contextValue.isForStream) throw new AppError('BAD_REQUEST', NEEDS_STREAM)
        return { data: null }
      })
    },
  }
  const yoga = createYoga<YogaContext>({
    schema,
    plugins: [useLimits(limits), ...(introspection ? [] : [withoutIntrospection]), execution],
    maskedErrors: { maskError: (error) => maskUnasked(error), isDev: false },
    parserAndValidationCache: { documentCache: boundedCache(), errorCache: boundedCache() },
    logging: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: false,
  })
  // What Yoga's hooks look at of a request: the method decides whether mutations may run.
  const askYoga = async (method: string, context: YogaContext) => {
    const { body: _body, ...params } = context.asked
    const result = await yoga.getResultForParams({ params, request: { method } as Request }, context)
    // What was not executed was not masked.
    if (result && 'errors' in result) failures.tell(result.errors ?? [])
    return result
  }

  return {
    maskError,
    async execute(asked, method, asker) {
      const operation = known.get(asked)
      if (operation?.type === OperationTypeNode.SUBSCRIPTION) throw new AppError('BAD_REQUEST', NEEDS_STREAM)
      // What else a GET asks for is refused there.
      if (operation && (operation.type === OperationTypeNode.QUERY || method === 'POST')) {
        return answer(operation, asked, asker)
      }
      return await askYoga(method, { asker, asked })
    },
    async subscribe(asked, asker, options) {
      const before = known.get(asked)
      const result = before ? undefined : await askYoga('POST', { asker, asked, isForStream: true })
      const operation = before ?? known.get(asked)
      if (operation?.type === OperationTypeNode.SUBSCRIPTION) {
        const refusal = refusalOf(operation, asker)
        if (refusal) return { errors: [maskError(refusal)] }
        const begin = { variables: asked.variables ?? {}, asker, ...options }
        const began = performance.now()
        const begun = await operation.within(() => subscriptions.begin(operation, begin))
        operation.ended(began, 'errors' in begun ? begun : {})
        return begun
      }
      if (result) return result as ExecutionResult
      return operation ? await answer(operation, asked, asker) : {}
    },
  }
}

type YogaArgs = ExecutionArgs & { readonly contextValue: YogaContext }

/** Before anything is executed: an operation runs with all of its fields, or not at all. */
function refusalOf({ scopes }: Operation, { viewer }: Asker): AppError | undefined {
  if (scopes.every((scope) => viewer.scopes.has(scope))) return undefined
  const missing = scopes.filter((scope) => !viewer.scopes.has(scope))
  return new AppError('FORBIDDEN', `That operation needs the scope ${missing.join(' and ')}`)
}

/** By the text and the name: an empty name is none of the document's, and not the lack of one. */
function createKnownOperations() {
  const byText = new LRUCache<string, Map<string | null, Operation>>({ max: OPERATIONS_MAX })
  return {
    get: ({ query = '', operationName }: AskedParams) => byText.get(query)?.get(operationName ?? null),
    set({ query = '', operationName }: AskedParams, operation: Operation): void {
      const byName = byText.get(query) ?? new Map<string | null, Operation>()
      byText.set(query, byName.set(operationName ?? null, operation))
    },
  }
}

/** Keys are whole query texts, so few of them, none above the limit of their size. */
const OPERATIONS_MAX = 256

function boundedCache<T extends object>() {
  const entries = new LRUCache<string, T>({ max: OPERATIONS_MAX })
  return {
    get: (key: string) => entries.get(key),
    set: (key: string, value: T) => void entries.set(key, value),
  }
}

/** The SDL that a router asks for tells as much. */
const withoutIntrospection: Plugin<YogaContext> = {
  onValidate: ({ addValidationRule }) => addValidationRule(schemaStaysHidden),
}

function schemaStaysHidden(context: ValidationContext): ASTVisitor {
  const hidden = new Set(['__schema', '__type', '_service'])
  return {
    Field(node) {
      if (hidden.has(node.name.value) && context.getParentType() === context.getSchema().getQueryType()) {
        context.reportError(new GraphQLError('This server does not tell its schema', { nodes: node }))
      }
    },
  }
}

function useLimits(limits: Limits): Plugin<YogaContext> {
  const rule = createLimitsRule(limits)
  return {
    onParse({ params, setParseFn, parseFn }) {
      const text = params.source.toString()
      // One literal is one token, however long: the text is bounded by itself.
      const excess = excessOf({ queryBytes: Buffer.byteLength(text) }, limits)
      if (excess) throw excess
      setParseFn((source, options) =>
        parseWithin(limits, text, () => parseFn(source, { ...options, maxTokens: limits.tokens })),
      )
    },
    onValidate({ addValidationRule, setValidationFn }) {
      addValidationRule(rule)
      setValidationFn((validatedSchema, document, rules) =>
        validate(validatedSchema, document, rules, { maxErrors: 10, hideSuggestions: true }),
      )
    },
  }
}

function parseWithin<Document>(limits: Limits, text: string, parse: () => Document): Document {
  try {
    return parse()
  } catch (error) {
    const tokens = tokensIn(text)
    // Few of them are enough to nest lists deeper than the parser can follow.
    throw excessOf({ tokens, depth: error instanceof RangeError ? tokens : 0 }, limits) ?? error
  }
}
