import {
  type GraphQLField,
  type GraphQLObjectType,
  getNamedType,
  isAbstractType,
  isLeafType,
  isObjectType,
} from 'graphql'
import { DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, type PageArgs } from '../model/page.ts'
import type { Context } from './context.ts'
import { type Arguments, argumentsOf, type Execution, type FieldPlan, type ObjectPlan } from './execution/execution.ts'

/** What a field may bring into an answer. Left out: one object or one value, and nothing that is read for it alone. */
export interface FieldCost<Args = Arguments> {
  /** Most items of the list; `page` for those of a connection: as many as its field was asked for. */
  readonly items?: ((args: Args) => number) | number | 'page'
  /** Of a connection's field: how many items a page of it holds. */
  readonly page?: (args: Args) => number
  /** False for what only holds other things together. */
  readonly isNode?: false
  /** Payloads that are read whole, past every cache, for one value. */
  readonly verifications?: (args: Args) => number
  /** Places in states that are read for one value. */
  readonly parts?: number
}

/** The extensions of a field that say what it costs; every list has to have them. */
export function costing<Args = Arguments>(cost: FieldCost<Args>) {
  return { cost }
}

export function costOf({ extensions }: GraphQLField<unknown, Context>): FieldCost | undefined {
  return extensions['cost'] as FieldCost | undefined
}

/** For what is a part of its row, and bounded by it. */
export const PART: FieldCost = { isNode: false }

/** For a list that is a part of its row: what is usual. */
export const PARTS: FieldCost = { items: 4, isNode: false }

/** Of a field that is a Relay connection. What is out of range is refused where it is read, and must not make room for others. */
export const CONNECTION: FieldCost<PageArgs> = {
  isNode: false,
  page: ({ first, last }) => Math.min(Math.max(first ?? last ?? DEFAULT_PAGE_SIZE, 0), MAX_PAGE_SIZE),
}

/** What an answer may hold at most. */
export interface Cost {
  /** Objects, but for what only holds others together. */
  readonly nodes: number
  /** Fields, each as often as it stands in the answer. */
  readonly values: number
  readonly verifications: number
  readonly parts: number
}

const NOTHING: Cost = { nodes: 0, values: 0, verifications: 0, parts: 0 }

/** What operations cost whose pages no variable sizes. */
const constant = new WeakMap<ObjectPlan, Cost>()

/** Adds up what the fields of an operation may bring, by the arguments that they will be resolved with. */
export function measure(execution: Execution, root: ObjectPlan): Cost {
  const known = constant.get(root)
  if (known) return known
  const measuring = { execution, isConstant: true }
  const cost = measureObject(measuring, root, 0)
  if (measuring.isConstant) constant.set(root, cost)
  return cost
}

interface Measuring {
  readonly execution: Execution
  isConstant: boolean
}

function measureObject(measuring: Measuring, { fields }: ObjectPlan, page: number): Cost {
  const total = { ...NOTHING }
  for (const field of fields) {
    if (field.isPlainLeaf) total.values++
    else {
      const { nodes, values, verifications, parts } = measureField(measuring, field, page)
      total.nodes += nodes
      total.values += values
      total.verifications += verifications
      total.parts += parts
    }
  }
  return total
}

function measureField(measuring: Measuring, field: FieldPlan, page: number): Cost {
  const cost = costOf(field.definition)
  const args = cost ? argumentsThatFit(measuring, field) : undefined
  // It fails before it reads anything.
  if (cost && !args) return { ...NOTHING, values: 1 }
  const { items = 1, isNode = true, parts = 0 } = cost ?? {}
  const count = items === 'page' ? page : typeof items === 'number' ? items : items(args ?? {})
  const verifications = cost?.verifications?.(args ?? {}) ?? 0
  const type = getNamedType(field.definition.type)
  if (isLeafType(type)) return { nodes: 0, values: 1 + count, verifications, parts }
  const inner = measureItem(measuring, field, cost?.page?.(args ?? {}) ?? page)
  return {
    nodes: count * (inner.nodes + (isNode ? 1 : 0)),
    values: 1 + count * inner.values,
    verifications: verifications + count * inner.verifications,
    parts: parts + count * inner.parts,
  }
}

/** An object of several possible types is of the one that costs most. */
function measureItem(measuring: Measuring, field: FieldPlan, page: number): Cost {
  const type = getNamedType(field.definition.type)
  const types = isAbstractType(type)
    ? measuring.execution.document.schema.getPossibleTypes(type)
    : isObjectType(type)
      ? [type]
      : []
  return types
    .map((possible) => measureBelow(measuring, { field, type: possible, page }))
    .reduce((most, one) => ({
      nodes: Math.max(most.nodes, one.nodes),
      values: Math.max(most.values, one.values),
      verifications: Math.max(most.verifications, one.verifications),
      parts: Math.max(most.parts, one.parts),
    }))
}

interface Below {
  readonly field: FieldPlan
  readonly type: GraphQLObjectType
  readonly page: number
}

function measureBelow(measuring: Measuring, { field, type, page }: Below): Cost {
  try {
    return measureObject(measuring, field.below(type), page)
  } catch {
    // A condition without a value, which each such object will fail with.
    return NOTHING
  }
}

function argumentsThatFit(measuring: Measuring, field: FieldPlan): Arguments | undefined {
  measuring.isConstant &&= field.arguments.isConstant
  try {
    return argumentsOf(measuring.execution, field)
  } catch {
    return undefined
  }
}
