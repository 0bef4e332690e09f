/*
 * The table of rules is complete, and a finding is one sentence
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "config_fixture.h"
#include "store/rules.h"

static void every_rule_has_an_id_of_its_own_and_texts(void **s)
{
	(void)s;

	for (const struct rule_text *r = rules; r->id; r++) {
		assert_int_equal(strlen(r->id), strlen("VC-0000"));
		assert_int_equal(strncmp(r->id, "VC-", 3), 0);
		assert_int_equal(strspn(r->id + 3, "0123456789"), 4);
		assert_ptr_equal(rule_find(r->id), r);
		assert_true(*r->condition && *r->message && r->hint);
	}
	assert_null(rule_find("VC-9999"));
	assert_null(rule_find(""));
}

static void a_finding_puts_element_and_key_before_the_sentence(void **s)
{
	struct config *cfg = config_new();
	struct realm_config *realm = config_add(cfg, &element_realm_config,
						"identifier", "core", NULL);
	struct auth_attribute *entry =
		item_add(&realm->auth_attributes, &element_realm_auth_attribute,
			 "auth-realm", "a b", "auth-user-lookup", "l", NULL);
	struct finding_about about = {
		.element = &element_realm_auth_attribute,
		.parent = &element_realm_config,
		.item = entry,
		.parent_item = realm,
		.severity = SEVERITY_NOTE,
		.severity_set = true,
	};
	struct list findings = LIST_INIT;
	const struct finding *f;
	(void)s;

	assert_int_equal(finding_add(&findings, "VC-0509", &about, "has %s",
				     "no password"),
			 0);
	f = findings.tail->data;
	assert_string_equal(f->message,
			    "auth-attribute [a b l] from realm-config "
			    "[core] has no password");
	assert_int_equal(f->severity, SEVERITY_NOTE);
	assert_int_equal(f->rule->severity, SEVERITY_ERROR);

	assert_int_equal(finding_add(&findings, "VC-0116", &about,
				     "The sentence stands alone"),
			 0);
	f = findings.tail->data;
	assert_string_equal(f->message, "The sentence stands alone");
	list_flush(&findings);
	config_give(cfg);
}

static void text_from_outside_is_no_format(void **s)
{
	struct finding_about about = { .value = "%s%n" };
	struct list findings = LIST_INIT;
	const struct finding *f;
	(void)s;

	assert_int_equal(finding_add(&findings, "VC-0105", &about, "It is [%s]",
				     "%s%n%H"),
			 0);
	f = findings.tail->data;
	assert_string_equal(f->message, "It is [%s%n%H]");
	assert_string_equal(f->value, "%s%n");
	list_flush(&findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_has_an_id_of_its_own_and_texts),
		cmocka_unit_test(
			a_finding_puts_element_and_key_before_the_sentence),
		cmocka_unit_test(text_from_outside_is_no_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
