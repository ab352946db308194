/* Names of objects: which are legal, and how users' names become file names. */
#include <errno.h>
#include <isthmus/isthmus.h>
#include <string.h>

static const char prefix[] = ISTHMUS_NAME_PREFIX;
#define PREFIX_LENGTH (sizeof prefix - 1)

int isthmus_name_check(const char *name)
{
    if (*name == '/')
        name++;
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
        return -EINVAL;
    return strlen(name) > ISTHMUS_NAME_MAX ? -ENAMETOOLONG : 0;
}

/* Bytes above 0x7e stay as they are, so that names in any script stay readable (UTF-8). */
static int must_escape(unsigned char byte)
{
    return byte < 0x20 || byte == 0x7f || byte == '/' || byte == '%';
}

int isthmus_name_escape(const char *name, char posix_name[ISTHMUS_NAME_MAX + 1])
{
    static const char digits[] = "0123456789ABCDEF";
    char escaped[ISTHMUS_NAME_MAX + 1];
    size_t length = PREFIX_LENGTH;

    if (!*name)
        return -EINVAL;
    memcpy(escaped, prefix, PREFIX_LENGTH);
    for (; *name; name++) {
        unsigned char byte = (unsigned char)*name;
        int wide = must_escape(byte);
        if (length + (wide ? 3 : 1) > ISTHMUS_NAME_MAX)
            return -ENAMETOOLONG;
        if (wide) {
            escaped[length++] = '%';
            escaped[length++] = digits[byte >> 4];
            escaped[length++] = digits[byte & 15];
        } else {
            escaped[length++] = (char)byte;
        }
    }
    escaped[length] = '\0';
    memcpy(posix_name, escaped, length + 1);
    return 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int isthmus_name_unescape(const char *posix_name, char name[ISTHMUS_NAME_MAX + 1])
{
    char plain[ISTHMUS_NAME_MAX + 1];
    size_t length = 0;

    if (strlen(posix_name) > ISTHMUS_NAME_MAX || strncmp(posix_name, prefix, PREFIX_LENGTH) != 0)
        return -EINVAL;
    for (const char *next = posix_name + PREFIX_LENGTH; *next; next++) {
        unsigned char byte = (unsigned char)*next;
        if (byte == '%') {
            int high = digit(next[1]);
            int low = high < 0 ? -1 : digit(next[2]);
            if (low < 0)
                return -EINVAL;
            byte = (unsigned char)(high << 4 | low);
            /* Only what must be escaped may be: otherwise one name had two spellings. */
            if (!byte || !must_escape(byte))
                return -EINVAL;
            next += 2;
        } else if (must_escape(byte)) {
            return -EINVAL;
        }
        plain[length++] = (char)byte;
    }
    if (!length)
        return -EINVAL;
    plain[length] = '\0';
    memcpy(name, plain, length + 1);
    return 0;
}
