/*
 * A value is legal at every door or at none, and reads back as printed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "store/schema.h"

static const char *const words[] = { "none", "DynamicTLS", NULL };

static const struct field name = { .type = &type_name };
static const struct field any_name = { .type = &type_name, .flags = ANY_TOO };
static const struct field text = { .type = &type_text, .max = 8 };
static const struct field chars = { .type = &type_text, .chars = "A-Z0-9_-" };
static const struct field flag = { .type = &type_flag };
static const struct field word = { .type = &type_word, .words = words };
static const struct field level = { .type = &type_level };
static const struct field number = {
	.type = &type_number, .dflt = "30", .min = 30, .max = 3600
};
static const struct field host = { .type = &type_host };
static const struct field place = { .type = &type_host, .flags = PORT_TOO };
static const struct field target = { .type = &type_target };
static const struct field address = { .type = &type_address };
static const struct field endpoint = { .type = &type_address,
				       .flags = PORT_TOO };
static const struct field prefix = { .type = &type_prefix };
static const struct field when = { .type = &type_stamp };
static const struct field hour = { .type = &type_hhmm };
static const struct field days = { .type = &type_weekdays };
static const struct field secret = { .type = &type_secret };
static const struct field names = { .type = &type_names };
static const struct field methods = { .type = &type_methods };
static const struct field one_method = { .type = &type_methods, .max = 1 };
static const struct field options = { .type = &type_options };
static const struct field list_of_words = { .type = &type_words,
					    .words = words };
static const struct field levels = { .type = &type_levels };
static const struct field prefixes = { .type = &type_prefixes };
static const struct field addresses = { .type = &type_addresses };
static const struct field codes = { .type = &type_codes };
static const struct field patterns = { .type = &type_patterns };

union slot {
	char *text;
	bool flag;
	uint8_t word;
	uint32_t number;
	struct sa sa;
	struct prefix prefix;
	stamp stamp;
	struct secret secret;
	struct names names;
	struct patterns patterns;
	struct codes codes;
};

struct shown {
	const struct field *f;
	const void *item;
};

static int shown_print(struct re_printf *pf, const struct shown *s)
{
	return field_print(pf, s->f, s->item);
}

static struct pl pl_of(const char *t)
{
	struct pl pl = { t, strlen(t) };

	return pl;
}

static int read_text(const struct field *f, union slot *slot, const char *t)
{
	struct value_fault fault = { "" };
	struct pl pl = pl_of(t);
	int err = field_read(f, slot, &pl, &fault);

	if (err)
		assert_true(fault.why[0]); /* a refusal says why */
	return err;
}

struct row {
	const struct field *f;
	const char *in;
	const char *out; /* NULL: refused */
};

#define SAME (const char *)1

static void check_row(const struct row *row)
{
	const char *out = row->out == SAME ? row->in : row->out;
	union slot slot, again, copy;
	struct shown shown = { row->f, &slot };
	char *printed = NULL;

	memset(&slot, 0, sizeof(slot));
	memset(&again, 0, sizeof(again));
	memset(&copy, 0, sizeof(copy));
	field_clear(row->f, &slot);
	field_clear(row->f, &again);
	field_clear(row->f, &copy);

	if (read_text(row->f, &slot, row->in) != (out ? 0 : EINVAL))
		fail_msg("%s [%s]", row->f->type->name, row->in);
	if (out) {
		assert_int_equal(
			re_sdprintf(&printed, "%H", shown_print, &shown), 0);
		assert_string_equal(printed, out);
		assert_int_equal(read_text(row->f, &again, printed), 0);
		assert_true(row->f->type->same(&slot, &again));
		assert_int_equal(row->f->type->copy(&copy, &slot), 0);
		assert_true(row->f->type->same(&copy, &again));
		mem_deref(printed);
	}
	field_clear(row->f, &slot);
	field_clear(row->f, &again);
	field_clear(row->f, &copy);
}

static void values_are_read_and_printed_or_refused(void **s)
{
	static const struct row rows[] = {
		{ &name, "pbx-a", SAME },
		{ &name, "_a.b", SAME },
		{ &name, "", SAME },
		{ &name, "-a", NULL },
		{ &name, "a b", NULL },
		{ &name, "*", NULL },
		{ &any_name, "*", SAME },
		{ &text, "M\xc3\xbcller", SAME },
		{ &text, "123456789", NULL },
		{ &text, "a\tb", NULL },
		{ &text, "a\x7f", NULL },
		{ &text, "\xc0\xaf", NULL },
		{ &text, "\xed\xa0\x80", NULL },
		{ &text, "\xc2\x85", NULL },
		{ &text, "\xe2\x82", NULL },
		{ &chars, "SBC_1-A", SAME },
		{ &chars, "sbc", NULL },
		{ &flag, "enabled", SAME },
		{ &flag, "Disabled", "disabled" },
		{ &flag, "true", NULL },
		{ &flag, "1", NULL },
		{ &flag, "", NULL },
		{ &word, "dynamictls", "DynamicTLS" },
		{ &word, "tls", NULL },
		{ &level, "notice", "NOTICE" },
		{ &level, "0", "ZERO" },
		{ &level, "none", "ZERO" },
		{ &level, "11", NULL },
		{ &number, "30", SAME },
		{ &number, "0031", "31" },
		{ &number, "29", NULL },
		{ &number, "3601", NULL },
		{ &number, "99999999999999999999", NULL },
		{ &number, "", NULL },
		{ &host, "sw.example.net", SAME },
		{ &host, "192.0.2.1", SAME },
		{ &host, "2001:DB8:0::1", "2001:db8::1" },
		{ &host, "[::1]", "::1" },
		{ &host, "300.0.0.1", NULL },
		{ &host, "a..b", NULL },
		{ &host, "-a.net", NULL },
		{ &host, "a-.net", NULL },
		{ &host, "*", NULL },
		{ &host, "192.0.2.1:5070", NULL },
		{ &host, "sw.example.net:5070", NULL },
		{ &place, "2001:DB8:0::1", "2001:db8::1" },
		{ &place, "192.0.2.1:5070", SAME },
		{ &place, "[2001:db8::1]:5070", SAME },
		{ &place, "sw.example.net:5070", SAME },
		{ &place, "sw.example.net:70000", NULL },
		{ &place, "sw.example.net:", NULL },
		{ &place, "192.0.2.1:0", NULL },
		{ &target, "SAG:core", SAME },
		{ &target, "SAG:", NULL },
		{ &target, "enum:e164;key=$TO", SAME },
		{ &target, "lrt:x;key=$BCC", NULL },
		{ &target, "192.0.2.1:5070", SAME },
		{ &target, "192.0.2.1:0", NULL },
		{ &target, "192.0.2.1:70000", NULL },
		{ &target, "[2001:db8::1]:5070;transport=tcp", SAME },
		{ &target, "sw.test:5060;transport=sctp", NULL },
		{ &target, "sw test", NULL },
		{ &address, "192.0.2.1", SAME },
		{ &address, "192.0.2.1:5060", NULL },
		{ &address, "192.0.2", NULL },
		{ &endpoint, "[::1]:5060", SAME },
		{ &endpoint, "::1", SAME },
		{ &endpoint, "192.0.2.1:65536", NULL },
		{ &prefix, "0.0.0.0/0", "0.0.0.0" },
		{ &prefix, "0.0.0.0/8", SAME },
		{ &prefix, "192.0.2.1/32", "192.0.2.1" },
		{ &prefix, "2001:db8::/32", SAME },
		{ &prefix, "192.0.2.0/33", NULL },
		{ &prefix, "192.0.2.0/", NULL },
		{ &when, "2027-01-01 00:00:00", SAME },
		{ &when, "2028-02-29-23:59:59", "2028-02-29 23:59:59" },
		{ &when, "2027-02-29 00:00:00", NULL },
		{ &when, "2027-1-1 00:00:00", NULL },
		{ &hour, "2400", SAME },
		{ &hour, "2360", NULL },
		{ &hour, "900", NULL },
		{ &days, "U-S", SAME },
		{ &days, "m,w,t-f,h", "M-F,H" },
		{ &days, "F-M", NULL },
		{ &days, "M,", NULL },
		{ &days, "X", NULL },
		{ &days, "", NULL },
		{ &secret, "a \"b\"", SAME },
		{ &secret, "$sbc1$YWJj", SAME },
		{ &secret, "$sbc1$not base64", NULL },
		{ &names, "(a b)", SAME },
		{ &names, "a", SAME },
		{ &names, "(\"a b\" c)", SAME },
		{ &names, "(\"a b\")", SAME },
		{ &names, "()", "" },
		{ &names, "(a a)", NULL },
		{ &names, "(\"a", NULL },
		{ &methods, "(invite BYE)", "(INVITE BYE)" },
		{ &methods, "IN VITE@", NULL },
		{ &methods, "*", NULL },
		{ &one_method, "(OPTIONS INFO)", NULL },
		{ &options, "(max-routes=3 strip)", SAME },
		{ &options, "(max-routes=3 max-routes=4)", NULL },
		{ &options, "=3", NULL },
		{ &list_of_words, "(NONE dynamictls)", "(none DynamicTLS)" },
		{ &levels, "(SIPD=debug db=4)", "(sipd=DEBUG db=MINOR)" },
		{ &levels, "sipd", NULL },
		{ &levels, "nobody=DEBUG", NULL },
		{ &levels, "(sipd=1 sipd=2)", NULL },
		{ &prefixes, "(192.0.2.0/24 ::1)", SAME },
		{ &prefixes, "(10.0.0.1 10.0.0.1/32)", NULL },
		{ &addresses, "(192.0.2.1 ::1)", SAME },
		{ &codes, "(401 407 500-599)", SAME },
		{ &codes, "99", NULL },
		{ &codes, "700", NULL },
		{ &codes, "599-500", NULL },
		{ &patterns, "(* +49-30 123*456 a@b.test .x.net ::1)", SAME },
		{ &patterns, "12*34*5", NULL },
		{ &patterns, "*5", NULL },
		{ &patterns, "@b", NULL },
		{ &patterns, "a@b@c", NULL },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void patterns_are_compiled_at_the_door(void **s)
{
	static const struct {
		const char *in, *head, *tail, *host;
		enum pattern_kind kind;
		unsigned length;
	} rows[] = {
		{ "*", "", "", "", PATTERN_ANY, 0 },
		{ "+49 ", NULL, NULL, NULL, PATTERN_ANY, 0 },
		{ "+(49)30-1.2", "+493012", "", "", PATTERN_DIGITS, 6 },
		{ "123*456", "123", "456", "", PATTERN_AROUND, 6 },
		{ "Alice@B.Test", "Alice", "", "b.test", PATTERN_USER_HOST,
		  UINT16_MAX },
		{ ".Example.net", "", "", "example.net", PATTERN_BELOW, 2 },
		{ "a.example.net", "", "", "a.example.net", PATTERN_HOST, 3 },
		{ "192.0.2.1", "", "", "192.0.2.1", PATTERN_ADDRESS,
		  UINT16_MAX },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct patterns list = { 0 };
		struct pl pl = pl_of(rows[i].in);
		int err = field_parse(&patterns, &list, &pl, NULL);

		assert_int_equal(err, rows[i].head ? 0 : EINVAL);
		if (!err) {
			const struct pattern *p = &list.v[0];

			assert_int_equal(p->kind, rows[i].kind);
			assert_int_equal(p->length, rows[i].length);
			assert_int_equal(pl_strcmp(&p->head, rows[i].head), 0);
			assert_int_equal(pl_strcmp(&p->host, rows[i].host), 0);
			assert_int_equal(p->tail.l, strlen(rows[i].tail));
		}
		field_clear(&patterns, &list);
	}
}

static void prefixes_hold_what_shares_their_bits(void **s)
{
	static const struct {
		const char *prefix, *address;
		bool holds;
	} rows[] = {
		{ "0.0.0.0", "192.0.2.1", true },
		{ "0.0.0.0", "2001:db8::1", true },
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.2", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::/0", "192.0.2.1", false },
		{ "", "192.0.2.1", false },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pl p = pl_of(rows[i].prefix), a = pl_of(rows[i].address);
		struct prefix got = { .bits = 0 };
		struct sa sa;

		assert_int_equal(field_parse(&prefix, &got, &p, NULL), 0);
		assert_int_equal(address_parse_text(&sa, &a), 0);
		assert_int_equal(prefix_holds(&got, &sa), rows[i].holds);
	}
}

/* inet_pton is the judge of four numbers, of which one has any of these texts */
static void an_address_is_read_and_written_as_inet_pton_and_ntop_do(void **s)
{
	static const char *const forms[] = { "%u",  "0%u", "00%u", "%u ",
					     " %u", "-%u", "%u.",  "%ua" };
	static const char *const places[] = { "%s.2.3.4", "1.%s.3.4",
					      "1.2.%s.4", "1.2.3.%s" };
	(void)s;

	for (unsigned n = 0; n < 1100 * 8 * 4; n++) {
		char octet[16], whole[64], written[64];
		struct in_addr in;
		struct sa sa;
		struct pl pl;

		snprintf(octet, sizeof(octet), forms[n % 8], n / 32);
		snprintf(whole, sizeof(whole), places[n / 8 % 4], octet);
		pl = pl_of(whole);
		if (address_parse_text(&sa, &pl) !=
		    (inet_pton(AF_INET, whole, &in) == 1 ? 0 : EINVAL))
			fail_msg("%s", whole);
		if (inet_pton(AF_INET, whole, &in) != 1)
			continue;
		assert_int_equal(sa_in(&sa), ntohl(in.s_addr));
		assert_int_equal(address_write(written, &sa, false),
				 strlen(whole));
		assert_string_equal(written, whole);
	}
}

static void options_and_codes_are_looked_up(void **s)
{
	struct names list = { 0 };
	struct codes ranges = { 0 };
	struct pl o = pl_of("(max-routes=3 strip)"), v;
	struct pl c = pl_of("(401 500-599)");
	(void)s;

	assert_int_equal(field_read(&options, &list, &o, NULL), 0);
	assert_int_equal(option_get(&list, "max-routes", &v), 0);
	assert_int_equal(pl_strcmp(&v, "3"), 0);
	assert_int_equal(option_get(&list, "strip", &v), 0);
	assert_int_equal(v.l, 0);
	assert_int_equal(option_get(&list, "max", &v), ENOENT);
	field_clear(&options, &list);

	assert_int_equal(field_read(&codes, &ranges, &c, NULL), 0);
	assert_true(codes_have(&ranges, 401));
	assert_true(codes_have(&ranges, 599));
	assert_false(codes_have(&ranges, 600));
	assert_false(codes_have(&ranges, 402));
	field_clear(&codes, &ranges);
}

static void a_date_has_a_month_and_a_day_that_exist(void **s)
{
	static const struct {
		const char *text;
		uint32_t date;
	} rows[] = {
		{ "2027-12-25", 20271225 },
		{ "12-25", 1225 },
		{ "02-29", 229 },
		{ "02-30", 0 },
		{ "2027-13-01", 0 },
		{ "00-10", 0 },
		{ "10-00", 0 },
		{ "10-6", 0 },
		{ "1006", 0 },
		{ "-01-06", 0 },
		{ "2027-0106", 0 },
		{ "", 0 },
		{ "2027-12-25 ", 0 },
	};
	(void)s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pl date;

		pl_set_str(&date, rows[i].text);
		assert_int_equal(date_read(&date), rows[i].date);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_date_has_a_month_and_a_day_that_exist),
		cmocka_unit_test(values_are_read_and_printed_or_refused),
		cmocka_unit_test(patterns_are_compiled_at_the_door),
		cmocka_unit_test(prefixes_hold_what_shares_their_bits),
		cmocka_unit_test(
			an_address_is_read_and_written_as_inet_pton_and_ntop_do),
		cmocka_unit_test(options_and_codes_are_looked_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
