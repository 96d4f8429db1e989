import {
  type ASTVisitor,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  OperationTypeNode,
  type ValidationContext,
  validate,
} from 'graphql'
import { createYoga, type GraphQLParams, type Plugin } from 'graphql-yoga'
import { LRUCache } from 'lru-cache'
import { type Asker, createContext, type Services } from '../graphql/context.ts'
import { createOperation, type Operation } from '../graphql/execution/operation.ts'
import { createLimitsRule, DEFAULT_LIMITS, excessOf, type Limits, tokensIn } from '../graphql/limits.ts'
import { createErrorMask } from '../graphql/mask-error.ts'
import { schema } from '../graphql/schema.ts'

export interface YogaOptions {
  readonly services: Services
  /** Told of every failure whose cause clients do not see. */
  readonly onHiddenError: (error: unknown) => void
  readonly limits?: Partial<Limits> | undefined
  /** Whether operations may ask for the schema; default true. */
  readonly introspection?: boolean | undefined
  /** How long a query may take until its answer begins; 30,000 when left out. A mutation takes the time that it takes. */
  readonly queryMillis?: number | undefined
}

export type GraphqlResult = ExecutionResult | AsyncIterable<ExecutionResult> | undefined

export interface GraphqlServer {
  /** @param method of the request: a GET executes no mutation. */
  execute(params: GraphQLParams, method: string, asker: Asker): Promise<GraphqlResult>
  /** Turns any failure into what a client may read. */
  readonly maskError: (error: unknown) => GraphQLError
}

interface YogaContext {
  readonly asker: Asker
}

/**
 * Yoga parses, validates, and decides what may be executed; that is not asked again for an operation that comes again. HTTP is not
 * its part: bodies leave by `node:http` alone.
 */
export function createGraphqlServer({ services, onHiddenError, ...options }: YogaOptions): GraphqlServer {
  const { queryMillis = 30_000, introspection = true } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const maskError = createErrorMask(onHiddenError)
  const known = new LRUCache<string, Operation>({ max: 256 })

  async function answer(operation: Operation, params: GraphQLParams, asker: Asker): Promise<ExecutionResult> {
    const millis = operation.type === OperationTypeNode.QUERY ? queryMillis : undefined
    const { context, deadline, close } = createContext(services, asker, millis)
    const { data, errors } = await operation.execute(params.variables ?? {}, context)
    deadline.keep()
    close()
    return errors ? { errors: errors.map(maskError), ...(data === undefined ? {} : { data }) } : { data }
  }

  const execution: Plugin<YogaContext> = {
    onExecute({ args, setExecuteFn }) {
      const { document, operationName, contextValue } = args as ExecutionArgs & {
        contextValue: YogaContext & { params: GraphQLParams }
      }
      const { params, asker } = contextValue
      setExecuteFn(async () => {
        const operation = createOperation({ schema, document, operationName, limits })
        known.set(keyOf(params), operation)
        return await answer(operation, params, asker)
      })
    },
  }
  const yoga = createYoga<YogaContext>({
    schema,
    plugins: [useLimits(limits), ...(introspection ? [] : [withoutIntrospection]), execution],
    maskedErrors: { maskError, isDev: false },
    parserAndValidationCache: { documentCache: boundedCache(), errorCache: boundedCache() },
    logging: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    cors: false,
  })
  return {
    maskError,
    async execute(params, method, asker) {
      const operation = known.get(keyOf(params))
      // What else a GET asks for is refused there.
      if (operation && (operation.type === OperationTypeNode.QUERY || method === 'POST')) {
        return await answer(operation, params, asker)
      }
      // What Yoga's hooks look at of a request: the method decides whether mutations may run.
      return await yoga.getResultForParams({ params, request: { method } as Request }, { asker })
    },
  }
}

/** An empty name is none of the document's, and not the lack of one. */
function keyOf({ query, operationName }: GraphQLParams): string {
  return operationName == null ? ` ${query}` : `${JSON.stringify(operationName)} ${query}`
}

/** Keys are whole query texts, so few of them, none above the limit of their size. */
function boundedCache<T extends object>() {
  const entries = new LRUCache<string, T>({ max: 256 })
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
