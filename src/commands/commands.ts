import type { Command } from './command.ts'
import {
  applyMigrations,
  audit,
  demo,
  diff,
  doctor,
  exportRun,
  gc,
  importStates,
  pass,
  serve,
  tail,
  token,
} from './run-command.ts'

export const HELP = `statelens <command>

  serve     answer GraphQL; with no settings at all on an embedded database in .statelens
  migrate   bring the database of DATABASE_URL to this version's tables, adopting those of the old system
  gc        delete what is past its end, and the bytes that nobody names any more
  verify    read every payload back, and tell which are missing or corrupt
  audit     compare the stores with the ledger of their objects, in both directions
  index     make the indexes of older states, by which parts of them are read
  diff      tell what leads from one state to another
  export    write a run with all its states into one file
  import    bring runs and states here: from such a file, from JSON files, from LangGraph
  doctor    look at database, storage, links and cache, and say what is wrong and what to do
  tail      print the events of a run while they happen, until it ends
  token     make, list and end the tokens of AUTH_MODE=token
  demo      serve a throw-away store filled with a believable run

Each has --help; --version tells this one. Settings are environment variables, or stand in a file .env in the current folder: see
the README, or .env.example.`

/** Of commands that visit every snapshot. */
const PASS_OPTIONS = {
  run: { type: 'string' },
  after: { type: 'string' },
  'max-mb-per-second': { type: 'string' },
} satisfies Command['options']

/** What a command is made of is loaded when it runs: help and a wrong setting are told at once. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: {
    about: 'Answers GraphQL at /graphql until SIGTERM or SIGINT. A database of DATABASE_URL must have been migrated.',
    run: serve,
  },
  migrate: {
    about: `Applies what the database still lacks. A table state_snapshots of the old system is adopted where it is, while its writers go
on. Several at once are safe, a second run changes nothing, and one that was broken off goes on where it ended.

  --dry-run   only look, and tell what would be done`,
    options: { 'dry-run': { type: 'boolean' } },
    run: applyMigrations,
  },
  gc: {
    about: `Deletes the states and runs that are past their end (expiresAt, RETENTION_DAYS), and the bytes that nobody names any more. A server
does so by itself every ten minutes; one at a time of all processes of a database. Nothing goes that is golden, under legal hold, or
another writer's, and nothing at all where it would be more than RETENTION_MAX_PERCENT of all runs or states.

  --dry-run   only count, and tell
  --force     however much it is

Progress goes to standard output, a line of JSON for each run of which something went to standard error. Ends with 0 when all of it is
gone, 2 when it would be too much and nothing was deleted, and 1 when it was stopped or some of it could not be deleted yet.`,
    options: { 'dry-run': { type: 'boolean' }, force: { type: 'boolean' } },
    run: gc,
  },
  verify: {
    about: `Reads every payload back from where it is stored, compares it with its digest, and records what that shows. States that the old
system left both in a row and as an object are settled anew.

  --run RUN_ID               of this run alone
  --after SEQ                go on behind this snapshot
  --max-mb-per-second N      leave the rest of the line to others

Ends with 0 when all that can be checked is intact, 2 when something is missing or corrupt, and 1 when it was stopped or could
not read some: it then prints the --after that goes on from there.`,
    options: PASS_OPTIONS,
    run: (env, args) => pass(env, args, async () => (await import('./verify.ts')).runVerify),
  },
  audit: {
    about: `Lists what lies in the stores, and asks for what should: tells of bytes that nobody knows, of states whose object is gone or
is not what was stored, and of rows that do not fit together. It is slow, so that it can run beside everything else, and changes nothing.

  --min-age DAYS       bytes that nobody knows count from this age on: 7, and 1 at the least
  --sample PERCENT     of the objects, that have one chunk read and compared: 1
  --per-second N       objects that the stores are asked for: 200
  --delete-orphans     give bytes that nobody knows to the queue of deletions, and delete them. Not in a bucket that another database
                       has objects of this kind in, for here they are unknown
  --force              also where that is more than RETENTION_MAX_PERCENT of what is there

Ends with 0 when all is well, or was made so, 2 when something was found, and 1 when it was stopped.`,
    options: {
      'min-age': { type: 'string' },
      sample: { type: 'string' },
      'per-second': { type: 'string' },
      'delete-orphans': { type: 'boolean' },
      force: { type: 'boolean' },
    },
    run: audit,
  },
  index: {
    about: `Makes the indexes of states above 1 MiB that have none: those that an earlier version captured, and those of other writers. Without
it each is made when somebody first looks into the state. What is there already is not read again.

  --run RUN_ID               of this run alone
  --after SEQ                go on behind this snapshot
  --max-mb-per-second N      leave the rest of the line to others

Ends with 0 when every state that can have one has it, 2 when something is missing or corrupt, and 1 when it was stopped or could
not read some: it then prints the --after that goes on from there.`,
    options: PASS_OPTIONS,
    run: (env, args) => pass(env, args, async () => (await import('./index-states.ts')).runIndex),
  },
  diff: {
    about: `statelens diff [options] [<old snapshot>] <snapshot>

Tells what leads from one state to another, or to a state from the one before it in its run: what became of each member, then every
change with its values, shortened. Equal are objects in any order, numbers by their value, and strings unescaped.

  --pointer POINTER   below this place of both
  --patch             as a patch of RFC 6902, which makes the new state of the old one
  --no-color          without colours; so is what does not go to a terminal

Ends with 0 when they are the same, 1 when they are not, and 2 when they could not be compared.`,
    options: { pointer: { type: 'string' }, patch: { type: 'boolean' }, 'no-color': { type: 'boolean' } },
    takesWords: true,
    failureCode: 2,
    run: diff,
  },
  export: {
    about: `statelens export RUN_ID [--output FILE]

Writes a run, its steps and its snapshots with their states into one file, a tar, byte for byte and in constant memory; to standard
output without --output. Whoever may read the file may read all of it: states with personal data are whole.

  --output FILE   the file, which must not be there yet

Ends with 0 when all of it is written, 2 when states are left out that nobody can read, and 1 when it was broken off: there is
no file then.`,
    options: { output: { type: 'string' } },
    takesWords: true,
    run: exportRun,
  },
  import: {
    about: `statelens import FILE brings back what export wrote: the run, its steps, and its snapshots in order, under their ids where
these are free. What is there already stays as it is. FILE may be - for standard input, as of gunzip -c run.tar.gz.
statelens import FILE.jsonl takes lines of the form {"runId": …, "stepId": …, "kind": …, "payload": …}.
statelens import FOLDER takes its files *.json, in the order of their names, as the states of one run.
statelens import --langgraph postgres://… takes the threads of a database of LangGraph's PostgreSQL savers.

  --dry-run         only look, and tell what would be taken
  --run RUN_ID      the run that they become; for lines, of those that name none
  --step STEP_ID    its step, of files and of lines that name none
  --langgraph URL   a database of LangGraph
  --schema NAME     where its tables are; public

What was taken before is passed over, so that running it again goes on where it ended. Ends with 0 when all of it is here, 2 when some
of it could not be taken, and 1 when it was stopped.`,
    options: {
      'dry-run': { type: 'boolean' },
      run: { type: 'string' },
      step: { type: 'string' },
      langgraph: { type: 'string' },
      schema: { type: 'string' },
    },
    takesWords: true,
    run: importStates,
  },
  doctor: {
    about: `Looks at the settings, and at the database, the storages, the links and the cache that they name, and reads one payload of
each kind. Says what is wrong and what to do, and changes nothing. Ends within 20 seconds, with 0 when nothing is wrong and
1 when something is; warnings do not count.`,
    run: doctor,
  },
  tail: {
    about: `statelens tail RUN_ID prints what happened in a run, and what happens, a line an event, until it ends. It asks a server, at
STATELENS_URL or at this machine's PORT, with the token in STATELENS_TOKEN. A connection that breaks is opened anew, where it broke.

  --url URL        the server's address
  --after CURSOR   go on behind this event
  --json           print each event as JSON, with its cursor

Ends with 0 when the run succeeded, 2 when it failed, was canceled, timed out or was deleted, and 1 when it was stopped: it then
prints the --after that goes on from there.`,
    options: { url: { type: 'string' }, after: { type: 'string' }, json: { type: 'boolean' } },
    takesWords: true,
    run: tail,
  },
  token: {
    about: `Changes the file of tokens that AUTH_TOKENS_FILE names; a server that runs hears of it within a second.

  add NAME [--scopes read,write]   make a token, and print it: it is stored nowhere, and cannot be shown again
  list                             the names of those that there are, with their scopes
  end NAME                         nobody is let in by it any more
  --file PATH                      of this file instead

Scopes are read (the default), write, delete, storage:read, pii:read, and admin for all of them.`,
    options: { scopes: { type: 'string' }, file: { type: 'string' } },
    takesWords: true,
    run: token,
  },
  demo: {
    about:
      'Serves a throw-away embedded store, filled with a run whose states reach 20 MB and more. Ctrl-C removes it.',
    run: demo,
  },
}
