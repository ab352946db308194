/* What the C tests need of /dev/shm: names of their own, order afterwards, a private one. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FIXTURE_SHM "/dev/shm"
#define FIXTURE_NAME_SIZE 64
#define FIXTURE_PATH_SIZE 512

/* Once per program, before any name is made: all names of this run share a tag. */
void fixture_begin(void);

/* A name that no other test, process or run uses. */
void fixture_name(char name[FIXTURE_NAME_SIZE]);

/* FIXTURE_SHM "/" name */
void fixture_path(char path[FIXTURE_PATH_SIZE], const char *name);

/* A new, empty directory on the shared memory file system, for drafts with names. */
void fixture_directory(char path[FIXTURE_PATH_SIZE]);

/* Remove everything in FIXTURE_SHM with this run's tag; how much that was. Named if asked to. */
unsigned fixture_sweep(int complain);

/*
 * A file without the tag that a sweep shall remove as well: `path` is looked at then,
 * may be empty, and must lie in memory that is shared with the tests' processes.
 */
void fixture_sweep_also(const char *path);

/* Entries of `directory` whose name contains `part` ("": all). */
unsigned fixture_count(const char *directory, const char *part);

/*
 * Give this process, and its children, an empty FIXTURE_SHM of their own, which
 * nobody else sees and which goes with them. `size` as for mount(8), "1m".
 * 0 or the errno value that says why the system does not permit it.
 */
int fixture_private_shm(const char *size);

/* Bytes free in FIXTURE_SHM. */
uint64_t fixture_free_bytes(void);

/* Become a user without rights; must be root. */
#define FIXTURE_NOBODY 65534u
void fixture_drop_privileges(void);

#endif
