/*
 * What is typed for a parameter: one value, or a list with signs
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cli/typed.h"

static struct pl pl_of(const char *text)
{
	struct pl pl = { text, strlen(text) };

	return pl;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Bytes of a quoted text with its quotes; 0 where it never ends */
static size_t quoted_length(const struct pl *text)
{
	for (size_t i = 1; i < text->l; i++) {
		if (text->p[i] == '\\')
			i++;
		else if (text->p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Bytes of a list with its parentheses; quotes hide what is in them */
static size_t group_length(const struct pl *text)
{
	size_t i = 1;

	while (i < text->l && text->p[i] != ')') {
		struct pl rest = { text->p + i, text->l - i };
		size_t n = 1;

		if (*rest.p == '"') {
			n = quoted_length(&rest);
			if (!n)
				return 0;
		}
		i += n;
	}
	return i < text->l ? i + 1 : 0;
}

/* Quotes that begin inside a word belong to it */
static size_t bare_length(const struct pl *text)
{
	bool quoted = false;
	size_t i = 0;

	for (; i < text->l && (quoted || !is_blank(text->p[i])); i++)
		if (text->p[i] == '"')
			quoted = !quoted;
	return quoted ? 0 : i;
}

static int unquote(char **word, const struct pl *text)
{
	char *to = mem_zalloc(text->l + 1, NULL);
	size_t n = 0;

	if (!to)
		return ENOMEM;
	for (size_t i = 1; i + 1 < text->l; i++) {
		if (text->p[i] == '\\' &&
		    (text->p[i + 1] == '"' || text->p[i + 1] == '\\') &&
		    i + 2 < text->l)
			i++;
		to[n++] = text->p[i];
	}
	*word = to;
	return 0;
}

int typed_word(char **word, struct pl *rest, char *kind)
{
	struct pl one;
	size_t n;
	int err;

	while (rest->l && is_blank(*rest->p))
		pl_advance(rest, 1);
	if (!rest->l)
		return ENOENT;

	*kind = strchr("\"(+-", *rest->p) ? *rest->p : 0;
	if (rest->l > 1 && (*kind == '+' || *kind == '-'))
		pl_advance(rest, 1);
	else if (*kind == '+' || *kind == '-')
		*kind = 0; /* a sign alone is a word */

	one = *rest;
	if (*rest->p == '"' || (*kind == '(' && *rest->p == '(')) {
		one.l = *rest->p == '"' ? quoted_length(rest)
					: group_length(rest);
		if (!one.l || (one.l < rest->l && !is_blank(rest->p[one.l])))
			return EINVAL;
		err = *rest->p == '"' ? unquote(word, &one)
				      : pl_strdup(word, &one);
	} else {
		n = bare_length(rest);
		if (!n && rest->l && !is_blank(*rest->p))
			return EINVAL;
		one.l = n;
		err = pl_strdup(word, &one);
	}
	pl_advance(rest, one.l);
	return err;
}

/* --- Values ------------------------------------------------------------- */

struct shown {
	const struct field *f;
	const void *item;
};

static int shown_print(struct re_printf *pf, const struct shown *s)
{
	return field_show(pf, s->f, s->item);
}

static int shown(char **textp, const struct field *f, const void *item)
{
	struct shown s = { f, item };

	return re_sdprintf(textp, "%H", shown_print, &s) ? ENOMEM : 0;
}

struct range {
	const struct field *f;
};

static int range_print(struct re_printf *pf, const struct range *r)
{
	return field_range_print(pf, r->f);
}

/* "register-retry-time [20] is out of range 30-3600"; the value of a secret is
 * never repeated */
static int refuse(const struct field *f, const char *value, const char *why,
		  struct typed_note *note)
{
	struct range range = { f };

	if (f->type == &type_secret || (f->flags & SECRET))
		(void)re_snprintf(note->text, sizeof(note->text), "%s %s",
				  f->name, why);
	else if (f->type == &type_word || f->type == &type_words ||
		 f->type == &type_flag)
		(void)re_snprintf(note->text, sizeof(note->text),
				  "%s [%s] is not one of: %H", f->name, value,
				  range_print, &range);
	else
		(void)re_snprintf(note->text, sizeof(note->text), "%s [%s] %s",
				  f->name, value, why);
	return EINVAL;
}

static const char *const *words_of(const struct field *f)
{
	static const char *const flags[] = { "enabled", "disabled", NULL };

	if (f->type == &type_flag)
		return flags;
	return f->type == &type_word || f->type == &type_words ? f->words
							       : NULL;
}

/* The word that a unique beginning stands for, in any case; else what was typed */
static const char *completed(const struct field *f, const char *typed)
{
	const char *const *w = words_of(f);
	const char *found = NULL;

	for (; w && *typed && *w; w++) {
		if (!strcasecmp(*w, typed))
			return *w;
		if (strncasecmp(*w, typed, strlen(typed)))
			continue;
		if (found)
			return typed;
		found = *w;
	}
	return found ? found : typed;
}

static int value_parse(const struct field *f, void *item, const char *typed,
		       struct typed_note *note)
{
	struct value_fault fault = { "is not allowed" };
	struct pl pl = pl_of(completed(f, typed));
	int err = field_parse(f, item, &pl, &fault);

	return err == EINVAL ? refuse(f, typed, fault.why, note) : err;
}

/* One value of a list, as the kind prints it; mem_deref */
struct member {
	const struct field *f;
	const void *item;
	uint32_t i;
};

static int member_print(struct re_printf *pf, const struct member *m)
{
	return m->f->type->print_at(pf, field_slot_const(m->f, m->item), m->i);
}

static int member_text(char **textp, const struct field *f, const void *item,
		       uint32_t i)
{
	struct member m = { f, item, i };

	return re_sdprintf(textp, "%H", member_print, &m) ? ENOMEM : 0;
}

static uint32_t members(const struct field *f, const void *item)
{
	return *(const uint32_t *)field_slot_const(f, item);
}

/* The value's own spelling, "PUBLISH" of "publish"; an option's name alone where
 * only that counts. ENOENT: it is no value, and so not in the list */
static int spelled(char **textp, const struct field *f,
		   const struct element *type, const char *typed,
		   struct typed_note *note)
{
	void *one = calloc(1, type->size);
	int err = one ? value_parse(f, one, typed, note) : ENOMEM;

	if (!err && !members(f, one))
		err = EINVAL;
	if (!err)
		err = member_text(textp, f, one, 0);
	if (one)
		field_clear(f, one);
	free(one);
	return err;
}

static bool is_same_member(const struct field *f, const char *a, const char *b)
{
	size_t n = strcspn(a, "="), m = strcspn(b, "=");

	if (f->type != &type_options)
		return !strcmp(a, b);
	return n == m && !memcmp(a, b, n);
}

/* The list again without what is the same; *found tells whether it was there */
static int members_without(const struct field *f, const struct element *type,
			   void *item, const char *text, bool *found)
{
	void *left = calloc(1, type->size);
	int err = left ? 0 : ENOMEM;

	*found = false;
	for (uint32_t i = 0; !err && i < members(f, item); i++) {
		char *one = NULL;
		struct pl pl;

		err = member_text(&one, f, item, i);
		if (err)
			break;
		pl = pl_of(one);
		if (is_same_member(f, one, text))
			*found = true;
		else
			err = field_parse(f, left, &pl, NULL);
		mem_deref(one);
	}
	if (!err) {
		field_clear(f, item);
		memcpy(field_slot(f, item), field_slot(f, left), f->type->size);
	} else if (left) {
		field_clear(f, left);
	}
	free(left);
	return err;
}

static int member_drop(const struct field *f, const struct element *type,
		       void *item, const char *typed, struct typed_note *note)
{
	char *text = NULL;
	bool found = false;
	int err = spelled(&text, f, type, typed, note);

	if (!err)
		err = members_without(f, type, item, text, &found);
	if (!err && !found)
		err = refuse(f, typed, "is not in the list", note);
	mem_deref(text);
	return err;
}

static int member_add(const struct field *f, const struct element *type,
		      void *item, const char *typed, struct typed_note *note)
{
	char *text = NULL, *one = NULL;
	bool found = false;
	int err = spelled(&text, f, type, typed, note);

	for (uint32_t i = 0; !err && !found && i < members(f, item); i++) {
		err = member_text(&one, f, item, i);
		found = !err && !strcmp(one, text);
		one = mem_deref(one);
	}
	if (!err && !found && f->type == &type_options) {
		/* Set or replaced, whatever its value was */
		err = members_without(f, type, item, text, &found);
		found = false;
	}
	if (!err && !found)
		err = value_parse(f, item, typed, note);
	mem_deref(text);
	return err;
}

static int members_replace(const struct field *f, void *item, const char *text,
			   struct typed_note *note)
{
	struct pl rest = pl_of(text);
	int err = 0;

	field_clear(f, item);
	while (!err) {
		char *value = NULL;

		err = value_next(&rest, &value);
		if (!err)
			err = value_parse(f, item, value, note);
		else if (err == EINVAL)
			err = refuse(f, text, "is not a list", note);
		mem_deref(value);
	}
	return err == ENOENT ? 0 : err;
}

static int unexpected(const char *word, struct typed_note *note)
{
	(void)re_snprintf(note->text, sizeof(note->text),
			  "Unexpected word [%s]", word);
	return EINVAL;
}

static int members_word(const struct field *f, const struct element *type,
			void *item, const char *word, char kind, bool first,
			bool last, struct typed_note *note)
{
	if (kind == '+')
		return member_add(f, type, item, word, note);
	if (kind == '-')
		return member_drop(f, type, item, word, note);
	if (!first || !last)
		return unexpected(word, note);
	if (kind == '(')
		return members_replace(f, item, word, note);
	if (f->type == &type_options && *word)
		return refuse(f, word, "needs a sign: +name or -name", note);
	field_clear(f, item);
	return *word ? value_parse(f, item, word, note) : 0;
}

static int members_set(const struct field *f, const struct element *type,
		       void *item, struct pl *rest, struct typed_note *note)
{
	bool first = true;
	int err = 0;

	while (!err) {
		char *word = NULL, kind;
		struct pl after;

		err = typed_word(&word, rest, &kind);
		if (err)
			break;
		after = *rest;
		while (after.l && is_blank(*after.p))
			pl_advance(&after, 1);
		err = members_word(f, type, item, word, kind, first, !after.l,
				   note);
		first = false;
		mem_deref(word);
	}
	return err == ENOENT ? 0 : err;
}

static int single_set(const struct field *f, void *item, struct pl *rest,
		      struct typed_note *note)
{
	const char *begin;
	char *word = NULL, *more = NULL, kind;
	int err;

	while (rest->l && is_blank(*rest->p))
		pl_advance(rest, 1);
	begin = rest->p;
	err = typed_word(&word, rest, &kind);
	if (!err && (kind == '+' || kind == '-')) {
		/* Only a list has signs */
		struct pl all = { begin, (size_t)(rest->p - begin) };

		mem_deref(word);
		word = NULL;
		err = pl_strdup(&word, &all);
	}
	if (!err && kind == '(' && strcmp(word, "()"))
		err = refuse(f, word, "is not one value", note);
	if (!err) {
		err = typed_word(&more, rest, &kind);
		err = err == ENOENT ? 0 : err ? err : unexpected(more, note);
	}
	if (!err)
		err = value_parse(f, item, strcmp(word, "()") ? word : "",
				  note);
	if (word)
		secret_wipe_bytes(word, strlen(word));
	mem_deref(word);
	mem_deref(more);
	return err;
}

/* Does the new list lack what the old one had? */
static bool is_less(const struct field *f, const void *before,
		    const void *after)
{
	for (uint32_t i = 0; i < members(f, before); i++) {
		bool found = false;
		char *a = NULL, *b = NULL;

		if (member_text(&a, f, before, i))
			return false;
		for (uint32_t k = 0; !found && k < members(f, after); k++) {
			found = !member_text(&b, f, after, k) && !strcmp(a, b);
			b = mem_deref(b);
		}
		mem_deref(a);
		if (!found)
			return true;
	}
	return false;
}

static void loss_note(const struct field *f, const void *before,
		      const void *after, struct typed_note *note)
{
	char *a = NULL, *b = NULL;

	/* a list of one is a list */
	if (is_less(f, before, after) && !shown(&a, f, before) &&
	    !shown(&b, f, after))
		(void)re_snprintf(note->text, sizeof(note->text),
				  *b == '(' ? "%s: %s%s%s -> %s"
					    : "%s: %s%s%s -> (%s)",
				  f->name, *a == '(' ? "" : "(", a,
				  *a == '(' ? "" : ")", b);
	mem_deref(a);
	mem_deref(b);
}

static bool is_signed(const struct pl *text)
{
	struct pl rest = *text;

	while (rest.l && is_blank(*rest.p))
		pl_advance(&rest, 1);
	return rest.l && (*rest.p == '+' || *rest.p == '-');
}

int typed_set(const struct field *f, const struct element *type, void *item,
	      const struct pl *text, struct typed_note *note)
{
	struct pl rest = *text;
	void *fresh = calloc(1, type->size);
	int err = fresh ? 0 : ENOMEM;

	note->text[0] = '\0';
	if (!err && f->type->list)
		err = f->type->copy(field_slot(f, fresh),
				    field_slot_const(f, item));
	if (!err)
		err = f->type->list ? members_set(f, type, fresh, &rest, note)
				    : single_set(f, fresh, &rest, note);
	if (err == EINVAL && !note->text[0])
		(void)re_snprintf(note->text, sizeof(note->text),
				  "A quote or a parenthesis is open");
	/* `-a` says itself what goes; a replacement does not */
	if (!err && f->type->list && !is_signed(text))
		loss_note(f, item, fresh, note);
	if (!err) {
		field_clear(f, item);
		memcpy(field_slot(f, item), field_slot(f, fresh),
		       f->type->size);
	} else if (fresh) {
		field_clear(f, fresh);
	}
	free(fresh);
	return err;
}
