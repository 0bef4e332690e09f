/*
 * What is put off runs once, at the end of the outermost turn
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sbc/turn.h"

struct job {
	struct deferred d; /* first: the handler gets it */
	char letter;
	struct job *then, *forget;
	bool frees_itself;
};

static char order[16];

static void job_run(struct deferred *d)
{
	struct job *j = (struct job *)d;

	strncat(order, &j->letter, 1);
	if (j->then)
		turn_defer(&j->then->d);
	if (j->forget)
		turn_forget(&j->forget->d);
	if (j->frees_itself)
		free(j);
}

static int clear(void **s)
{
	order[0] = '\0';
	(void)s;
	return 0;
}

static void outside_of_a_turn_it_runs_at_once(void **s)
{
	struct job a = { { .run = job_run }, 'a' };

	turn_defer(&a.d);
	assert_string_equal(order, "a");
	turn_defer(&a.d);
	assert_string_equal(order, "aa");
	(void)s;
}

static void inside_it_runs_once_in_the_order_of_asking(void **s)
{
	struct job a = { { .run = job_run }, 'a' };
	struct job b = { { .run = job_run }, 'b' };

	turn_enter();
	turn_enter();
	turn_defer(&b.d);
	turn_defer(&a.d);
	turn_defer(&b.d);
	turn_leave();
	assert_string_equal(order, "");
	turn_leave();
	assert_string_equal(order, "ba");
	(void)s;
}

static void what_it_puts_off_belongs_to_the_same_turn(void **s)
{
	struct job b = { { .run = job_run }, 'b' };
	struct job a = { { .run = job_run }, 'a', .then = &b };

	turn_enter();
	turn_defer(&a.d);
	turn_leave();
	assert_string_equal(order, "ab");
	turn_defer(&a.d);
	assert_string_equal(order, "abab");
	(void)s;
}

static void forgotten_work_does_not_run(void **s)
{
	struct job c = { { .run = job_run }, 'c' };
	struct job b = { { .run = job_run }, 'b' };
	struct job a = { { .run = job_run }, 'a', .forget = &c };

	turn_forget(&a.d); /* it does not even wait */
	turn_enter();
	turn_defer(&a.d);
	turn_defer(&b.d);
	turn_defer(&c.d); /* forgotten by a: the last of the list */
	turn_leave();
	assert_string_equal(order, "ab");

	order[0] = '\0';
	a.forget = NULL;
	turn_enter();
	turn_defer(&a.d);
	turn_defer(&b.d);
	turn_forget(&b.d);
	turn_defer(&c.d); /* the end of the list is where it should be */
	turn_forget(&a.d);
	turn_leave();
	assert_string_equal(order, "c");
	(void)s;
}

static void it_may_free_itself(void **s)
{
	struct job *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->d.run = job_run;
	a->letter = 'a';
	a->frees_itself = true;
	turn_enter();
	turn_defer(&a->d);
	turn_leave();
	assert_string_equal(order, "a");
	(void)s;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(outside_of_a_turn_it_runs_at_once,
				       clear),
		cmocka_unit_test_setup(
			inside_it_runs_once_in_the_order_of_asking, clear),
		cmocka_unit_test_setup(
			what_it_puts_off_belongs_to_the_same_turn, clear),
		cmocka_unit_test_setup(forgotten_work_does_not_run, clear),
		cmocka_unit_test_setup(it_may_free_itself, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
