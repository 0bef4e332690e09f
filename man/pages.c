/*
 * Man pages and completion, made at build time from the tables of the programs
 *
 * usage: pages man TEMPLATE, pages bash PROGRAM
 * In a template a line @OPTIONS PROGRAM@, @COMMANDS@, @ELEMENTS@ or @RULES@ is
 * replaced by what the tables say, and @VERSION@ wherever it stands.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/base.h"
#include "store/elements/elements.h"
#include "store/rules.h"
#include "cli/commands.h"
#include "cli/options.h"

enum {
	LINE = 1024
};

/* --- Text for troff ------------------------------------------------------ */

/* A hyphen of ours is one that can be copied, and a line never begins with what
 * troff takes for a request */
static void text_put(const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", stdout);
	for (; *text; text++) {
		switch (*text) {

		case '-':
			fputs("\\-", stdout);
			break;
		case '\\':
			fputs("\\e", stdout);
			break;
		case '^':
			fputs("\\(ha", stdout);
			break;
		case '~':
			fputs("\\(ti", stdout);
			break;
		case '\'':
			fputs("\\(aq", stdout);
			break;
		case '`':
			fputs("\\(ga", stdout);
			break;
		default:
			putchar(*text);
			break;
		}
	}
}

static void bold_put(const char *text)
{
	fputs("\\fB", stdout);
	text_put(text);
	fputs("\\fR", stdout);
}

static void sentence_put(const char *text)
{
	text_put(text);
	puts(".");
}

/* --- Options and commands ------------------------------------------------ */

static const struct option_text *options_of(const char *program)
{
	return !strcmp(program, "acli") ? acli_options : sbcd_options;
}

static void options_put(const char *program)
{
	char brief[3] = "-?", name[64];

	for (const struct option_text *o = options_of(program); o->name; o++) {
		puts(".TP");
		if (o->brief) {
			brief[1] = o->code;
			bold_put(brief);
			fputs(", ", stdout);
		}
		(void)snprintf(name, sizeof(name), "--%s", o->name);
		bold_put(name);
		if (o->argument)
			printf(" \\fI%s\\fR", o->argument);
		putchar('\n');
		sentence_put(o->help);
	}
}

static void commands_put(void)
{
	const char *words, *help;
	bool superuser;

	for (size_t i = 0; commands_text(i, &words, &help, &superuser); i++) {
		puts(".TP");
		bold_put(words);
		puts(superuser ? " (S)" : "");
		sentence_put(help);
	}
}

/* --- Elements ------------------------------------------------------------ */

static void marks_put(const struct field *f)
{
	static const struct {
		unsigned flag;
		const char *text;
	} marks[] = {
		{ KEY, "part of the key" },
		{ REQUIRED, "required" },
		{ SECRET, "secret" },
		{ REOPEN, "a change reopens the port" },
		{ RESTART, "counts from the next start" },
		{ UNSERVED, "no effect in this version" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (f->flags & marks[i].flag)
			printf("; %s", marks[i].text);
}

static void field_put(const struct field *f)
{
	char *range = NULL;

	if (f->flags & READONLY)
		return;
	puts(".TP");
	bold_put(f->name);
	putchar('\n');
	sentence_put(f->help);
	if (f->child) {
		fputs("Sub\\-elements, see ", stdout);
		bold_put(f->child->name);
		puts(" below.");
		return;
	}
	if (re_sdprintf(&range, "%H", field_range_print, f))
		exit(1);
	text_put("Allowed: ");
	text_put(range);
	mem_deref(range);
	if (!(f->flags & REQUIRED)) {
		fputs("; default ", stdout);
		text_put(f->dflt ? f->dflt : "empty");
	}
	marks_put(f);
	puts(".");
}

static void element_put(const struct element *type, const struct element *above)
{
	fputs(".SS ", stdout);
	text_put(type->folder);
	if (above) {
		fputs(" / ", stdout);
		text_put(above->name);
	}
	fputs(" / ", stdout);
	text_put(type->name);
	putchar('\n');
	sentence_put(type->help);
	puts(type->flags & SINGLE ? "There is one, always."
				  : "There may be any number.");
	if (type->alias) {
		fputs("Also read as ", stdout);
		bold_put(type->alias);
		puts(".");
	}
	for (const struct field *f = type->fields; f->name; f++)
		field_put(f);
	for (const struct field *f = type->fields; f->name; f++)
		if (f->child)
			element_put(f->child, type);
}

static void rules_put(void)
{
	static const char *const severities[] = { "ERROR", "WARNING", "NOTE" };

	for (const struct rule_text *r = rules; r->id; r++) {
		puts(".TP");
		bold_put(r->id);
		printf(" %s\n", severities[r->severity]);
		sentence_put(r->condition);
		if (!*r->hint)
			continue;
		puts(".br");
		sentence_put(r->hint);
	}
}

/* --- A page -------------------------------------------------------------- */

static void line_put(const char *line)
{
	static const char mark[] = "@VERSION@";
	const char *at;

	while ((at = strstr(line, mark))) {
		printf("%.*s" SBC_VERSION, (int)(at - line), line);
		line = at + strlen(mark);
	}
	puts(line);
}

static int page_put(const char *template)
{
	FILE *f = fopen(template, "r");
	char line[LINE];

	if (!f)
		return errno;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "@OPTIONS ", 9))
			options_put(strstr(line, "acli") ? "acli" : "sbcd");
		else if (!strcmp(line, "@COMMANDS@"))
			commands_put();
		else if (!strcmp(line, "@RULES@"))
			rules_put();
		else if (!strcmp(line, "@ELEMENTS@"))
			for (size_t i = 0; elements[i]; i++)
				element_put(elements[i], NULL);
		else
			line_put(line);
	}
	(void)fclose(f);
	return 0;
}

/* --- Completion ---------------------------------------------------------- */

/* "    --db|--socket)": the options that take one kind of word */
static void case_begin(const struct option_text *options,
		       enum option_takes takes)
{
	const char *bar = "";

	fputs("    ", stdout);
	for (const struct option_text *o = options; o->name; o++) {
		if (o->takes != takes)
			continue;
		printf("%s--%s", bar, o->name);
		if (o->brief)
			printf("|-%c", o->code);
		bar = "|";
	}
	puts(")");
}

static bool has(const struct option_text *options, enum option_takes takes)
{
	for (; options->name; options++)
		if (options->takes == takes)
			return true;
	return false;
}

static void case_put(const struct option_text *options, enum option_takes takes,
		     const char *action)
{
	if (!has(options, takes))
		return;
	case_begin(options, takes);
	printf("        %s\n        return;;\n", action);
}

static void bash_commands_put(void)
{
	const char *words, *help;
	bool superuser;

	puts("# A command of several words is one argument: it gets its "
	     "quotes");
	puts("_acli_command()\n{");
	puts("    local cur=$1 quote= line IFS=$'\\n'");
	puts("    case $cur in [\\'\\\"]*) quote=${cur:0:1} cur=${cur:1};; "
	     "esac");
	puts("    [ \"$quote\" ] || cur=${cur//\\\\/}");
	puts("    COMPREPLY=()");
	puts("    while read -r line; do");
	puts("        case $line in \"$cur\"*) ;; *) continue;; esac");
	puts("        [ \"$quote\" ] || printf -v line %q \"$line\"");
	puts("        COMPREPLY+=(\"$line\")");
	puts("    done <<'COMMANDS'");
	for (size_t i = 0; commands_text(i, &words, &help, &superuser); i++)
		puts(words);
	puts("COMMANDS\n}\n");
}

static int bash_put(const char *program)
{
	const struct option_text *options = options_of(program);
	const char *blank = "";

	printf("# bash completion for %s, made from its tables\n", program);
	if (has(options, TAKES_COMMAND))
		bash_commands_put();
	printf("_%s()\n{\n", program);
	puts("    local cur=${COMP_WORDS[COMP_CWORD]} "
	     "prev=${COMP_WORDS[COMP_CWORD-1]}");
	puts("    case $prev in");
	case_put(options, TAKES_FILE,
		 "compopt -o filenames; mapfile -t COMPREPLY < "
		 "<(compgen -f -- \"$cur\")");
	case_put(options, TAKES_FOLDER,
		 "compopt -o filenames; mapfile -t COMPREPLY < "
		 "<(compgen -d -- \"$cur\")");
	case_put(options, TAKES_LEVEL,
		 "mapfile -t COMPREPLY < <(compgen -W 'NONE EMERGENCY CRITICAL "
		 "MAJOR MINOR WARNING NOTICE INFO TRACE DEBUG DETAIL' -- "
		 "\"$cur\")");
	case_put(options, TAKES_WORD, "COMPREPLY=()");
	case_put(options, TAKES_COMMAND, "_acli_command \"$cur\"");
	if (!strcmp(program, "sbcd")) {
		puts("    --manual)");
		fputs("        mapfile -t COMPREPLY < <(compgen -W '", stdout);
		for (size_t i = 0; elements[i]; i++, blank = " ")
			printf("%s%s", blank, elements[i]->name);
		puts("' -- \"$cur\")\n        return;;");
	}
	puts("    esac");
	fputs("    mapfile -t COMPREPLY < <(compgen -W '", stdout);
	blank = "";
	for (const struct option_text *o = options; o->name; o++, blank = " ")
		printf("%s--%s", blank, o->name);
	puts("' -- \"$cur\")\n}");
	printf("complete -F _%s %s\n", program, program);
	return 0;
}

int main(int argc, char *argv[])
{
	int err = EINVAL;

	if (argc == 3 && !strcmp(argv[1], "man"))
		err = page_put(argv[2]);
	else if (argc == 3 && !strcmp(argv[1], "bash"))
		err = bash_put(argv[2]);
	if (!err && fflush(stdout))
		err = errno;
	if (err)
		fprintf(stderr, "pages: %s\n", strerror(err));
	return err ? 1 : 0;
}
