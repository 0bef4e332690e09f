/*
 * Secrets: what is sealed opens again, and nothing else does
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "store/seal.h"

static char folder[64], path[128], other[128];

static int folder_make(void **s)
{
	(void)s;
	strcpy(folder, "/tmp/sbc_seal_XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/sbc.key", folder);
	snprintf(other, sizeof(other), "%s/other.key", folder);

	return 0;
}

static int folder_drop(void **s)
{
	(void)s;
	(void)unlink(path);
	(void)unlink(other);

	return rmdir(folder); /* fails when a temporary file was left */
}

static void file_write(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static struct seal *seal_of(const char *file)
{
	struct seal *seal = NULL;

	assert_int_equal(seal_open(&seal, file, true), 0);

	return seal;
}

static void a_key_file_is_made_for_its_owner_alone(void **s)
{
	struct seal *seal = seal_of(path);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	seal_close(seal);
	(void)s;
}

static void a_missing_key_file_is_made_only_when_asked(void **s)
{
	struct seal *seal = NULL;

	assert_int_equal(seal_open(&seal, path, false), ENOENT);
	assert_null(seal);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(seal_open(&seal, "/nowhere/sbc.key", true), ENOENT);
	(void)s;
}

static void a_key_that_others_can_read_is_refused(void **s)
{
	static const mode_t modes[] = { 0640, 0604, 0660, 0610, 0601, 0602 };
	struct seal *seal = NULL;

	seal_close(seal_of(path));
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path, modes[i]), 0);
		assert_int_equal(seal_open(&seal, path, true), EACCES);
		assert_null(seal);
	}
	(void)s;
}

static void a_file_that_is_no_key_is_refused_and_kept(void **s)
{
	static const char *const files[] = {
		"",
		"\n",
		"sbckey1 \n",
		"sbckey1 00112233445566778899aabbccddeeff\n",
		"sbckey1 00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeefg\n",
		"sbckey1 00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff\nx",
		"sbckey2 00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff\n",
		"sbckey1 00112233445566778899aabbccddeeff"
		"00112233445566778899aabbccddeeff ",
	};
	struct seal *seal = NULL;
	struct stat st;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		file_write(files[i], 0600);
		assert_int_equal(seal_open(&seal, path, true), EBADMSG);
		assert_null(seal);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, strlen(files[i]));
	}
	(void)s;
}

static void a_check_tells_what_became_of_the_key_file(void **s)
{
	struct seal *seal = seal_of(path), *another = seal_of(other);
	(void)s;

	assert_int_equal(seal_check(seal, path), 0);
	assert_int_equal(seal_check(another, path), EEXIST);
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(seal_check(seal, path), EACCES);
	file_write("sbckey1 \n", 0600);
	assert_int_equal(seal_check(seal, path), EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(seal_check(seal, path), ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	seal_close(seal);
	seal_close(another);
}

static void what_is_sealed_opens_under_the_same_key_read_again(void **s)
{
	char text[SECRET_MAX + 1], buf[SECRET_MAX + 1];
	static const size_t lengths[] = { 0,  1,  2,  3,   15,   16,
					  17, 63, 64, 255, 1023, SECRET_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct seal *seal = seal_of(path);
		struct secret secret = { .sealed = true };

		memset(text, 'x', lengths[i]);
		text[lengths[i]] = '\0';
		assert_int_equal(seal_text(&secret.text, seal, text), 0);
		seal_close(seal);

		seal = seal_of(path);
		assert_int_equal(secret_open(buf, &secret, seal), 0);
		assert_string_equal(buf, text);
		secret_wipe(secret.text);
		seal_close(seal);
	}
	(void)s;
}

static void the_same_text_is_never_sealed_alike(void **s)
{
	struct seal *seal = seal_of(path);
	char *a = NULL, *b = NULL;

	assert_int_equal(seal_text(&a, seal, "s3cr3t"), 0);
	assert_int_equal(seal_text(&b, seal, "s3cr3t"), 0);
	assert_memory_equal(a, "$sbc1$", 6);
	assert_string_not_equal(a, b);
	assert_null(strstr(a, "s3cr3t"));
	secret_wipe(a);
	secret_wipe(b);
	seal_close(seal);
	(void)s;
}

static void any_letter_changed_or_missing_keeps_it_shut(void **s)
{
	struct seal *seal = seal_of(path);
	char buf[SECRET_MAX + 1], *text = NULL;
	size_t n;

	/* 12 + 8 + 16 bytes: no padding, so every letter carries six bits */
	assert_int_equal(seal_text(&text, seal, "eight888"), 0);
	n = strlen(text);
	for (size_t i = 0; i < n; i++) {
		struct secret secret = { .text = text, .sealed = true };
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(secret_open(buf, &secret, seal), EBADMSG);
		assert_string_equal(buf, "");
		text[i] = '\0'; /* cut here */
		assert_int_equal(secret_open(buf, &secret, seal),
				 i ? EBADMSG : 0); /* 0: empty */
		text[i] = was;
	}
	secret_wipe(text);
	seal_close(seal);
	(void)s;
}

static void another_key_does_not_open_it(void **s)
{
	struct seal *a = seal_of(path), *b = seal_of(other);
	struct secret secret = { .sealed = true };
	char buf[SECRET_MAX + 1];

	assert_int_equal(seal_text(&secret.text, a, "s3cr3t"), 0);
	assert_int_equal(secret_open(buf, &secret, b), EBADMSG);
	assert_int_equal(secret_open(buf, &secret, NULL), EBADMSG);
	assert_string_equal(buf, "");
	secret_wipe(secret.text);
	seal_close(a);
	seal_close(b);
	(void)s;
}

static void a_sealed_text_of_any_length_is_read_with_care(void **s)
{
	struct seal *seal = seal_of(path);
	char buf[SECRET_MAX + 1];

	for (size_t n = 0; n < 3 * SECRET_MAX; n += 7) {
		struct secret secret = { .sealed = true };

		secret.text = malloc(n + 7);
		memcpy(secret.text, "$sbc1$", 6);
		memset(secret.text + 6, 'A', n);
		secret.text[n + 6] = '\0';
		assert_int_equal(secret_open(buf, &secret, seal), EBADMSG);
		free(secret.text);
	}
	seal_close(seal);
	(void)s;
}

static void a_clear_secret_opens_without_a_key(void **s)
{
	char clear[] = "open", longer[SECRET_MAX + 2];
	struct secret secret = { .text = clear }, none = { 0 };
	char buf[SECRET_MAX + 1], *out = NULL;
	struct seal *seal = seal_of(path);

	assert_int_equal(secret_open(buf, &secret, NULL), 0);
	assert_string_equal(buf, "open");
	assert_int_equal(secret_open(buf, &none, NULL), 0);
	assert_string_equal(buf, "");
	assert_false(secret_is_set(&none));
	assert_true(secret_is_set(&secret));

	memset(longer, 'x', sizeof(longer));
	longer[SECRET_MAX + 1] = '\0';
	secret.text = longer;
	assert_int_equal(secret_open(buf, &secret, NULL), EOVERFLOW);
	assert_int_equal(seal_text(&out, seal, longer), EOVERFLOW);
	assert_null(out);
	seal_close(seal);
	(void)s;
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, folder_make, folder_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_key_file_is_made_for_its_owner_alone),
		TEST(a_missing_key_file_is_made_only_when_asked),
		TEST(a_key_that_others_can_read_is_refused),
		TEST(a_file_that_is_no_key_is_refused_and_kept),
		TEST(a_check_tells_what_became_of_the_key_file),
		TEST(what_is_sealed_opens_under_the_same_key_read_again),
		TEST(the_same_text_is_never_sealed_alike),
		TEST(any_letter_changed_or_missing_keeps_it_shut),
		TEST(another_key_does_not_open_it),
		TEST(a_sealed_text_of_any_length_is_read_with_care),
		TEST(a_clear_secret_opens_without_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
