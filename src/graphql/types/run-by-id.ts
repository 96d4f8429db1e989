import { type FieldNode, type GraphQLField, type GraphQLResolveInfo, isObjectType } from 'graphql'
import { isOpaqueId } from '../../model/ids.ts'
import type { PageArgs } from '../../model/page.ts'
import type { Run } from '../../model/run.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { createArguments } from '../execution/arguments.ts'
import type { ArgumentsPlan } from '../execution/execution.ts'
import { loadRun, loadStepPage, runNeeds, type StepsArgs } from '../loaders.ts'
import { type Selection, selectionOf } from '../look-ahead.ts'
import { RunRef } from './run.ts'
import { stepsArgs } from './step.ts'

builder.queryField('run', (t) =>
  t.field({
    type: RunRef,
    nullable: true,
    description: 'One run by its own id; null when it is not there.',
    args: { runId: t.arg.string({ required: true, description: "The caller's own id." }) },
    resolve: (_root, { runId }, context, info) => loadRunAhead(runId, context, info),
  }),
)

/**
 * Opening a run with its steps is the commonest question of all: one statement answers it. The steps wait in their loader
 * until their field asks for them, and hold their newest snapshots.
 */
async function loadRunAhead(runId: string, context: Context, info: GraphQLResolveInfo): Promise<Run | null> {
  const selection = selectionOf(info)
  const fields = runNeeds(selection)
  const args = isOpaqueId(runId) ? stepsAskedFor(selection, info) : null
  if (!args) return await loadRun(context).load(runId, fields)
  const found = await context.reader.loadRunWithSteps(runId, { run: fields, ...args })
  if (!found) return null
  loadStepPage(context, args).prime(runId, found.steps)
  return found.run
}

/** The arguments of the one field `steps` below; null when there is none, or more than one, or none that surely counts. */
function stepsAskedFor(selection: Selection, info: GraphQLResolveInfo): StepsArgs | null {
  const [node, ...others] = selection.fields.get('steps') ?? []
  const below = selection.below('steps')
  if (!node || !below || others.length > 0 || node.directives?.length) return null
  const type = info.schema.getType('Run')
  const field = isObjectType(type) ? type.getFields()['steps'] : undefined
  return field ? tryArgs(field, node, { below, variables: info.variableValues }) : null
}

const plans = new WeakMap<FieldNode, ArgumentsPlan>()

/** An operation that comes again has the same nodes. */
function argumentsFor(field: GraphQLField<unknown, Context>, node: FieldNode): ArgumentsPlan {
  const known = plans.get(node)
  if (known) return known
  const made = createArguments(field, node)
  plans.set(node, made)
  return made
}

function tryArgs(
  field: GraphQLField<unknown, Context>,
  node: FieldNode,
  { below, variables }: { readonly below: Selection; readonly variables: Record<string, unknown> },
): StepsArgs | null {
  try {
    return stepsArgs(argumentsFor(field, node).coerce(variables) as PageArgs, below)
  } catch {
    // What is wrong with the arguments is told by the field itself, at its own place in the answer.
    return null
  }
}
