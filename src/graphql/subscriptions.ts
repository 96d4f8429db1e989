import type { ExecutionResult, GraphQLError } from 'graphql'
import type { Viewer } from '../auth/viewer.ts'
import { AppError } from '../errors.ts'
import type { Delivery } from '../events/watch.ts'
import { type Asker, createContext, type Services } from './context.ts'
import { createEventStream, type EventStream, type SubscribeOptions } from './event-stream.ts'
import type { Operation } from './execution/operation.ts'
import type { Subscription } from './execution/subscription.ts'
import { type AnswerAll, createFrames, toBytes } from './frames.ts'

/** Begins subscriptions. */
export interface Subscriptions {
  /** @returns masked errors where it does not begin. */
  begin(operation: Operation, asked: AskedSubscription): Promise<ExecutionResult | EventStream>
}

export interface AskedSubscription extends SubscribeOptions {
  readonly variables: Readonly<Record<string, unknown>>
  readonly asker: Asker
}

export interface SubscriptionsOptions {
  readonly services: Services
  readonly maskError: (error: unknown) => GraphQLError
  /** How long the reads for an answer may take. */
  readonly queryMillis: number
  /** Whether a viewer may watch a run, or the runs: asked when it begins, and again every minute. Everybody may when it is left out. */
  readonly mayWatch?: MayWatch | undefined
  /** How often that is asked again, in milliseconds; every minute when left out. */
  readonly recheckMillis?: number | undefined
}

/** All runs together are not asked about one by one: whoever is decided about by run watches runs one by one. */
function watchBy(authorize: Services['authorize']): MayWatch {
  if (!authorize) return () => true
  return async (viewer, runId) => runId !== null && (await authorize(viewer, 'read', { runId })) === true
}

/** @param runId null for all runs. */
export type MayWatch = (viewer: Viewer, runId: string | null) => boolean | Promise<boolean>

/** A larger payload is not read into an event: its reader asks for it. */
const PAYLOAD_MAX_BYTES = 1_048_576

const UNMASKED = {}

export function createSubscriptions(options: SubscriptionsOptions): Subscriptions {
  const { maskError, queryMillis, mayWatch = watchBy(options.services.authorize) } = options
  const services = {
    ...options.services,
    payloadMaxBytes: Math.min(options.services.payloadMaxBytes, PAYLOAD_MAX_BYTES),
  }
  // Events are found at the primary, and so is what is asked about them.
  const ofEvents = { millis: queryMillis, atLeast: 'all' } as const
  const frames = createFrames({ maskError })
  const numbers = new WeakMap<object, number>()
  let counted = 0

  function numberOf(one: object): number {
    const number = numbers.get(one) ?? ++counted
    numbers.set(one, number)
    return number
  }

  /**
   * Whoever is in one group gets the same bytes, until states are masked by something else. Where runs are decided about one by one,
   * each viewer is a group; so is he where states or links to them are given out, as the log tells to whom.
   * @returns the name of the group, as it is now.
   */
  function groupOf(operation: Operation, subscription: Subscription, viewer: Viewer): () => string {
    const rights = services.authorize ? numberOf(viewer) : [...viewer.scopes].toSorted()
    const named = subscription.givesStates ? viewer.name : null
    const group = JSON.stringify([numberOf(operation), rights, named, subscription.variant()])
    const policies = () => numberOf(services.policies?.() ?? UNMASKED)
    let known = { policies: policies(), name: '' }
    return () => {
      const now = policies()
      if (known.name === '' || known.policies !== now) known = { policies: now, name: `${now} ${group}` }
      return known.name
    }
  }

  /** One context for all: what one of them reads serves the others. */
  function answerer(subscription: Subscription, viewer: Viewer): AnswerAll {
    return (deliveries: readonly Delivery[]) => {
      const asker = { viewer, signal: new AbortController().signal }
      const { context, deadline, close } = createContext(services, asker, ofEvents)
      const end = () => {
        deadline.keep()
        close()
      }
      const results = deliveries.map(async (delivery) => await subscription.answer(delivery, context))
      Promise.all(results).then(end, end)
      return results
    }
  }

  return {
    async begin(operation, { variables, asker, after }) {
      const { context, deadline } = createContext(services, asker, ofEvents)
      const subscription = operation.subscribe(variables, context)
      if ('errors' in subscription) return { errors: subscription.errors.map(maskError) }
      const args = after === undefined ? subscription.args : { ...subscription.args, after }
      const runId = typeof args['runId'] === 'string' ? args['runId'] : null
      const authorize = async () => {
        await asker.recheck?.()
        if (!(await mayWatch(asker.viewer, runId))) throw new AppError('FORBIDDEN', 'These events may not be watched')
      }
      try {
        await authorize()
        const watch = await subscription.begin(args)
        const group = groupOf(operation, subscription, asker.viewer)
        const answerAll = answerer(subscription, asker.viewer)
        return createEventStream({
          watch,
          authorize,
          authorizeMillis: options.recheckMillis,
          bytesOf: (deliveries) => frames.bytesOf(group(), deliveries, answerAll),
          bytesOfFailure: (error) => toBytes({ errors: [error as GraphQLError] }, maskError),
        })
      } catch (error) {
        return { errors: [maskError(error)] }
      } finally {
        deadline.keep()
      }
    },
  }
}
