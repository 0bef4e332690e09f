/*
 * A capture is what programs that read pcap expect
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sbc/capture.h"

static char folder[64], path[128];
static uint8_t bytes[1 << 20];

static int setup(void **s)
{
	(void)s;
	strcpy(folder, "/tmp/capture-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/a.pcap", folder);
	return 0;
}

static int teardown(void **s)
{
	char command[160];
	(void)s;

	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static size_t written(void)
{
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	fclose(f);
	return n;
}

static uint32_t native(size_t at)
{
	uint32_t v;

	memcpy(&v, bytes + at, sizeof(v));
	return v;
}

static unsigned at16(size_t at)
{
	return (unsigned)bytes[at] << 8 | bytes[at + 1];
}

static struct sa address(const char *text, uint16_t port)
{
	struct sa sa;

	assert_int_equal(sa_set_str(&sa, text, port), 0);
	return sa;
}

static int say(struct capture *c, const char *from, const char *to,
	       const char *text, size_t n)
{
	const struct sa a = address(from, 5060), b = address(to, 5062);
	const struct capture_message m = {
		.wall = 1700000000123,
		.from = &a,
		.to = &b,
		.p = text,
		.n = n,
	};

	return capture_write(c, &m);
}

/* Ones' complement of pseudo header and datagram is all ones (RFC 768) */
static unsigned folded(size_t from, size_t n, unsigned more)
{
	uint32_t sum = more;

	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? bytes[from + i] : (unsigned)bytes[from + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void a_message_is_a_datagram_with_right_sums(void **s)
{
	struct capture *c;
	struct stat st;
	size_t n;
	(void)s;

	assert_int_equal(capture_open(&c, path, NULL), 0);
	assert_int_equal(say(c, "192.0.2.1", "198.51.100.2", "hello", 5), 0);
	assert_int_equal(say(c, "2001:db8::1", "2001:db8::2", "hello!", 6), 0);
	n = written();
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(n, 24 + 16 + 20 + 8 + 5 + 16 + 40 + 8 + 6);
	assert_int_equal(native(0), 0xa1b2c3d4);
	assert_int_equal(native(20), 101);

	assert_int_equal(native(24), 1700000000);
	assert_int_equal(native(28), 123000);
	assert_int_equal(native(32), 33);
	assert_int_equal(native(36), 33);
	assert_int_equal(bytes[40], 0x45);
	assert_int_equal(at16(42), 33);
	assert_int_equal(folded(40, 20, 0), 0xffff);
	assert_int_equal(at16(60), 5060);
	assert_int_equal(at16(62), 5062);
	assert_int_equal(at16(64), 13);
	assert_int_equal(folded(52, 8 + 13, 17 + 13), 0xffff);
	assert_memory_equal(bytes + 68, "hello", 5);

	assert_int_equal(bytes[73 + 16], 0x60);
	assert_int_equal(at16(73 + 16 + 4), 14);
	assert_int_equal(folded(73 + 16 + 8, 32 + 14, 17 + 14), 0xffff);
	assert_memory_equal(bytes + n - 6, "hello!", 6);
	capture_close(c);
}

static void only_a_regular_file_is_written_and_a_fifo_holds_nobody(void **s)
{
	struct capture *c;
	char target[160];
	int reader;
	(void)s;

	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	assert_int_equal(capture_open(&c, path, NULL), EINVAL);
	(void)close(reader);
	assert_int_equal(capture_open(&c, path, NULL), EINVAL);
	assert_int_equal(unlink(path), 0);

	/* nor is what a link leads to */
	snprintf(target, sizeof(target), "%s/target", folder);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(capture_open(&c, path, NULL), ELOOP);
	assert_int_not_equal(access(target, F_OK), 0);
	assert_int_equal(unlink(path), 0);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(capture_open(&c, path, NULL), EISDIR);
	assert_int_equal(rmdir(path), 0);
}

static void one_address_is_that_of_either_end(void **s)
{
	const struct sa only = address("198.51.100.2", 0);
	struct capture *c;
	(void)s;

	assert_int_equal(capture_open(&c, path, &only), 0);
	assert_int_equal(say(c, "192.0.2.1", "198.51.100.2", "a", 1), 0);
	assert_int_equal(say(c, "198.51.100.2", "192.0.2.1", "b", 1), 0);
	assert_int_equal(say(c, "192.0.2.1", "198.51.100.3", "c", 1), 0);
	assert_int_equal(written(), 24 + 2 * 45);
	capture_close(c);
}

static void what_no_datagram_holds_is_left_out(void **s)
{
	static char big[65536];
	struct capture *c;
	(void)s;

	assert_int_equal(capture_open(&c, path, NULL), 0);
	assert_int_equal(say(c, "192.0.2.1", "192.0.2.2", big, 65536), 0);
	assert_int_equal(written(), 24);
	assert_int_equal(say(c, "192.0.2.1", "192.0.2.2", big, 65507), 0);
	assert_int_equal(written(), 24 + 16 + 65535);
	capture_close(c);
}

static void a_full_file_makes_room_for_the_next(void **s)
{
	static char big[65000];
	char older[160];
	struct capture *c;
	struct stat st;
	(void)s;

	snprintf(older, sizeof(older), "%s.1", path);
	assert_int_equal(capture_open(&c, path, NULL), 0);
	for (unsigned i = 0; i < 1540; i++)
		assert_int_equal(
			say(c, "192.0.2.1", "192.0.2.2", big, sizeof(big)), 0);
	assert_int_equal(stat(older, &st), 0);
	assert_in_range(st.st_size, 100000000, 100070000);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 24, 5000000);
	capture_close(c);
}

static void a_file_that_cannot_be_is_an_errno(void **s)
{
	struct capture *c = NULL;
	(void)s;

	assert_int_equal(capture_open(&c, "/nowhere/a.pcap", NULL), ENOENT);
	assert_int_equal(capture_open(&c, folder, NULL), EISDIR);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(capture_open(&c, path, NULL), ELOOP);
	assert_null(c);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_is_a_datagram_with_right_sums),
		T(only_a_regular_file_is_written_and_a_fifo_holds_nobody),
		T(one_address_is_that_of_either_end),
		T(what_no_datagram_holds_is_left_out),
		T(a_full_file_makes_room_for_the_next),
		T(a_file_that_cannot_be_is_an_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
