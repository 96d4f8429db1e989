/** Names the script that is the program in few files. */
export const PROGRAM_VARIABLE = 'STATELENS_TEST_PROGRAM'
