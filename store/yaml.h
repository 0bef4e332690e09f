/*
 * A configuration as YAML, in and out, with the place of each problem
 */
#pragma once

#include "store/base.h"
#include "store/config.h"

/**
 * Read a configuration, as YAML or as ACLI text, told apart by content
 *
 * Scalars are text as written; the schema alone decides what a value is.
 * Every problem of the file is found, not only the first. NOTEs (VC-0120, left
 * out) do not prevent a result.
 *
 * @param cfgp      Set to the configuration when there is no problem
 * @param name      Name of the file, for messages and relative file names
 * @param bytes     The text, UTF-8
 * @param findings  Appended: struct finding with line and column
 *
 * @return 0; EINVAL the text is not YAML (one finding); EBADMSG problems were
 *         found; ENOMEM; E2BIG
 */
int yaml_read(struct config **cfgp, const char *name, const struct pl *bytes,
	      struct list *findings);

/** Read a file; also errno of the file */
int yaml_read_file(struct config **cfgp, const char *path,
		   struct list *findings);

/** Print a finding of a file: "FILE:LINE:COLUMN: what; what would be right" */
struct finding;
struct yaml_problem {
	const char *file;
	const struct finding *finding;
};
int yaml_problem_print(struct re_printf *pf, const struct yaml_problem *p);

/** Print a configuration as YAML; secrets masked unless clear is set */
struct yaml_setup {
	const struct config *cfg;
	bool clear;
};
int yaml_print(struct re_printf *pf, const struct yaml_setup *setup);

/** Version of the library that reads */
const char *yaml_library(void);
