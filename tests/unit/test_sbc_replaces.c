/*
 * Replaces: dialogs named for the other side, and for nobody else
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "store/base.h"
#include "realms/realms.h"
#include "sbc/replaces.h"

/* A call: leg a in realm pbx, leg b in realm trunk */
static struct leg_tables tables;
static const struct realm_config names[] = { { .identifier = "pbx" },
					     { .identifier = "trunk" },
					     { .identifier = "pbx" } };
static struct realm pbx = { .config = &names[0] };
static struct realm trunk = { .config = &names[1] };
static struct realm pbx_now = { .config = &names[2] }; /* after a change */
static struct leg a, b;

static void enter(struct leg *leg, struct realm *realm, const char *tag,
		  const char *callid, const char *peer)
{
	struct pl text;

	memset(leg, 0, sizeof(*leg));
	memcpy(leg->tag, tag, TAG_SIZE);
	leg->realm = realm;
	text = range_of(callid);
	assert_int_equal(texts_set(&leg->texts, &leg->text[LEG_CALLID], &text),
			 0);
	text = range_of(peer);
	assert_int_equal(texts_set(&leg->texts, &leg->text[LEG_REMOTE], &text),
			 0);
	leg->tag_l = (uint16_t)text.l;
	leg->confirmed = true;
	assert_int_equal(table_add(&tables.tags, &leg->by_tag,
				   hash_bytes(leg->tag, TAG_SIZE - 1)),
			 0);
}

static int setup(void **state)
{
	(void)state;
	table_init(&tables.tags);
	enter(&a, &pbx, "00aaaaaaaaaaaaaa", "call-a", "peer-a");
	enter(&b, &trunk, "00bbbbbbbbbbbbbb", "call-b", "peer-b");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	table_remove(&tables.tags, &a.by_tag);
	table_remove(&tables.tags, &b.by_tag);
	table_finish(&tables.tags);
	texts_clear(&a.texts);
	texts_clear(&b.texts);
	return 0;
}

static struct leg *find(const struct realm *realm, const char *text)
{
	struct pl value;

	pl_set_str(&value, text);
	return replaces_find(&tables, realm, &value);
}

static void a_dialog_is_found_by_all_three_names_in_its_realm(void **state)
{
	(void)state;
	assert_ptr_equal(
		find(&pbx, "call-a;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-a"),
		&a);
	assert_ptr_equal(
		find(&pbx, "call-a ;from-tag=00aaaaaaaaaaaaaa;x;to-tag=peer-a"),
		&a);
}

static void a_realm_is_the_same_after_a_change(void **state)
{
	(void)state;
	assert_ptr_equal(find(&pbx_now,
			      "call-a;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-a"),
			 &a);
}

static void a_name_that_is_wrong_finds_nothing(void **state)
{
	static const char *const rows[] = {
		"",
		";",
		"call-a",
		"call-a;to-tag=00aaaaaaaaaaaaaa",
		"call-a;from-tag=peer-a",
		"call-b;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-a",
		"call-a;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-b",
		"call-a;to-tag=00aaaaaaaaaaaaa;from-tag=peer-a",
		"call-a;to-tag=00cccccccccccccc;from-tag=peer-a",
		"call-a;to-tag=;from-tag=",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_null(find(&pbx, rows[i]));
}

static void another_realm_finds_nothing(void **state)
{
	(void)state;
	assert_null(
		find(&trunk, "call-a;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-a"));
}

static void a_closed_or_unanswered_dialog_is_not_found(void **state)
{
	(void)state;
	a.confirmed = false;
	assert_null(
		find(&pbx, "call-a;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-a"));
	a.confirmed = true;
	a.closed = true;
	assert_null(
		find(&pbx, "call-a;to-tag=00aaaaaaaaaaaaaa;from-tag=peer-a"));
}

static struct leg *other(const struct leg *leg)
{
	return leg == &a ? &b : &a;
}

/* A header of the message after it was edited for a realm */
static int edited(char *out, size_t size, enum header_id id, const char *text,
		  const struct realm *to)
{
	struct mbuf *mb = mbuf_alloc(1024);
	struct scan_result result;
	struct message *msg;
	struct pl value;
	int err;

	assert_int_equal(
		mbuf_printf(mb,
			    "REFER sip:x@h SIP/2.0\r\n"
			    "Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
			    "From: <sip:f@h>;tag=f\r\nTo: <sip:t@h>;tag=t\r\n"
			    "Call-ID: c\r\nCSeq: 1 REFER\r\n"
			    "%s: %s\r\n\r\n",
			    header_id_name(id), text),
		0);
	mb->pos = 0;
	assert_int_equal(message_scan(&msg, mb, &result), 0);
	err = replaces_edit(msg, &tables, &pbx, to, other);
	value = message_value(msg, id);
	assert_int_equal(pl_strcpy(&value, out, size), 0);
	mem_deref(msg);
	mem_deref(mb);
	return err;
}

static void refer_to_names_the_other_leg_or_nothing(void **state)
{
#define A "call-a%3Bto-tag%3d00aaaaaaaaaaaaaa%3bfrom-tag%3Dpeer-a"
#define B "call-b%3Bto-tag%3Dpeer-b%3Bfrom-tag%3D00bbbbbbbbbbbbbb"
	static const struct {
		const char *in, *out;
		bool elsewhere;
	} rows[] = {
		{ "<sip:n@h>", "<sip:n@h>" },
		{ "<sip:n@h?Subject=x>", "<sip:n@h?Subject=x>" },
		{ "<sip:n@h?Replaces=" A ">", "<sip:n@h?Replaces=" B ">" },
		{ "<sip:n@h?a=b&replaces=" A "&c=d>;p=q",
		  "<sip:n@h?a=b&Replaces=" B "&c=d>;p=q" },
		{ "<sip:n@h?Replaces=" A ">", "<sip:n@h>", true },
		{ "<sip:n@h?Replaces=" A "&c=d>", "<sip:n@h?c=d>", true },
		{ "<sip:n@h?Replaces=>", "<sip:n@h>" },
		{ "<sip:n@h?Replaces=%>", NULL },
		{ "<sip:n@h?Replaces=%3>", NULL },
		{ "<sip:n@h?Replaces=%zz>", NULL },
		{ "<sip:n@h?Replaces=unknown%3Bto-tag%3Dx%3Bfrom-tag%3Dy>",
		  "<sip:n@h>" },
	};
	char out[512];
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int err = edited(out, sizeof(out), HDR_REFER_TO, rows[i].in,
				 rows[i].elsewhere ? &pbx : &trunk);

		assert_int_equal(err, rows[i].out ? 0 : EBADMSG);
		if (rows[i].out)
			assert_string_equal(out, rows[i].out);
	}
}

/* RFC 4538: whichever side's view the sender takes, he gets it back */
static void target_dialog_names_the_other_leg_or_goes(void **state)
{
#define ID_A "call-a;local-tag="
#define ID_B "call-b;local-tag="
	static const struct {
		const char *in, *out;
		bool elsewhere;
	} rows[] = {
		{ ID_A "peer-a;remote-tag=00aaaaaaaaaaaaaa;x=y;z",
		  ID_B "00bbbbbbbbbbbbbb;remote-tag=peer-b;x=y;z" },
		{ "call-a;remote-tag=peer-a;local-tag=00aaaaaaaaaaaaaa",
		  ID_B "peer-b;remote-tag=00bbbbbbbbbbbbbb" },
		{ ID_A "peer-a;remote-tag=00aaaaaaaaaaaaaa", "", true },
		{ ID_B "peer-b;remote-tag=00bbbbbbbbbbbbbb", "" },
		{ ID_A "peer-b;remote-tag=00aaaaaaaaaaaaaa", "" },
		{ ID_A "peer-a", "" },
		{ "call-a", "" },
	};
	char out[512];
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(edited(out, sizeof(out), HDR_TARGET_DIALOG,
					rows[i].in,
					rows[i].elsewhere ? &pbx : &trunk),
				 0);
		assert_string_equal(out, rows[i].out);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_dialog_is_found_by_all_three_names_in_its_realm),
		T(a_realm_is_the_same_after_a_change),
		T(a_name_that_is_wrong_finds_nothing),
		T(another_realm_finds_nothing),
		T(a_closed_or_unanswered_dialog_is_not_found),
		T(refer_to_names_the_other_leg_or_nothing),
		T(target_dialog_names_the_other_leg_or_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
