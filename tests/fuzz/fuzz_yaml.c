/*
 * Any bytes are a configuration or a list of problems, and what was read is
 * printed and read again as the same
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/rules.h"
#include "store/text.h"
#include "store/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int problems_print(struct re_printf *pf, const struct list *findings)
{
	int err = 0;

	for (const struct le *le = list_head(findings); le; le = le->next) {
		struct yaml_problem p = { "f", le->data };

		err |= re_hprintf(pf, "%H\n", yaml_problem_print, &p);
	}

	return err;
}

static int config_print(struct re_printf *pf, const struct config *cfg)
{
	struct yaml_setup setup = { cfg, true };

	return yaml_print(pf, &setup);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pl bytes = { (const char *)data, size };
	struct list findings = LIST_INIT;
	struct config *first = NULL, *second = NULL;
	char *text = NULL, *again = NULL, *problems = NULL;
	int err = yaml_read(&first, "f", &bytes, &findings);

	if (re_sdprintf(&problems, "%H", problems_print, &findings))
		abort();
	/* A refusal has a reason, a result has none that refuses */
	if (err && !list_head(&findings))
		abort();
	list_flush(&findings);

	if (!err) {
		struct text_setup setup = { .cfg = first };
		struct pl written;

		if (re_sdprintf(&text, "%H", config_print, first))
			abort();
		written.p = text;
		written.l = strlen(text);
		if (yaml_read(&second, "f", &written, &findings))
			abort();
		if (re_sdprintf(&again, "%H", config_print, second) ||
		    strcmp(text, again))
			abort();
		list_flush(&findings);
		mem_deref(again);
		if (re_sdprintf(&again, "%H", text_print, &setup))
			abort();
	}

	mem_deref(text);
	mem_deref(again);
	mem_deref(problems);
	config_give(first);
	config_give(second);
	return 0;
}
