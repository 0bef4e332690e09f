/*
 * Arguments of a test command: on its line, or one by one in a mode of its own
 */
#include <errno.h>
#include <string.h>
#include "store/versions.h"
#include "cli/check.h"
#include "cli/form.h"
#include "cli/typed.h"

/* A mode of a session */
struct form {
	const struct element *type;
	struct wishes *item;
	form_h *h;
};

/* clang-format off */
static const char *const configs[] = { "running", "editing", "saved", NULL };

#define S wishes
#define CONFIG \
	WORD(S, config, "config", .dflt = "running", .words = configs, \
	     .help = "Configuration that is asked; in configuration mode it begins as editing")
#define AGENT \
	TEXT(S, surrogate_agent, "surrogate-agent", .to = "surrogate-agent", .max = 1023, \
	     .help = "Key of the surrogate-agent whose request it is")
#define REQUEST \
	CONFIG, \
	NAME(S, source_realm, "source-realm", .flags = REQUIRED | ANY_TOO, .to = "realm-config", \
	     .help = "Realm where the request comes from; * is any"), \
	TEXT(S, from_address, "from-address", .flags = REQUIRED, \
	     .help = "URI of From"), \
	TEXT(S, to_address, "to-address", .flags = REQUIRED, \
	     .help = "Request-URI"), \
	ADDRESS(S, source_address, "source-address", .flags = PORT_TOO, \
		.help = "Address it comes from; empty is that of the first session-agent of the realm"), \
	METHODS(S, method, "method", .dflt = "INVITE", .max = 1, \
		.help = "Its method"), \
	TEXT(S, time_of_day, "time-of-day", .max = 4, .chars = "0-9", \
	     .help = "HHMM; empty is now"), \
	NAMES(S, carriers, "carriers", \
	      .help = "Carriers of the caller instead of those of his realm"), \
	TEXT(S, media_profile, "media-profile", .chars = "A-Za-z0-9_.-", \
	     .help = "Codec that he offers, by its encoding name")

static const struct field policy_fields[] = {
	REQUEST,
	END_OF_FIELDS,
};

static const struct field credentials_fields[] = {
	REQUEST,
	TEXT(S, auth_realm, "auth-realm", .help = "Realm of the challenge"),
	TEXT(S, challenge, "challenge", .flags = FILE_NAME,
	     .help = "File with a 401 or 407 as text, instead of auth-realm"),
	AGENT,
	END_OF_FIELDS,
};

static const struct field surrogate_fields[] = {
	CONFIG,
	TEXT(S, surrogate_agent, "surrogate-agent", .flags = REQUIRED, .to = "surrogate-agent", .max = 1023,
	     .help = "Its key: register-host register-user realm-id"),
	TEXT(S, aor, "aor", .help = "User of its AoR; empty is the first"),
	END_OF_FIELDS,
};
#undef S

const struct element form_policy = {
	.name = "test-policy", .flags = SINGLE, .size = sizeof(struct wishes),
	.fields = policy_fields, .help = "Which routes a request would take",
};
const struct element form_credentials = {
	.name = "test-credentials", .flags = SINGLE, .size = sizeof(struct wishes),
	.fields = credentials_fields, .help = "Which credentials would answer",
};
const struct element form_surrogate = {
	.name = "test-surrogate", .flags = SINGLE, .size = sizeof(struct wishes),
	.fields = surrogate_fields, .help = "The REGISTER that would leave",
};
/* clang-format on */

static const struct element *const types[] = { &form_policy, &form_credentials,
					       &form_surrogate };

const struct element *form_type(const char *command)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i]->name, command))
			return types[i];
	return NULL;
}

static const struct field *field_named(const struct element *type,
				       const char *name)
{
	struct pl pl = range_of(name);

	return field_find(type, &pl);
}

/* --- Values ------------------------------------------------------------- */

/* How many words a value has: a key its parts, a list in parentheses up to the
 * closing one */
static uint32_t value_words(const struct field *f, char *const *words,
			    uint32_t n)
{
	uint32_t used = 1;

	if (!n)
		return 0;
	if (f->to && f->type == &type_text && !strchr(words[0], ' '))
		used = key_parts(&element_surrogate_agent);
	else if (f->type->list && *words[0] == '(')
		while (used < n && !strchr(words[used - 1], ')'))
			used++;
	return used < n ? used : n;
}

/* The words again as they would be typed in the mode */
static int value_text(char **textp, const struct field *f, char *const *words,
		      uint32_t n)
{
	char text[LINE_MAX_BYTES + 1] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct pl word = range_of(words[i]);
		int len = f->type->list && *words[0] == '('
				  ? re_snprintf(text + at, sizeof(text) - at,
						"%s%r", i ? " " : "", &word)
				  : re_snprintf(text + at, sizeof(text) - at,
						"%s%H", i ? " " : "",
						value_quote, &word);

		if (len < 0)
			return EOVERFLOW;
		at += (size_t)len;
	}
	return str_dup(textp, text);
}

/* The parts of a key, typed one by one or as one word in quotes, as one text */
static int key_set(const struct field *f, void *item, const struct pl *text,
		   struct typed_note *note)
{
	struct value_fault fault = { "is not allowed" };
	struct pl rest = *text, all;
	char key[1024] = "";
	size_t at = 0;
	int err = 0;

	while (!err) {
		char *word = NULL, kind;
		int n;

		err = typed_word(&word, &rest, &kind);
		if (err)
			break;
		/* a sign belongs to a key: it is no list that is changed */
		n = re_snprintf(key + at, sizeof(key) - at, "%s%s%s",
				at ? " " : "",
				kind == '+'   ? "+"
				: kind == '-' ? "-"
					      : "",
				word);
		mem_deref(word);
		at += n > 0 ? (size_t)n : 0;
		err = n < 0 ? EINVAL : 0;
	}
	all = range_of(key);
	if (err == ENOENT)
		err = field_parse(f, item, &all, &fault);
	if (err == EINVAL)
		(void)re_snprintf(note->text, sizeof(note->text), "%s %s",
				  f->name, fault.why);
	return err;
}

static bool value_set(struct session *s, const struct element *type,
		      struct wishes *item, const struct field *f,
		      const struct pl *text)
{
	struct typed_note note = { "" };
	int err = f->to && f->type == &type_text
			  ? key_set(f, item, text, &note)
			  : typed_set(f, type, item, text, &note);

	if (err)
		reply_error(&s->reply,
			    err == EINVAL ? REPLY_ARGUMENT : REPLY_FAILED, "%s",
			    err == EINVAL ? note.text : strerror(err));
	return !err;
}

/* What is needed is there, and does not contradict itself */
static bool is_complete(struct session *s, const struct element *type,
			const struct wishes *item)
{
	const struct level level = { .type = type, .item = (void *)item };
	const struct field *f = draft_missing(&level);
	const char *missing = f ? f->name : NULL;

	if (!missing && type == &form_credentials && !*item->auth_realm &&
	    !*item->challenge)
		missing = "auth-realm";
	if (missing)
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing %s", missing);
	return !missing;
}

/* --- On the line -------------------------------------------------------- */

struct parameters {
	const struct element *type;
};

static int parameters_print(struct re_printf *pf, const struct parameters *p)
{
	int err = 0;

	for (const struct field *f = p->type->fields; f->name; f++)
		err |= re_hprintf(pf, "%s%s", f == p->type->fields ? "" : ", ",
				  f->name);
	return err;
}

/* NAME VALUE ...; false: said what is wrong */
static bool pairs_take(struct session *s, const struct element *type,
		       struct wishes *item, const struct words *w, uint32_t at)
{
	struct parameters known = { type };
	bool taken = true;

	while (taken && at < w->n) {
		const struct field *f = field_named(type, w->v[at]);
		uint32_t used;
		char *text = NULL;
		struct pl pl;

		if (!f) {
			reply_error(&s->reply, REPLY_UNKNOWN,
				    "Unknown word [%s], possible here: %H",
				    w->v[at], parameters_print, &known);
			return false;
		}
		used = value_words(f, w->v + at + 1, w->n - at - 1);
		if (!used) {
			reply_error(&s->reply, REPLY_ARGUMENT, "Missing %s",
				    f->name);
			return false;
		}
		taken = !value_text(&text, f, w->v + at + 1, used);
		pl = range_of(text);
		taken = taken && value_set(s, type, item, f, &pl);
		mem_deref(text);
		at += 1 + used;
	}
	return taken;
}

/* KEY [AOR] [config ...] */
static bool surrogate_take(struct session *s, struct wishes *item,
			   const struct words *w, uint32_t at)
{
	static const char *const names[] = { "surrogate-agent", "aor" };
	const struct element *type = &form_surrogate;
	uint32_t parts = key_parts(&element_surrogate_agent);
	bool taken = true;

	if (w->n < at + parts) {
		reply_error(&s->reply, REPLY_ARGUMENT,
			    "Missing register-host register-user realm-id");
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names) && taken && at < w->n; i++) {
		const struct field *f = field_named(type, names[i]);
		uint32_t used = i ? 1 : parts;
		char *text = NULL;
		struct pl pl;

		if (i && !strcmp(w->v[at], "config"))
			break;
		taken = !value_text(&text, f, w->v + at, used);
		pl = range_of(text);
		taken = taken && value_set(s, type, item, f, &pl);
		mem_deref(text);
		at += used;
	}
	if (taken && at < w->n && strcmp(w->v[at], "config")) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%s]",
			    w->v[at]);
		return false;
	}
	return taken && pairs_take(s, type, item, w, at);
}

static struct wishes *wishes_make(const struct session *s,
				  const struct element *type)
{
	void *item = NULL;

	if (item_alloc(&item, type))
		return NULL;
	if (s->configure)
		((struct wishes *)item)->config = FORM_EDITING;
	return item;
}

static void form_destructor(void *arg)
{
	struct form *form = arg;

	item_free(form->type, form->item);
}

static void form_open(struct session *s, const struct element *type, form_h *h)
{
	struct form *form = mem_zalloc(sizeof(*form), form_destructor);

	if (form) {
		form->type = type;
		form->h = h;
		form->item = wishes_make(s, type);
	}
	if (!form || !form->item) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		mem_deref(form);
		return;
	}
	form_close(s);
	s->form = form;
}

void form_line(struct session *s, const struct element *type,
	       const struct words *w, uint32_t at, form_h *h)
{
	struct wishes *item;
	bool taken;

	if (at == w->n) {
		form_open(s, type, h);
		return;
	}
	item = wishes_make(s, type);
	if (!item) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
		return;
	}
	taken = type == &form_surrogate ? surrogate_take(s, item, w, at)
					: pairs_take(s, type, item, w, at);
	if (taken && is_complete(s, type, item))
		h(s, item);
	item_free(type, item);
}

/* --- The configuration that is asked ------------------------------------- */

static int config_load(struct config **cfgp, struct database *db, uint8_t which)
{
	uint32_t saved = 0;
	int err;

	if (which == FORM_EDITING)
		return versions_load(cfgp, db, VERSION_EDITING);
	err = versions_numbers(db, &saved, NULL);
	if (!err && !saved)
		err = ENOENT;

	return err ? err : versions_load(cfgp, db, saved);
}

int form_plan(const struct plan **planp, struct task *task,
	      const struct wishes *wishes)
{
	const struct control_setup *setup = &task->control->setup;
	struct verify_totals totals = { 0 };
	struct config *cfg = NULL;
	int err;

	if (wishes->config == FORM_RUNNING) {
		*planp = sbc_plan(setup->sbc);
		return 0;
	}
	err = config_load(&cfg, setup->db, wishes->config);
	if (!err)
		err = verify_count(task, cfg, &totals);
	if (err == ENOENT) {
		reply_error(&task->reply, REPLY_FAILED,
			    "There is no %s configuration",
			    configs[wishes->config]);
		err = ECANCELED;
	} else if (!err && totals.errors) {
		reply_error(&task->reply, REPLY_FAILED,
			    "Configuration has %u error%s; nothing can be "
			    "tried with it",
			    totals.errors, totals.errors == 1 ? "" : "s");
		err = ECANCELED;
	}
	if (!err)
		err = plan_alloc(planp, cfg);
	config_give(cfg);

	return err;
}

/* --- What is possible --------------------------------------------------- */

void form_values(struct choices *c, const struct field *f, char *const *words,
		 uint32_t n, const struct config *cfg)
{
	struct keys keys = { &element_surrogate_agent, cfg, NULL };

	if (f->flags & FILE_NAME)
		c->files = true;
	else if (f->to && f->type == &type_text)
		place_keys(c, &keys, words, n);
	else if (!n)
		place_values(c, f, cfg);
}

void form_arguments(struct choices *c, const struct element *type,
		    char *const *words, uint32_t n, const struct config *cfg)
{
	const struct field *f = NULL;
	uint32_t at = 0;

	if (type == &form_surrogate) {
		f = field_named(type, "surrogate-agent");
		at = key_parts(&element_surrogate_agent);
		if (n < at) {
			form_values(c, f, words, n, cfg);
			return;
		}
		if (n > at && strcmp(words[at], "config"))
			at++;
		f = field_named(type, "config");
		if (n == at)
			choices_word(c, CHOICE_VALUE, f->name, f->help,
				     f->name);
		else if (n == at + 1)
			form_values(c, f, NULL, 0, cfg);
		return;
	}
	while (at < n) {
		uint32_t parts, open;

		f = field_named(type, words[at++]);
		if (!f)
			return;
		parts = f->to && f->type == &type_text
				? key_parts(&element_surrogate_agent)
				: 1;
		open = n - at;
		if (open < parts && !(open && strchr(words[at], ' '))) {
			form_values(c, f, words + at, open, cfg);
			return;
		}
		at += value_words(f, words + at, open);
	}
	for (f = type->fields; f->name; f++)
		choices_word(c, CHOICE_VALUE, f->name, f->help, f->name);
}

/* --- In the mode -------------------------------------------------------- */

const struct element *form_here(const struct session *s)
{
	return s->form ? s->form->type : NULL;
}

const void *form_item(const struct session *s)
{
	return s->form ? s->form->item : NULL;
}

void form_close(struct session *s)
{
	s->form = mem_deref(s->form);
}

static void to_default(struct session *s, const struct pl *name)
{
	struct form *form = s->form;
	struct choices c = { 0 };
	const struct choice *picked;
	char word[128];

	place_parameters(&c, form->type);
	if (!name->l) {
		reply_error(&s->reply, REPLY_ARGUMENT, "Missing PARAMETER");
	} else if (pl_strcpy(name, word, sizeof(word)) ||
		   choices_pick(&c, word, &picked)) {
		reply_error(&s->reply, REPLY_UNKNOWN, "Unknown parameter [%r]",
			    name);
	} else if (field_default(picked->what, form->item)) {
		reply_error(&s->reply, REPLY_FAILED, "no memory");
	} else {
		struct parameter shown = { picked->what, form->item };

		reply_print(&s->reply, (re_printf_h *)parameter_print, &shown);
	}
	choices_clear(&c);
}

void form_run(struct session *s, const struct choice *choice,
	      const struct pl *rest)
{
	struct form *form = s->form;
	struct parameter shown = { choice->what, form->item };

	if (choice->kind == CHOICE_PARAMETER && rest->l)
		(void)value_set(s, form->type, form->item, choice->what, rest);
	else if (choice->kind == CHOICE_PARAMETER)
		reply_print(&s->reply, (re_printf_h *)parameter_print, &shown);
	else if (!strcmp(choice->word, "default"))
		to_default(s, rest);
	else if (rest->l)
		reply_error(&s->reply, REPLY_ARGUMENT, "Unexpected word [%r]",
			    rest);
	else if (is_complete(s, form->type, form->item)) {
		str_ncpy(s->command, form->type->name, sizeof(s->command));
		form->h(s, form->item);
	}
}
