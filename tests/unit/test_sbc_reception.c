/*
 * Loss and jitter, from sequences whose result is known
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sbc/reception.h"

static void take(struct reception *r, uint32_t ssrc, uint16_t seq, uint32_t ts,
		 uint32_t arrival)
{
	uint8_t h[12] = { 0x80,
			  0,
			  (uint8_t)(seq >> 8),
			  (uint8_t)seq,
			  (uint8_t)(ts >> 24),
			  (uint8_t)(ts >> 16),
			  (uint8_t)(ts >> 8),
			  (uint8_t)ts,
			  (uint8_t)(ssrc >> 24),
			  (uint8_t)(ssrc >> 16),
			  (uint8_t)(ssrc >> 8),
			  (uint8_t)ssrc };

	reception_take(r, h, arrival);
}

static void lost_packets_are_counted_across_the_wrap_of_the_number(void **state)
{
	struct reception r = { 0 };
	uint32_t i;
	(void)state;

	for (i = 65530; i < 65530 + 100; i++)
		if (i % 10 != 5) /* ten are lost; the last is 65629 */
			take(&r, 1, (uint16_t)i, i * 160, i * 160);

	assert_int_equal(reception_lost(&r), 10);
}

static void order_and_duplicates_are_no_loss(void **state)
{
	static const uint16_t seqs[] = { 10, 12, 11, 13, 13, 15, 14 };
	struct reception r = { 0 };
	size_t i;
	(void)state;

	for (i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++)
		take(&r, 1, seqs[i], seqs[i] * 160u, seqs[i] * 160u);

	assert_int_equal(reception_lost(&r), 0);
}

static void another_ssrc_begins_anew_and_keeps_the_loss(void **state)
{
	struct reception r = { 0 };
	(void)state;

	take(&r, 1, 1, 160, 160);
	take(&r, 1, 4, 640, 640); /* 2 and 3 are lost */
	take(&r, 2, 30000, 160, 800);
	take(&r, 2, 30002, 480, 1120);

	assert_int_equal(reception_lost(&r), 3);
}

static void a_leap_of_the_number_counts_only_when_the_next_follows(void **state)
{
	struct reception r = { 0 };
	(void)state;

	take(&r, 1, 1, 160, 160);
	take(&r, 1, 40000, 320, 320);
	take(&r, 1, 2, 320, 320);
	assert_int_equal(reception_lost(&r), 0);

	take(&r, 1, 50000, 480, 480);
	take(&r, 1, 50001, 640, 640);
	take(&r, 1, 50003, 960, 960);
	assert_int_equal(reception_lost(&r), 1);
}

static void an_even_stream_has_no_jitter(void **state)
{
	struct reception r = { 0 };
	uint32_t i;
	(void)state;

	/* the sender's timestamps begin near their wrap */
	for (i = 0; i < 1000; i++)
		take(&r, 1, (uint16_t)i, 0xfffff000u + i * 160, i * 160);

	assert_int_equal(reception_jitter(&r, 8000), 0);
}

static void jitter_settles_at_the_mean_difference(void **state)
{
	struct reception r = { 0 };
	uint32_t i;
	(void)state;

	/* every other packet is 5 ms (40 ticks) late: |D| is always 40 */
	for (i = 0; i < 1000; i++)
		take(&r, 1, (uint16_t)i, i * 160, i * 160 + i % 2 * 40);

	assert_in_range(reception_jitter(&r, 8000), 4800, 5000);
	assert_int_equal(reception_jitter(&r, 0), 0);
}

static void a_leap_of_the_timestamp_is_no_jitter(void **state)
{
	struct reception r = { 0 };
	(void)state;

	take(&r, 1, 1, 0, 0);
	take(&r, 1, 2, 0x80000000u, 160);
	take(&r, 1, 3, 0x800000a0u, 320);

	assert_int_equal(reception_jitter(&r, 8000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			lost_packets_are_counted_across_the_wrap_of_the_number),
		cmocka_unit_test(order_and_duplicates_are_no_loss),
		cmocka_unit_test(another_ssrc_begins_anew_and_keeps_the_loss),
		cmocka_unit_test(
			a_leap_of_the_number_counts_only_when_the_next_follows),
		cmocka_unit_test(an_even_stream_has_no_jitter),
		cmocka_unit_test(jitter_settles_at_the_mean_difference),
		cmocka_unit_test(a_leap_of_the_timestamp_is_no_jitter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
