/*
 * Completion and help: what may follow what is typed
 */
#include <string.h>
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/configure.h"
#include "cli/form.h"

enum {
	NAMES = 50 /* existing names that help shows */
};

/* A line up to the key, and what is known about its end */
struct asked {
	struct session *s;
	char line[LINE_MAX_BYTES + 1];
	struct words w;   /* before the word that is being typed */
	char *partial;    /* that word, "" at a blank */
	const char *sign; /* of a list, in front of the word: kept */
	bool quoted;      /* it stands in quotes that are open */
	struct choices c; /* what it may be */
	uint32_t filters; /* vertical bars in front of it */
	const struct field *parameter; /* whose value it is, or NULL */
	bool here;                     /* of the object at hand */
};

bool complete_is_asked(const char *line)
{
	size_t n = strlen(line);
	bool quoted = false;

	if (!n)
		return false;
	for (size_t i = 0; i + 1 < n; i++) {
		if (quoted && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			quoted = !quoted;
	}
	return line[n - 1] == '\t' || (line[n - 1] == '?' && !quoted);
}

/* --- Where the line leads ----------------------------------------------- */

/* Outside of configuration mode names are those of what runs */
static void arguments_of(struct asked *a, const char *command, uint32_t at,
			 const struct config *cfg)
{
	static const char *const with_element[] = { "show configuration",
						    "show running-config",
						    "discard", NULL };
	static const char *const with_file[] = {
		"import-config", "export-config", "import-credentials",
		"import-surrogate-agents", NULL
	};
	struct keys keys = { NULL, cfg, NULL };
	struct choices all = { 0 };
	const struct choice *picked;

	for (const char *const *name = with_file; *name; name++)
		if (!strcmp(*name, command) && a->w.n == at)
			a->c.files = true;
	arguments_add(&a->c, command, a->w.v + at, a->w.n - at, keys.cfg);
	for (const char *const *name = with_element; *name; name++) {
		if (strcmp(*name, command))
			continue;
		if (a->w.n == at) {
			place_elements(&a->c);
			continue;
		}
		place_elements(&all);
		if (!choices_pick(&all, a->w.v[at], &picked)) {
			keys.type = picked->what;
			place_keys(&a->c, &keys, a->w.v + at + 1,
				   a->w.n - at - 1);
		}
		choices_clear(&all);
	}
	if (!strcmp(command, "show configuration") && a->w.n == at) {
		choices_word(&a->c, CHOICE_VALUE, "diff",
			     "Editing against running, saved, version N", NULL);
		choices_word(&a->c, CHOICE_VALUE, "short",
			     "Keys and what is not default", NULL);
		choices_word(&a->c, CHOICE_VALUE, "to-file",
			     "Into a file, as | save: NAME", NULL);
		choices_word(&a->c, CHOICE_VALUE, "versions",
			     "What was saved, when and by whom", NULL);
	}
}

static void arguments(struct asked *a, const char *command, uint32_t at)
{
	const struct config *editing = configure_editing(a->s);
	const struct plan *plan =
		!editing && a->s->sbc ? sbc_plan(a->s->sbc) : NULL;

	arguments_of(a, command, at, plan ? plan->config : editing);
	plan_give(plan);
}

/* The words of a command, or what stands behind them */
static void command_place(struct asked *a, uint32_t from)
{
	char name[256] = "";
	uint32_t used = 0;

	if (!commands_next(&a->c, a->s->mode, a->w.v + from, a->w.n - from,
			   &used))
		return;
	commands_name(a->s->mode, a->w.v + from, used, name, sizeof(name));
	arguments(a, name, from + used);
}

/* How far the words of the line have led */
struct way {
	struct place place;
	bool configuring;
	uint32_t at; /* the word that is looked at */
};

/* A list keeps its sign or its parenthesis in front of the word */
static void value_place(struct asked *a, const struct field *f, uint32_t at,
			const struct way *way)
{
	const struct config *editing = configure_editing(a->s);
	const struct plan *plan =
		!editing && a->s->sbc ? sbc_plan(a->s->sbc) : NULL;

	a->parameter = f;
	if (f->type->list && *a->partial && strchr("+-(", *a->partial)) {
		a->sign = a->partial++;
		a->c.begin = a->partial;
	}
	if (way->place.asks)
		form_values(&a->c, f, a->w.v + at, a->w.n - at,
			    plan ? plan->config : editing);
	else
		place_values(&a->c, f, editing);
	plan_give(plan);
}

static void verb_place(struct asked *a, const char *verb, uint32_t at,
		       const struct place *place)
{
	struct keys keys = { place->type, configure_editing(a->s), NULL };

	if (a->here && !place->asks)
		keys = configure_keys(a->s);
	if (!strcmp(verb, "default") && a->w.n == at)
		place_parameters(&a->c, place->type);
	else if (!strcmp(verb, "done") && a->w.n == at)
		choices_word(&a->c, CHOICE_VALUE, "all",
			     "Here and in every parent", NULL);
	else if (!strcmp(verb, "select") || !strcmp(verb, "no") ||
		 !strcmp(verb, "copy"))
		place_keys(&a->c, &keys, a->w.v + at, a->w.n - at);
	else if (!strcmp(verb, "show")) {
		if (a->w.n == at && !place->asks)
			choices_word(&a->c, CHOICE_VALUE, "short",
				     "Key and what is not default", NULL);
		command_place(a, at - 1);
	}
}

/* Into an element: its keys, or what lies below it */
static bool element_place(struct asked *a, const struct element *type,
			  const struct field *in, uint32_t at,
			  struct place *place)
{
	struct keys keys = { type, configure_editing(a->s), NULL };

	if (in && a->here)
		keys.items = configure_items(a->s, in);
	*place = (struct place){ .folder = type->folder, .type = type };
	if (type->flags & SINGLE)
		return true;
	if (!in || keys.items)
		place_keys(&a->c, &keys, a->w.v + at, a->w.n - at);
	return false;
}

/* The mode of a test command is not in the tree, unless it was entered there */
static bool is_in_tree(const struct asked *a, const struct way *way)
{
	return way->configuring && (!way->place.asks || a->s->configure);
}

/* What may stand at the end of the line; also from the top of the tree, as when
 * it is run */
static void end_place(struct asked *a, const struct way *way)
{
	if (way->configuring)
		place_words(&a->c, &way->place);
	commands_add(&a->c, a->s->mode);
	if (is_in_tree(a, way) && !choices_begin(&a->c, a->partial))
		place_top(&a->c);
}

/* What a word means there; what it points to is in c. NULL: nothing */
static const struct choice *word_meaning(struct choices *c,
					 const struct asked *a,
					 const struct way *way)
{
	const char *word = a->w.v[way->at];
	const struct choice *found;

	if (way->configuring)
		place_words(c, &way->place);
	commands_add(c, a->s->mode);
	if (!choices_pick(c, word, &found))
		return found;
	choices_clear(c);
	if (is_in_tree(a, way))
		place_top(c);
	return choices_pick(c, word, &found) ? NULL : found;
}

/* `configure terminal` leads to the top of the tree; another command has its own
 * words. True: the way goes on */
static bool command_follow(struct asked *a, struct way *way, const char *first)
{
	if (strcmp(first, "configure") || way->at + 1 >= a->w.n) {
		command_place(a, way->at);
		return false;
	}
	way->configuring = true;
	way->place = (struct place){ 0 };
	way->at++;
	return true;
}

/* True: the way goes on behind the word */
static bool word_follow(struct asked *a, struct way *way,
			const struct choice *word)
{
	const struct field *f = word->what;

	switch (word->kind) {

	case CHOICE_COMMAND:
		return command_follow(a, way, word->word);
	case CHOICE_FOLDER:
		way->place = (struct place){ .folder = word->what };
		return true;
	case CHOICE_ELEMENT:
		return element_place(a, word->what, NULL, way->at + 1,
				     &way->place);
	case CHOICE_CHILD:
		return element_place(a, f->child, f, way->at + 1, &way->place);
	case CHOICE_PARAMETER:
		value_place(a, f, way->at + 1, way);
		return false;
	case CHOICE_VERB:
		verb_place(a, word->word, way->at + 1, &way->place);
		return false;
	case CHOICE_VALUE:
		return false;
	}
	return false;
}

/* From word to word, as the words would be run */
static void place_find(struct asked *a)
{
	struct way way = { .place = configure_place(a->s),
			   .configuring = a->s->configure || a->s->form };
	bool goes_on = true;

	a->here = way.place.type != NULL;
	for (; goes_on && way.at < a->w.n; way.at++) {
		struct choices c = { 0 };
		const struct choice *word = word_meaning(&c, a, &way);

		goes_on = word && word_follow(a, &way, word);
		a->here = a->here && !goes_on;
		choices_clear(&c);
	}
	if (goes_on)
		end_place(a, &way);
}

/* Behind a vertical bar: a filter, and the file of save */
static void filter_place(struct asked *a)
{
	if (!a->w.n)
		reply_filters_add(&a->c, a->filters == 1);
	else if (a->w.n == 1 && !strcmp(a->w.v[0], "save"))
		a->c.files = true;
}

static bool is_quoted(const char *line)
{
	bool quoted = false;

	for (; *line; line++) {
		if (quoted && *line == '\\' && line[1])
			line++;
		else if (*line == '"')
			quoted = !quoted;
	}
	return quoted;
}

/* The words before the one that is typed, behind the last vertical bar; a quote
 * that is open is closed here. False: they are none */
static bool line_cut(struct asked *a, const char *line)
{
	size_t n = strlen(line) - 1;
	bool fresh;
	int err;

	if (n >= LINE_MAX_BYTES)
		return false;
	memcpy(a->line, line, n);
	a->line[n] = '\0';
	a->quoted = is_quoted(a->line);
	fresh = !a->quoted && (!n || strchr(" \t", a->line[n - 1]));
	if (a->quoted)
		strcpy(a->line + n, "\"");
	err = words_cut(&a->w, a->line);
	for (; !err && a->w.filter; a->filters++)
		err = words_cut(&a->w, a->w.filter);
	if (err)
		return false;
	a->partial = fresh || !a->w.n ? "" : a->w.v[--a->w.n];
	return true;
}

/* --- Answers ------------------------------------------------------------ */

/* Also what needs no quotes has those that were begun */
static int quoted_print(struct re_printf *pf, const char *word)
{
	int err = re_hprintf(pf, "\"");

	for (; *word; word++)
		err |= re_hprintf(pf, "%s%c", strchr("\"\\", *word) ? "\\" : "",
				  *word);
	return err | re_hprintf(pf, "\"");
}

static void say_words(struct asked *a)
{
	struct reply *r = &a->s->reply;

	choices_narrow(&a->c, a->partial);
	for (size_t i = 0; i < a->c.n; i++) {
		struct pl word = range_of(a->c.v[i].word);

		if (a->quoted) {
			reply_note(r, REPLY_CHOICE, "%s%H",
				   a->sign ? (char[]){ *a->sign, '\0' } : "",
				   quoted_print, a->c.v[i].word);
			continue;
		}

		reply_note(r, REPLY_CHOICE, "%s%H",
			   a->sign ? (char[]){ *a->sign, '\0' } : "",
			   value_quote, &word);
	}
	if (a->c.files)
		reply_note(r, REPLY_FILES, "");
}

static void say_help(struct asked *a)
{
	struct parameter shown = { a->parameter, configure_item(a->s) };
	struct reply *r = &a->s->reply;

	if (!a->here)
		shown.item = NULL; /* the line leads to another object */
	if (a->parameter)
		reply_print(r, (re_printf_h *)parameter_print, &shown);
	choices_narrow(&a->c, a->partial);
	for (size_t i = 0; i < a->c.n && i < NAMES; i++)
		reply_line(r, *a->c.v[i].help ? "  %-32s %s" : "  %s",
			   a->c.v[i].word, a->c.v[i].help);
	if (a->c.n > NAMES)
		reply_line(r, "  ... %zu more", a->c.n - NAMES + a->c.left);
	if (!a->c.n && !a->parameter)
		reply_line(r, "  Enter");
}

void complete_run(struct session *s, const char *line)
{
	struct asked *a = mem_zalloc(sizeof(*a), NULL);

	if (!a)
		return;
	a->s = s;
	if (line_cut(a, line)) {
		a->c.begin = a->partial;
		if (a->filters)
			filter_place(a);
		else
			place_find(a);
		if (line[strlen(line) - 1] == '\t')
			say_words(a);
		else
			say_help(a);
	}
	choices_clear(&a->c);
	explicit_bzero(a->line, sizeof(a->line));
	mem_deref(a);
}
