import { type ArgumentNode, type DirectiveNode, Kind, type SelectionNode, type SelectionSetNode, visit } from 'graphql'
import type { Document, Variables } from './execution.ts'

/** The names of the variables that `@skip` and `@include` depend on, in a document's operation and fragments. */
export function conditionVariables({ operation, fragments }: Document): readonly string[] {
  const names = new Set<string>()
  const note = ({ value }: ArgumentNode) => {
    if (value.kind === Kind.VARIABLE) names.add(value.name.value)
  }
  const enter = ({ arguments: args = [] }: DirectiveNode) => args.forEach(note)
  for (const definition of [operation, ...Object.values(fragments)]) {
    visit(definition, { Directive: { enter }, VariableDefinition: () => false })
  }
  return [...names]
}

/**
 * Evaluates the conditions: what they exclude is cut out, and they themselves are gone, but for those without a value (a variable
 * that is null where none may be), which are errors of whatever selects them. What keeps standing keeps its place in the text.
 */
export function evaluateConditions(document: Document, variables: Variables): Document {
  const cut = <Node extends { readonly selectionSet: SelectionSetNode }>(node: Node): Node => ({
    ...node,
    selectionSet: cutSet(node.selectionSet, variables),
  })
  const fragments = Object.entries(document.fragments).map(([name, fragment]) => [name, cut(fragment)])
  return { ...document, operation: cut(document.operation), fragments: Object.fromEntries(fragments) }
}

function cutSet(set: SelectionSetNode, variables: Variables): SelectionSetNode {
  return { ...set, selections: set.selections.flatMap((selection) => cutSelection(selection, variables)) }
}

function cutSelection(selection: SelectionNode, variables: Variables): SelectionNode | [] {
  const isIncluded = evaluate(selection, variables)
  if (isIncluded === false) return []
  const { directives = [], ...rest } = selection
  const kept = {
    ...rest,
    directives: isIncluded ? directives.filter((directive) => !isCondition(directive)) : directives,
  }
  if (!('selectionSet' in kept) || !kept.selectionSet) return kept
  return { ...kept, selectionSet: cutSet(kept.selectionSet, variables) }
}

function isCondition({ name: { value } }: DirectiveNode): boolean {
  return value === 'skip' || value === 'include'
}

/** Undefined where a condition that counts has no value. `@skip` comes first, as graphql-js has it. */
function evaluate({ directives = [] }: SelectionNode, variables: Variables): boolean | undefined {
  const truthOf = (name: string) => {
    const directive = directives.find((node) => node.name.value === name)
    return directive ? conditionOf(directive, variables) : name === 'include'
  }
  const skip = truthOf('skip')
  if (skip !== false) return skip === true ? false : undefined
  return truthOf('include')
}

function conditionOf({ arguments: [condition] = [] }: DirectiveNode, variables: Variables): boolean | undefined {
  const value = condition?.value
  if (value?.kind === Kind.BOOLEAN) return value.value
  const given = value?.kind === Kind.VARIABLE ? variables[value.name.value] : undefined
  return typeof given === 'boolean' ? given : undefined
}
